"""Reading must not grow with the file: a quarter of a gigabyte in a child process with little memory."""

import subprocess
import sys
from pathlib import Path

import pytest

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
