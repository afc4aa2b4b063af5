"""The entry points as the server uses them: in a child process, over JSON lines."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest


def child(task: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """All events of a run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "coreplex.engines.child", f"coreplex.engines.tabular.tasks:{task}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(orjson.dumps(request) + b"\n")
        process.stdin.flush()
        return [orjson.loads(line) for line in process.stdout]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_text("customer_id,plan,late\n" + "".join(f"{i},{'abc'[i % 3]},{'yes' if i % 5 else 'no'}\n" for i in range(100)))
    return path


def test_ingest_and_export(source: Path, tmp_path: Path) -> None:
    *events, done = child("ingest", {"source": str(source), "filename": "a.csv", "destination": str(tmp_path / "a.parquet")})
    assert [event["event"] for event in events] == ["progress"] * 3
    result = done["result"]
    assert (result["row_count"], result["column_count"], result["format"]) == (100, 3, "csv")
    assert result["size_bytes"] == (tmp_path / "a.parquet").stat().st_size
    assert [column["type"] for column in result["schema"]["columns"]] == ["id", "categorical", "boolean"]
    assert result["profile"]["row_count"] == 100
    assert result["quality"]["overall_score"] > 90
    for form in ("csv", "parquet", "xlsx"):
        request = {
            "table": str(tmp_path / "a.parquet"),
            "schema": result["schema"],
            "format": form,
            "destination": str(tmp_path / form),
        }
        assert child("export", request)[-1]["result"]["size_bytes"] > 0
    assert (tmp_path / "csv").read_text().splitlines()[1] == "0,a,no"


def test_a_new_version_with_other_types(source: Path, tmp_path: Path) -> None:
    first = child("ingest", {"source": str(source), "filename": "a.csv", "destination": str(tmp_path / "a.parquet")})[-1][
        "result"
    ]
    request = {
        "source": str(tmp_path / "a.parquet"),
        "filename": "a.parquet",
        "destination": str(tmp_path / "b.parquet"),
        "overrides": {"late": "categorical", "customer_id": "integer"},
        "schema": first["schema"],
    }
    second = child("ingest", request)[-1]["result"]
    assert [column["type"] for column in second["schema"]["columns"]] == ["integer", "categorical", "categorical"]
    assert {entry["value"] for entry in second["profile"]["columns"][2]["top_values"]} == {"yes", "no"}


def test_refusals_are_events(source: Path, tmp_path: Path) -> None:
    base = {"source": str(source), "filename": "a.csv", "destination": str(tmp_path / "a.parquet")}
    wrong = child("ingest", {**base, "overrides": {"late": "colour"}})[-1]
    assert (wrong["event"], wrong["code"], wrong["errors"][0]["loc"]) == ("error", "invalid", ["overrides", "late"])
    source.write_bytes(b"%PDF-1.7 not a table")
    assert child("ingest", base)[-1]["code"] == "bad_input"


def test_importing_the_tasks_is_cheap() -> None:
    heavy = "('polars', 'numpy', 'scipy', 'pandas')"
    code = f"import sys, coreplex.engines.tabular.tasks; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
