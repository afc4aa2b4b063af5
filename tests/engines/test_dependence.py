"""Rows that are not independent are found, with both promises; independent ones are left to a random split."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn import datasets

from coreplex.engines.automl.splits.folds import Fold
from coreplex.engines.diagnosis.request import CpuDeadline
from coreplex.engines.diagnosis.row_dependence import recommendation, split_comparison
from coreplex.engines.tabular.read.table import read_table
from tests.factories import dependent, ordinary


def found(frame: pl.DataFrame, folder: Path, target: str = "y", classes: bool | None = None) -> dict[str, object]:
    source, stored = folder / "t.csv", folder / "t.parquet"
    frame.write_csv(source)
    schema = read_table(source, "t.csv", stored).schema
    classes = frame[target].dtype == pl.String if classes is None else classes
    return recommendation.recommend_split(stored, schema, target, classification=classes, deadline=CpuDeadline(300))


SHAPES = (
    "subjects, classes",
    "subjects as hashes",
    "few patients",
    "sessions of three",
    "random walk, shuffled",
    "random walk over numbers",
    "sensors, classes",
    "near copies, twice",
    "panel of patients",
    "panel that passes by",
    "panel that stays",
    "countries over years",
)


@pytest.mark.parametrize("name", SHAPES)
def test_what_was_planted_is_found(name: str, tmp_path: Path) -> None:
    make, expected = dependent.PLANTED[name]
    answer = found(make(3), tmp_path)
    assert (answer["strategy"], answer["group_column"], answer["time_column"]) == expected
    better = (
        answer["random_score"] < answer["honest_score"]
        if answer["metric"] == "rmse"
        else answer["random_score"] > answer["honest_score"]
    )
    assert better
    assert answer["excess"] > 2 * 0.01
    assert f"promises {answer['metric']} {answer['random_score']:.4g} by a random split" in answer["said"]["message"]
    assert ("send validation 'group_time' with group_column 'store'" in answer["said"]["message"]) == (name == "panel that stays")
    assert (answer["near"] is not None) == ("copies" in name)


def test_independent_rows_are_left_alone(tmp_path: Path) -> None:
    wrong = [seed for seed in range(6) if found(dependent.independent(seed), tmp_path)["strategy"] is not None]
    assert wrong == []


def test_a_time_of_day_is_no_order(tmp_path: Path) -> None:
    """Hours and minutes beside thousands of machines: that no pair of the two occurs twice is chance, not a panel."""
    draw = np.random.default_rng(5)
    rows = 4_000
    clock = draw.integers(0, 24, rows) * 100 + draw.integers(0, 60, rows)
    machines = [f"N{k}" for k in draw.integers(0, 1_200, rows)]
    late = 20 * (clock > 2_000) * draw.exponential(2, rows) + draw.normal(0, 5, rows)
    frame = pl.DataFrame({"dep_time": clock, "machine": machines, "wind": draw.normal(size=rows), "y": late})
    assert found(frame, tmp_path)["strategy"] is None


@pytest.mark.parametrize("name", ["iris", "diabetes"])
def test_ordinary_tables_stay_random(name: str, tmp_path: Path) -> None:
    bunch = getattr(datasets, f"load_{name}")()
    frame = pl.DataFrame(bunch.data, schema=list(bunch.feature_names)).with_columns(pl.Series("target", bunch.target))
    assert found(frame, tmp_path, "target", classes=name != "diabetes")["strategy"] is None


@pytest.mark.parametrize("name", ordinary.TABLES)
def test_ordinary_categories_are_no_groups(name: str, tmp_path: Path) -> None:
    made = ordinary.TABLES[name]()
    assert found(made.frame, tmp_path, made.target, made.classes)["strategy"] is None


@pytest.mark.parametrize(
    "edit",
    [
        lambda frame: frame.head(12),
        lambda frame: frame.with_columns(pl.lit(None, dtype=pl.Float64).alias("empty"), pl.lit(1).alias("same")),
        lambda frame: frame.with_columns(pl.when(pl.col("x0") > 0).then("y").alias("y")),
        lambda frame: frame.with_columns(pl.when(pl.col("x1") > 0).then("date").alias("date"), pl.lit("x").alias("subject")),
        lambda frame: frame.select("y"),
        lambda frame: frame.with_columns(pl.lit("same").alias("y")),
        lambda frame: frame.with_columns(pl.col("x0") * 1e300, (pl.col("x1") * 1e9).round(0)),
    ],
)
def test_strange_tables_are_no_error(edit: Callable[[pl.DataFrame], pl.DataFrame], tmp_path: Path) -> None:
    answer = found(edit(dependent.walk(1, rows=300)), tmp_path)
    assert set(answer) >= {"rows", "strategy", "tried"}


def test_no_trial_begins_after_its_time(tmp_path: Path) -> None:
    frame = dependent.subjects(0)
    frame.write_csv(tmp_path / "t.csv")
    schema = read_table(tmp_path / "t.csv", "t.csv", tmp_path / "t.parquet").schema
    answer = recommendation.recommend_split(tmp_path / "t.parquet", schema, "y", classification=False, deadline=CpuDeadline(-1))
    assert answer == {"rows": frame.height, "strategy": None, "tried": [], "unfinished": True}


def test_a_difference_counts_beyond_its_error_only() -> None:
    draw = np.random.default_rng(0)
    rows = split_comparison.EncodedRows(draw.normal(size=(300, 2)), draw.normal(size=(300, 1)), classification=False)
    halves = [np.arange(150), np.arange(150, 300)]
    folds = [Fold(halves[1 - i], halves[i]) for i in range(2)]
    same = split_comparison.compare_splits(rows, list(zip(folds, folds, strict=True)), np.arange(300))
    assert same is not None
    assert (same.excess, same.certain) == (0.0, False)
    assert same.random == same.honest
