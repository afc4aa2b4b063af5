"""The population stability index finds what has changed, and nothing where chance alone is at work."""

import datetime as dt
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.drift.stability import Reference, reference
from coreplex.engines.tabular.profile.table_profile import profile_table
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

ROWS = 5_000
DRAWN: dict[str, Any] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tail": lambda rng, n: rng.lognormal(0, 3, n),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.6, 0.0, rng.exponential(size=n)),
    "whole": lambda rng, n: rng.integers(0, 21, n),
    "two": lambda rng, n: rng.integers(0, 2, n),
    "one": lambda rng, n: np.ones(n),
}


def judged(tmp_path: Path, values: pl.Series, kind: ColumnType, **more: Any) -> Reference | None:
    """The reference of a column as a stored version's profile has it."""
    path = tmp_path / "table.parquet"
    values.alias("x").to_frame().write_parquet(path)
    column = Column(
        "x",
        kind,
        {pl.Float64: "float64", pl.Int64: "int64", pl.Boolean: "bool", pl.Date: "date"}.get(values.dtype, "string"),
        **more,
    )  # type: ignore[call-overload]
    return reference(column, profile_table(path, TableSchema((column,)))["columns"][0], len(values))


def numbers(tmp_path: Path, name: str) -> Reference:
    drawn = pl.Series(DRAWN[name](np.random.default_rng(0), ROWS))
    found = judged(tmp_path, drawn, ColumnType.integer if drawn.dtype.is_integer() else ColumnType.float)
    assert found is not None
    return found


@pytest.mark.parametrize("name", DRAWN)
def test_chance_is_no_drift(tmp_path: Path, name: str) -> None:
    found, rng = numbers(tmp_path, name), np.random.default_rng(1)
    worst = max(found.psi(DRAWN[name](rng, 300).tolist()) for _ in range(100))
    assert worst < 0.08


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "one"])
def test_what_has_moved_is_found(tmp_path: Path, name: str) -> None:
    moved = DRAWN[name](np.random.default_rng(1), 300) * 3 + 1
    assert numbers(tmp_path, name).psi(moved.tolist()) > 0.25


def test_numbers_may_be_written_as_text_and_what_is_missing_is_a_bin(tmp_path: Path) -> None:
    found, drawn = numbers(tmp_path, "normal"), np.random.default_rng(1).normal(size=300).tolist()
    assert found.psi([str(value) for value in drawn]) == found.psi(drawn) < 0.05
    assert found.psi([None if number % 3 == 0 else value for number, value in enumerate(drawn)]) > 0.25
    assert found.psi([float("nan"), "", "n/a", 10**400, [1]] * 60) > 1


def test_words(tmp_path: Path) -> None:
    words = pl.Series(["red"] * 500 + ["green"] * 300 + ["blue"] * 200)
    found = judged(tmp_path, words, ColumnType.categorical)
    assert found is not None
    assert found.psi(["Red"] * 150 + ["green "] * 90 + ["blue"] * 60) == 0
    counts = [(500, 30), (300, 90), (200, 180), (0, 0), (0, 0)]  # the last two: other words, and nothing
    shares = [((e + 0.5) / 1002.5, (a + 0.5) / 302.5) for e, a in counts]
    by_hand = sum((a - e) * math.log(a / e) for e, a in shares) - 4 * (1 / 300 + 1 / 1000)
    assert found.psi(["red"] * 30 + ["green"] * 90 + ["blue"] * 180) == pytest.approx(by_hand)
    assert found.psi(["pink"] * 300) > 1


def test_a_profile_of_a_sample_counts_for_the_whole(tmp_path: Path) -> None:
    """Counts of a very long table are those of a sample, what is missing is not."""
    path, column = tmp_path / "table.parquet", Column("x", ColumnType.float, "float64")
    pl.DataFrame({"x": DRAWN["normal"](np.random.default_rng(0), ROWS)}).write_parquet(path)
    facts = profile_table(path, TableSchema((column,)))["columns"][0] | {"missing_count": 10 * ROWS}
    found = reference(column, facts, 20 * ROWS)
    assert found is not None
    drawn = DRAWN["normal"](np.random.default_rng(1), 300).tolist()
    assert found.psi([value for one in drawn for value in (one, None)]) < 0.05
    assert found.psi(drawn) > 0.25


def test_yes_and_no_as_uploaded_and_as_json(tmp_path: Path) -> None:
    found = judged(tmp_path, pl.Series([True] * 700 + [False] * 300), ColumnType.boolean, labels={"true": "Yes", "false": "No"})
    assert found is not None
    assert found.psi([True] * 210 + [False] * 90) == found.psi(["yes"] * 210 + ["No"] * 90) == 0
    assert found.psi([False] * 300) > 0.25


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pl.Series([f"name {n}" for n in range(1000)]), ColumnType.categorical),
        (pl.Series([f"name {n}" for n in range(1000)]), ColumnType.text),
        (pl.Series(range(1000)), ColumnType.id),
        (pl.Series([dt.date(2026, 1, 1)] * 9), ColumnType.datetime),
        (pl.Series([None] * 9, dtype=pl.Float64), ColumnType.float),
    ],
)
def test_what_always_changes_is_not_judged(tmp_path: Path, values: pl.Series, kind: ColumnType) -> None:
    assert judged(tmp_path, values, kind) is None
