"""A model on labelled rows that came later: read as training read them, and refused where they say nothing of it."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.automl import holdout, train
from coreplex.engines.tabular.read.table import read_table
from coreplex.errors.tree import Invalid
from tests.engines.runs import Report


def rows(n: int, seed: int) -> pl.DataFrame:
    """A number, a code that looks like one, a word, an amount in German writing, and two targets."""
    draw = np.random.default_rng(seed)
    size, code = draw.normal(size=n), draw.integers(1, 10, n)
    paid = np.round(np.exp(draw.normal(size=n)), 2)
    signal = size + (code == 7) * 2 + 0.5 * draw.normal(size=n)
    return pl.DataFrame(
        {
            "Size": size.round(3),
            "code": ["x" if c == 9 else f"0{c}" for c in code],
            "kind": [f"k{v}" for v in draw.integers(0, 3, n)],
            "paid": [f"{v:.2f}".replace(".", ",") for v in paid],
            "left": ["yes" if s > 0.5 else "no" for s in signal],
            "amount": (signal + 10).round(3),
        }
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """A request for each target, complete but for the table."""
    made = {}
    for target, other, problem in (("left", "amount", "classification"), ("amount", "left", "regression")):
        folder = tmp_path_factory.mktemp(target)
        rows(500, 0).write_csv(folder / "t.csv", separator=";")
        schema = read_table(folder / "t.csv", "t.csv", folder / "t.parquet").schema.to_json()
        report = Report()
        config = {"max_models": 1, "nfolds": 3, "ignored_columns": [other], "include_algos": ["GBM"], "threshold_metric": None}
        request = {"table": str(folder / "t.parquet"), "schema": schema, "target": target, "problem_type": problem}
        train.run({**request, "config": config, "work_dir": str(folder), "threads": 1}, report)
        best = report.models[-1]
        made[target] = {
            "bundle": best["bundle"]["path"],
            "sha256": best["bundle"]["sha256"],
            "target": next(column for column in schema["columns"] if column["name"] == target),
            "metric_intervals": best["metric_intervals"],
            "quantile": None,
            "seconds": 60,
        }
    return made


def evaluated(request: dict[str, Any], frame: pl.DataFrame, folder: Path, separator: str = ";") -> dict[str, Any]:
    source = folder / "later.csv"
    frame.write_csv(source, separator=separator)
    return holdout.run({**request, "source": str(source), "filename": "later.csv", "scratch": str(folder)})


def test_a_holdout_shows_what_was_promised(models: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    for target, metric in (("left", "auc"), ("amount", "rmse")):
        found = evaluated(models[target], rows(400, 1), tmp_path)
        assert (found["rows"], found["rows_used"], found["notes"]) == (400, 400, [])
        assert {one["kind"] for one in found["warnings"]} <= {"out_of_range"}
        kept = {one["metric"]: one for one in found["promises"]}
        assert set(kept) == {entry["metric"] for entry in models[target]["metric_intervals"]}
        assert kept[metric]["holds"]
        assert kept[metric]["value"] == found["metrics"][metric]
        assert np.mean([one["holds"] for one in kept.values()]) > 0.7
        assert found["interval_coverage"]["share"] == pytest.approx(0.9, abs=0.07)
    assert found["curves"]["kind"] == "regression"


def test_codes_are_text_although_these_look_like_numbers(models: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    """Without the one letter of training every code is a number to a reader that knows nothing of the model."""
    frame = rows(400, 2).filter(pl.col("code") != "x")
    found = evaluated(models["left"], frame, tmp_path)
    assert "unseen_category" not in {one["kind"] for one in found["warnings"]}
    assert found["metrics"]["auc"] > 0.8


def test_names_that_differ_in_case_and_blanks_are_taken_and_said(models: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    plain = evaluated(models["left"], rows(200, 3), tmp_path)
    found = evaluated(models["left"], rows(200, 3).rename({"Size": "size ", "left": "LEFT"}), tmp_path)
    assert found["metrics"] == plain["metrics"]
    assert sorted(found["notes"]) == ["The column 'LEFT' was taken as 'left'.", "The column 'size' was taken as 'Size'."]


def test_what_is_odd_is_left_out_or_said(models: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    labels = rows(100, 4)["left"].to_list()
    frame = (
        rows(100, 4)
        .drop("Size")
        .with_columns(left=pl.Series([None, None, "perhaps", *labels[3:]]), kind=pl.Series(["new"] * 10 + ["k1"] * 90))
    )
    found = evaluated(models["left"], frame, tmp_path)
    assert (found["rows"], found["rows_used"]) == (100, 97)
    assert found["notes"] == [
        "Rows without a value in 'left' are left out: 2.",
        "Rows with a class that the model does not know in 'left' are left out: 1 (perhaps).",
    ]
    odd = {(one["kind"], one["column"]): one for one in found["warnings"]}
    assert ("missing_column", "Size") in odd
    assert odd["unseen_category", "kind"]["rows"] == 7
    assert not next(one for one in found["promises"] if one["metric"] == "auc")["holds"]


def test_a_table_that_says_nothing_of_the_model_is_refused(models: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    frame = rows(60, 5)
    for target, table, says in (
        ("left", frame.drop("left"), "no column 'left', which the model predicts"),
        ("left", frame.rename({"left": "lefts"}), "Did you mean 'lefts'"),
        ("left", frame.select("left").with_columns(other=pl.lit(1)), "None of the columns the model reads"),
        (
            "left",
            frame.with_columns(left=pl.lit("perhaps")),
            r"none of the classes .* \(no, yes\), but perhaps",
        ),
        ("amount", frame.with_columns(amount=pl.lit("much")), "holds no number"),
        ("left", frame.head(7), "Only 7 rows have a value in 'left'; an evaluation needs at least 10"),
    ):
        with pytest.raises(Invalid, match=says):
            evaluated(models[target], table, tmp_path)


def test_many_rows_are_looked_at_in_part(
    models: dict[str, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdout, "MOST_ROWS", 150)
    found = evaluated(models["left"], rows(300, 6), tmp_path)
    assert (found["rows"], found["rows_used"]) == (300, 150)
    assert found["notes"] == ["A random sample of 150 of the 300 labelled rows was scored."]
    monkeypatch.setattr(holdout, "_CHUNK", 40)
    found = evaluated({**models["left"], "seconds": 0}, rows(300, 6), tmp_path)
    assert found["rows_used"] == 40


def test_a_stored_table_is_taken_as_it_is(models: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    rows(200, 7).write_csv(tmp_path / "s.csv", separator=";")
    schema = read_table(tmp_path / "s.csv", "s.csv", tmp_path / "s.parquet").schema.to_json()
    digest = hashlib.sha256((tmp_path / "s.parquet").read_bytes()).hexdigest()
    found = holdout.run({**models["amount"], "table": str(tmp_path / "s.parquet"), "schema": schema})
    assert found["metrics"] == evaluated(models["amount"], rows(200, 7), tmp_path)["metrics"]
    assert hashlib.sha256((tmp_path / "s.parquet").read_bytes()).hexdigest() == digest
