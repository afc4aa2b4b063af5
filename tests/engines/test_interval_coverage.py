"""Intervals of numbers and sets of classes hold the truth of rows that nobody trained on as often as was asked, on average over
random splits of real tables: within two points, and more where the likeliest class alone is right more often than was asked."""

from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from sklearn import datasets
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from coreplex.engines.scoring.calibration import Conformal

SPLITS = 40
FOLDS = 5
Table = tuple[np.ndarray, np.ndarray]


def _iris() -> Table:
    """The sepals alone, which tell two of the species apart badly."""
    x, y = datasets.load_iris(return_X_y=True)
    return x[:, :2], y


def _trees() -> lgb.LGBMRegressor:
    return lgb.LGBMRegressor(n_estimators=40, num_leaves=8, n_jobs=1, verbose=-1)


TABLES: dict[str, tuple[Callable[[], Table], Callable[[], Any]]] = {
    "diabetes": (lambda: datasets.load_diabetes(return_X_y=True), Ridge),
    "diabetes by trees": (lambda: datasets.load_diabetes(return_X_y=True), _trees),
    "iris": (_iris, GaussianNB),
    "breast cancer": (
        lambda: datasets.load_breast_cancer(return_X_y=True),
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    ),
}

QUICK = ("diabetes", "iris")


def answers(model: Any, x: np.ndarray) -> np.ndarray:
    """(n, k) probabilities, or (n,) numbers."""
    found: np.ndarray = model.predict_proba(x) if hasattr(model, "predict_proba") else model.predict(x)
    return found


def bagged(table: Table, make: Callable[[], Any], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """As models are made here: truth and out-of-fold answers of three quarters of the rows; truth and mean answers of the fold
    copies of the rest."""
    x, y = table
    order = np.random.default_rng(seed).permutation(len(y))
    rest, own = order[: len(y) // 4], order[len(y) // 4 :]
    copies, folds, out_of_fold = [], np.arange(len(own)) % FOLDS, {}
    for fold in range(FOLDS):
        copies.append(make().fit(x[own[folds != fold]], y[own[folds != fold]]))
        out_of_fold.update(zip(own[folds == fold], answers(copies[-1], x[own[folds == fold]]), strict=True))
    judged = np.array([out_of_fold[row] for row in own])
    return y[own], judged, y[rest], np.mean([answers(copy, x[rest]) for copy in copies], axis=0)


def inside(level: float, y: np.ndarray, p: np.ndarray, truth: np.ndarray, said: np.ndarray) -> np.ndarray:
    """(n,) whether the truth is in the interval, or the set."""
    if said.ndim == 1:
        lower, upper = Conformal.of_numbers(y, p).bounds(said.tolist(), level)
        return (lower <= truth) & (truth <= upper)
    sets = Conformal.of_classes(y, p).sets(said.tolist(), level)
    return np.array([code in found for code, found in zip(truth, sets, strict=True)])


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in TABLES if name not in QUICK)])
def test_the_truth_is_inside_as_often_as_was_asked(name: str) -> None:
    read, make = TABLES[name]
    table = read()
    made = [bagged(table, make, seed) for seed in range(SPLITS)]
    right = np.mean([np.mean(said.argmax(axis=1) == truth) if said.ndim > 1 else 0 for _, _, truth, said in made])
    for level in (0.9, 0.95):
        share = np.mean([inside(level, *one).mean() for one in made])
        assert level - 0.02 <= share <= max(level, right) + 0.02, (level, share, right)


@pytest.mark.parametrize("rows", [60, 101, 4_260])
@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
def test_a_model_that_answers_every_row_alike_has_sets_all_the_same(rows: int, level: float) -> None:
    """Its fold copies differ by the share of a class in their rows, and the digits that are kept by less: neither is a reason to
    leave a class out."""
    y = (np.arange(rows) % 15 < 4).astype(np.int64)
    folds = np.argsort(np.argsort(y, kind="stable"), kind="stable") % 3
    shares = np.array([y[folds != fold].mean() for fold in range(3)])
    kept = Conformal.from_json(Conformal.of_classes(y, np.column_stack([1 - shares[folds], shares[folds]])).to_json())
    assert kept.sets([[1 - shares.mean(), shares.mean()]], level) == [[0, 1]]


def test_ends_hold_for_a_model_that_answers_one_number() -> None:
    """Truths repeat and lie on the ends; that its answers are alike but for the last digit makes no errors of other sizes."""
    rng = np.random.default_rng(0)
    y = np.round(np.exp(rng.normal(3, 1, 4_000)), 1)
    p = np.full(len(y), y.mean()) * (1 + np.arange(len(y)) % 3 * 1e-16)
    kept = Conformal.from_json(Conformal.of_numbers(y, p).to_json())
    for level in (0.5, 0.8, 0.9):
        lower, upper = kept.bounds([y.mean()], level)
        assert abs(np.mean((lower <= y) & (y <= upper)) - level) < 0.01
    lower, upper = kept.bounds([y.mean(), -5.0], 0.001)
    assert lower[0] <= y.mean() <= upper[0], "however little is asked, the prediction itself is in it"
    assert (lower[1], upper[1]) == (-5.0, 0.0), "no truth is below zero, whatever a model says of rows it has never seen"
    few = rng.choice([0, 1, 2, 3], len(y), p=[0.04, 0.46, 0.46, 0.04]).astype(float)
    kept = Conformal.from_json(Conformal.of_numbers(few, np.full(len(few), few.mean())).to_json())
    lower, upper = kept.bounds([few.mean()], 0.9)
    assert (lower <= 1) & (upper >= 2), "they are eleven in twelve of all"
