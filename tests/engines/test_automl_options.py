"""What columns a table has, and what was asked for: each trains as it should."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.engines.runs import run, table


def words(rows: int) -> pl.DataFrame:
    draw = np.random.default_rng(1)
    good, bad = ["lovely", "great", "fine", "happy"], ["awful", "broken", "late", "sad"]
    filler = ["the", "parcel", "was", "and", "it", "very", "box", "today", "again"]
    answer = draw.choice(["Yes", "No"], rows)
    notes = [
        " ".join([*draw.choice(filler, 8), *draw.choice(good if a == "Yes" else bad, 2), str(i)]) for i, a in enumerate(answer)
    ]
    return pl.DataFrame({"note": notes, "answer": answer})


def test_text_only(tmp_path: Path) -> None:
    result, report = run(words(120), "answer", "classification", tmp_path)
    assert max(m["metrics"]["auc"] for m in report.models) > 0.9
    assert result["best"]


def test_categories_only(tmp_path: Path) -> None:
    _, report = run(table().select("group", "answer"), "answer", "classification", tmp_path)
    assert report.models
    assert all(model["metrics"]["auc"] > 0.5 for model in report.models)


@pytest.mark.parametrize("columns", [300, pytest.param(1_500, marks=pytest.mark.slow)])
def test_more_columns_than_rows(columns: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(size=(80, columns)).round(3)
    names = [f"c{i}" for i in range(columns)]
    frame = pl.DataFrame(x, schema=names).with_columns(y=pl.Series(np.where(x[:, 0] > 0, "a", "b")))
    # How many models ten minutes make depends on what else the machine does; one there is whatever it does.
    _, report = run(frame, "y", "classification", tmp_path, nfolds=2)
    assert report.models
    assert all(0.0 <= model["metrics"]["auc"] <= 1.0 for model in report.models)


@pytest.mark.parametrize(
    ("config", "strategy"),
    [
        ({"nfolds": 0}, "one holdout (validation 'stratified')"),
        ({"nfolds": -1, "validation": "random"}, "8 folds (validation 'random')"),
        ({"time_column": "moment"}, "3 folds (validation 'time' by 'moment')"),
        ({"validation": "time"}, "3 folds (validation 'time' by the order of the rows in the file)"),
        ({"group_column": "group"}, "3 folds (validation 'group' by 'group')"),
        ({"group_column": "group", "time_column": "moment"}, "3 folds (validation 'group_time' by 'group' and 'moment')"),
        ({"fold_column": "group"}, "3 folds (validation 'column' by 'group')"),
        ({"weights_column": "moment"}, "3 folds (validation 'stratified')"),
        ({"balance_classes": True}, "3 folds (validation 'stratified')"),
    ],
)
def test_ways_to_validate(config: dict[str, Any], strategy: str, tmp_path: Path) -> None:
    _, report = run(table(), "answer", "classification", tmp_path, **config)
    assert any(strategy in line for line in report.logs)
    assert report.models
    assert all(m["metrics"]["auc"] > 0.6 for m in report.models)


@pytest.mark.parametrize("distribution", ["poisson", "gamma", "tweedie", "laplace", "quantile", "huber"])
def test_distributions(distribution: str, tmp_path: Path) -> None:
    algos = ["GBM", "XGBoost"]
    _, report = run(table(), "amount", "regression", tmp_path, distribution=distribution, include_algos=algos, max_models=3)
    assert {m["algo"] for m in report.models} <= {*algos, "StackedEnsemble"}
    assert report.models[0]["metrics"]["rmse"] < table()["amount"].std()


def test_only_the_algorithms_asked_for(tmp_path: Path) -> None:
    _, report = run(table(), "answer", "classification", tmp_path, include_algos=["GLM", "XRT"], max_models=5)
    assert {m["algo"] for m in report.models} == {"GLM", "XRT"}
