"""Reading must not grow with the file: a quarter of a gigabyte in a child process with little memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from coreplex.dataset.table_tasks import MEMORY_BYTES
from coreplex.platform.deferred_import import ChildTask
from coreplex.platform.isolation import run_child

INSIDE = """
import resource, sys
from pathlib import Path
from coreplex.engines.child import Report
from coreplex.engines.tabular import tasks
source = Path(sys.argv[1])
request = {"source": str(source), "filename": source.name, "destination": str(source.with_suffix(".parquet"))}
result = tasks.ingest(request, Report(open("/dev/null", "wb")))
print(result["row_count"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "letters"), [(20, 8), (2, 1000)])
def test_memory_is_bounded(columns: int, letters: int, tmp_path: Path) -> None:
    row = ",".join("abcdefgh"[:7] * (letters // 7) + str(index) for index in range(columns))
    rows = (250 << 20) // len(row)
    with (tmp_path / "t.csv").open("w") as file:
        file.write(",".join(f"name{index}" for index in range(columns)) + "\n")
        file.writelines(f"{row}{number}\n" for number in range(rows))
    run = subprocess.run([sys.executable, "-c", INSIDE, str(tmp_path / "t.csv")], capture_output=True, text=True, check=True)
    count, megabytes = map(int, run.stdout.split())
    assert count == rows
    assert megabytes < 700


async def _ignored(event: object) -> None:
    """A table that is read says nothing that matters here."""


@pytest.mark.slow
async def test_two_thousand_columns_are_read_within_the_limit_of_uploads(tmp_path: Path) -> None:
    """A hundred megabytes of floats with all their digits, as pandas writes them."""
    values = np.random.default_rng(0).normal(size=(5_000, 2_000))
    pl.DataFrame(values, schema=[f"x{index}" for index in range(2_000)]).write_csv(tmp_path / "t.csv")
    request = {"source": str(tmp_path / "t.csv"), "filename": "t.csv", "destination": str(tmp_path / "t.parquet")}
    task = ChildTask("coreplex.engines.tabular.tasks:ingest")
    found = await run_child(task, request, on_event=_ignored, time_limit_secs=600, memory_bytes=MEMORY_BYTES, env_threads=2)
    assert found["row_count"] == 5_000
    assert {column["type"] for column in found["schema"]["columns"]} == {"float"}
