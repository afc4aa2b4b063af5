"""Issues are found where planted and not where a table is fine. What depends on a target: see `tests/engines/diagnosis`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.profile.table_profile import profile_table
from coreplex.engines.tabular.quality.assessment import assess, for_target
from coreplex.engines.tabular.read.table import read_table

N = 400


def judged(tmp_path: Path, frame: pl.DataFrame | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the quality, the profile)."""
    source = frame if isinstance(frame, Path) else tmp_path / "t.csv"
    if isinstance(frame, pl.DataFrame):
        frame.write_csv(source)
    reading = read_table(source, "t.csv", tmp_path / "t.parquet")
    found = profile_table(reading.path, reading.schema)
    return assess(found, reading.findings), found


def judge(tmp_path: Path, frame: pl.DataFrame | Path) -> dict[str, Any]:
    return judged(tmp_path, frame)[0]


def good(n: int = N) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    x = rng.normal(size=n).round(4)
    return pl.DataFrame(
        {
            "x": x,
            "z": rng.normal(size=n).round(4),
            "group": np.array(["a", "b", "c"])[rng.integers(0, 3, n)],
            "target": np.where(x + rng.normal(size=n) > 0, "yes", "no"),
        }
    )


def has(result: dict[str, Any], kind: str, column: str | None) -> bool:
    return any(issue["kind"] == kind and issue["column"] == column for issue in result["issues"])


def planted() -> Iterator[tuple[str, str | None, pl.DataFrame]]:
    rng = np.random.default_rng(2)
    table = good()

    def add(name: str, values: Any) -> pl.DataFrame:
        return table.with_columns(pl.Series(name, values))

    yield (
        "missing_values",
        "x",
        table.with_columns(pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("x")).alias("x")),
    )
    yield "duplicate_rows", None, pl.concat([table, table.head(60)])
    yield "constant_column", "same", add("same", [7] * N)
    yield "empty_column", "hole", add("hole", [None] * N)
    yield "high_cardinality", "street", add("street", [f"street_{i % 250}" for i in range(N)])
    yield "id_like_column", "customer_id", add("customer_id", [f"C-{i:05d}" for i in range(N)])
    yield "outliers", "far", add("far", np.where(np.arange(N) % 150 == 3, 1e6, rng.normal(size=N)))
    yield "outliers", "endless", add("endless", np.where(np.arange(N) % 150 == 3, np.inf, rng.normal(size=N)))
    yield "skewed_distribution", "lopsided", add("lopsided", np.exp(rng.normal(size=N) * 3).round(3))
    yield "high_correlation", "again", add("again", (table["x"] * 2.54).to_list())
    yield "mixed_types", "amount", add("amount", [f"about {i}" if i % 100 == 7 else str(i / 4) for i in range(N)])
    yield "invalid_dates", "day", add("day", ["2024-02-31" if i % 100 == 7 else f"2024-03-{i % 28 + 1:02d}" for i in range(N)])
    yield "whitespace_or_case_variants", "town", add("town", [["Berlin", "berlin", " Berlin", "Rome"][i % 4] for i in range(N)])


CASES = list(planted())


@pytest.mark.parametrize(("kind", "column", "frame"), CASES, ids=[f"{kind}-{column}" for kind, column, _ in CASES])
def test_planted_faults_are_found_and_lower_the_score(kind: str, column: str | None, frame: pl.DataFrame, tmp_path: Path) -> None:
    result = judge(tmp_path, frame)
    assert has(result, kind, column), result["issues"]
    issue = next(issue for issue in result["issues"] if issue["kind"] == kind)
    assert issue["message"].endswith(".")
    assert set(issue) == {"kind", "severity", "column", "message", "evidence", "affected_rows", "affected_pct"}
    assert 0 <= result["overall_score"] <= 100


def test_a_good_table_has_no_issue_and_a_full_score(tmp_path: Path) -> None:
    assert judge(tmp_path, good()) == {"overall_score": 100.0, "issues": []}


def test_notes_of_the_reader_become_issues(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(good().write_csv() + "1,2\n")
    result = judge(tmp_path, tmp_path / "t.csv")
    issue = next(issue for issue in result["issues"] if issue["kind"] == "short_lines")
    assert issue["evidence"]["lines"] == [N + 2]


def test_a_named_target_adds_its_issues_and_takes_back_what_goes_together_with_it(tmp_path: Path) -> None:
    again = good().with_columns((pl.col("x") * 2.54).alias("inches"))
    plain, profiled = judged(tmp_path, again)
    assert has(plain, "high_correlation", "inches"), "without a target nobody knows which of them is to be predicted"
    leak = Finding("target_leak", "high", "It repeats it.", column="x", evidence={}, affected_rows=0)
    told = for_target(plain, profiled, "inches", [leak])
    assert {(issue["kind"], issue["column"]) for issue in told["issues"]} == {("target_leak", "x")}
    assert told["overall_score"] < plain["overall_score"]
