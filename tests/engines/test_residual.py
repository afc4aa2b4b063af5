"""Trees on what a linear model leaves over: sums and drifts are found, scored alike everywhere, and nothing leaks."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.engines.automl.budget import Deadline
from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.families.base import Problem
from coreplex.engines.automl.families.family import Candidate
from coreplex.engines.automl.families.lightgbm import CAREFUL, QUICK, SMALL_RESIDUAL
from coreplex.engines.automl.searches.portfolio_search import portfolio
from coreplex.engines.automl.splits import folds
from coreplex.engines.automl.splits.split import Split
from coreplex.engines.automl.trial.cross_validation import cross_validate, refitted
from coreplex.engines.automl.trial.leaderboard import Finished
from coreplex.engines.automl.trial.matrices import Matrices
from coreplex.engines.encoding import residual
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.contributions import exact
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import TableSchema
from tests.engines.scoring_samples import column, encode_row, predict_frame

COLUMNS = (*(column(f"part{i}", "float") for i in range(4)), column("total", "float"), column("plan", "categorical"))


def table(rows: int = 700, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray[Any, Any]]:
    """A total, four of its parts, one of them sometimes missing; the target is the rest, which plans count differently."""
    draw = np.random.default_rng(seed)
    parts = draw.gamma(2.0, 30.0, size=(rows, 4))
    rest, plan = draw.gamma(1.5, 20.0, rows), draw.integers(0, 3, rows)
    columns: dict[str, Any] = {f"part{i}": parts[:, i] for i in range(4)}
    columns |= {"total": parts.sum(axis=1) + rest, "plan": [f"plan {i}" for i in plan]}
    frame = pl.DataFrame(columns).with_columns(
        pl.when(pl.Series(draw.random(rows) < 0.02)).then(None).otherwise("part3").alias("part3")
    )
    return frame, rest + 10.0 * (plan == 1) + draw.normal(0, 1, rows)


TABLE, Y = table()


def task(y: np.ndarray[Any, Any] = Y, nfolds: int = 3) -> Task:
    plan = folds.plan(y, nfolds=nfolds, seed=1, classification=False)
    return Task("regression", column("y", "float"), COLUMNS, TABLE, y, (), None, Split("random", ""), plan, 1)


def validated(candidate: Candidate, what: Task) -> Finished:
    return cross_validate("GBM", candidate, Matrices(what), Problem("regression", 1, seed=1), Deadline.never())


@pytest.fixture(scope="module")
def model() -> Finished:
    return validated(SMALL_RESIDUAL, task())


def test_the_rest_of_a_total_is_found_where_trees_alone_are_far(model: Finished) -> None:
    alone = validated(CAREFUL, task()).metrics["rmse"]
    assert model.metrics["rmse"] < 0.6 * alone  # type: ignore[operator]


def test_it_is_stored_and_scored_like_any_other(model: Finished, tmp_path: Path) -> None:
    schema = TableSchema(COLUMNS).to_json()
    manifest = bundle.Manifest(task="regression", target="y", feature_schema=schema, algo="GBM", combine=model.combine)
    written = bundle.write(tmp_path / "bundle.zip", manifest, model.members)
    scorer = Scorer.load(written.path, written.sha256)
    frame = TABLE[:60]
    answers = predict_frame(scorer, frame)["prediction"].to_numpy()
    rows = [scorer.predict_row(row)[0]["prediction"] for row in frame.to_dicts()]
    np.testing.assert_allclose(rows, answers, rtol=1e-12)
    assert np.abs(answers - Y[:60]).mean() < 5
    explained = exact(scorer.ensemble, scorer.ensemble.encode(frame), scorer.features)
    assert np.abs(explained.residual).max() < 1e-6


def test_the_members_together_are_what_was_judged() -> None:
    """One fold: its rows are judged by one copy, whose two members add up."""
    what = task(nfolds=2)
    found = validated(SMALL_RESIDUAL, what)
    fold = what.plan.folds[0]
    judged = TABLE[fold.valid]
    copy = [member for member in found.members if member.encoder in {m.encoder for m in found.members[:2]}]
    total = sum(member.weight * member.predictor.predict(member.encoder.transform(judged)) for member in copy)
    np.testing.assert_allclose(total / sum(m.weight for m in copy), found.oof[fold.valid], rtol=1e-9)


def test_a_refit_has_both_members(model: Finished) -> None:
    again = refitted(model, Matrices(task()), Problem("regression", 1, seed=1), Deadline.never())
    assert [member.predictor.kind for member in again.members] == ["lightgbm", "linear"]


def test_a_random_target_is_not_foretold() -> None:
    y = np.random.default_rng(5).normal(size=TABLE.height)
    assert validated(SMALL_RESIDUAL, task(y)).metrics["r2"] < 0.03  # type: ignore[operator]


def test_it_comes_second_and_only_for_squared_errors() -> None:
    assert portfolio(task())[:2] == [QUICK, SMALL_RESIDUAL]
    assert [SMALL_RESIDUAL.supports("regression", name) for name in ("AUTO", "gaussian", "quantile")] == [True, True, False]


def test_amounts_are_seen_as_logarithms_too() -> None:
    """Log-normal debts and incomes: their ratio is linear in the logarithms."""
    draw = np.random.default_rng(1)
    debt, income = np.exp(draw.normal(7, 1, 500)), np.exp(draw.normal(8, 1, 500))
    frame = pl.DataFrame(
        {"debt": debt, "income": [None if i % 50 == 0 else v for i, v in enumerate(income)], "x": draw.normal(size=500)}
    )
    columns = [column(name, "float") for name in frame.columns]
    encoder = Encoder.fit(frame, columns, None, kind="dense", task="regression")
    assert encoder.names == ("debt:log", "debt", "income:log", "income", "income=missing", "x")
    again = Encoder.from_json(*encoder.to_json())
    odd = [*frame.to_dicts()[:5], {"debt": -4.0, "income": 1e300, "x": None}, {"debt": 0, "income": None, "x": 3}]
    matrix = again.transform(pl.DataFrame(odd, schema=dict.fromkeys(frame.columns, pl.Float64)))
    np.testing.assert_array_equal(np.array([encode_row(encoder, row)[0] for row in odd]), matrix)
    assert np.isfinite(matrix).all()
    assert encode_row(encoder, {"debt": 1e9, "income": 1.0, "x": 0.0})[1][0]["kind"] == "out_of_range"


@pytest.mark.parametrize("weighted", [False, True])
def test_the_ridge_is_that_of_the_library(weighted: bool) -> None:
    from sklearn.linear_model import Ridge, RidgeCV

    draw = np.random.default_rng(2)
    z = draw.normal(size=(120, 6))
    y = z @ np.array([3.0, 0, 0, 1, 0, 0]) + 5.0 + draw.normal(size=120) * 3
    weights = draw.uniform(0.5, 2.0, 120) if weighted else None
    slopes, bias = residual.ridge(z, y, weights)
    penalty = RidgeCV(alphas=residual.PENALTIES).fit(z, y, weights).alpha_
    scale = 1.0 if weights is None else weights / weights.mean()
    known = Ridge(alpha=penalty).fit(z, y, scale)
    np.testing.assert_allclose([*slopes, bias], [*known.coef_, known.intercept_], rtol=1e-6)
    wide = np.hstack([z, 1e-3 * draw.normal(size=(120, 1_100))])
    slopes, bias = residual.ridge(wide, y, weights)
    assert abs(slopes[0] - known.coef_[0]) < 0.5
