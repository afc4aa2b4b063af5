"""Targets and options that cannot be trained are refused, and rows that cannot be used are left out aloud."""

from pathlib import Path

import polars as pl
import pytest

from coreplex.engines.automl import train
from coreplex.errors.tree import Invalid
from tests.engines.runs import Report, request, run, table


def test_a_metric_without_meaning_is_refused(tmp_path: Path) -> None:
    frame = table().with_columns(amount=pl.col("amount") - 3)
    with pytest.raises(Invalid, match="below zero"):
        run(frame, "amount", "regression", tmp_path, sort_metric="RMSLE")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pl.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "a"]}), "at least 10"),
        (pl.DataFrame({"x": range(30), "y": ["a"] * 30}), "the same"),
        (pl.DataFrame({"x": range(30), "y": [None] * 30}, schema={"x": pl.Int64, "y": pl.String}), "missing"),
        (pl.DataFrame({"x": range(30), "z": ["a", "b"] * 15}), "not in this dataset"),
        (pl.DataFrame({"y": ["a", "b"] * 15}), "no column besides"),
        (pl.DataFrame({"id": range(30), "y": ["a", "b"] * 15}), "No column can be used"),
    ],
)
def test_what_cannot_be_learned_is_refused(frame: pl.DataFrame, says: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=says):
        run(frame, "y", "classification", tmp_path)


def test_unknown_special_columns_are_refused(tmp_path: Path) -> None:
    for key in ("fold_column", "group_column", "time_column", "weights_column"):
        with pytest.raises(Invalid) as caught:
            run(table(), "amount", "regression", tmp_path, **{key: "nowhere"})
        assert caught.value.errors[0].loc == ("config", key)


def test_rare_classes_and_missing_targets_are_left_out_aloud(tmp_path: Path) -> None:
    frame = table().with_columns(answer=pl.Series(["Maybe", None, *table()["answer"].to_list()[2:]]))
    _, report = run(frame, "answer", "classification", tmp_path)
    assert report.models[0]["classes"] == ["No", "Yes"]
    assert report.warnings[:2] == [
        "Rows without a value in 'answer' are left out: 1.",
        "Left out: 1 class with a single row (Maybe).",
    ]
    assert "Only 148 rows" in report.warnings[2]
    assert {f"warning: {warning}" for warning in report.warnings} <= set(report.logs)


def test_one_class_beside_rare_ones_is_not_told_apart(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(0, 90, 3), "y": ["a"] * 29 + ["b"]})
    with pytest.raises(Invalid, match="1 class in 29 rows without 1 class with a single row \\(b\\)"):
        run(frame, "y", "classification", tmp_path)


def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot train here"):
        train.run({**request(table(), "answer", "classification", tmp_path), "engine": "h2o"}, Report())
