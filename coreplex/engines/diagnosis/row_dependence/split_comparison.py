"""Compares two cross-validation splits: one cheap model is scored by both on the same rows, and the difference tested.

Gradient boosting with small leaves, because it is small leaves that recognise a subject or a moment. Classes are learned one
against the rest with squared errors, so that a row's loss is its Brier score and regression and classification are one
thing. Losses of the two ways are compared row by row, and rows that may go together (one group, one stretch of time, the
copies of one row) count as one observation.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.automl.splits.folds import Fold, Index
from coreplex.engines.import_boosters import lightgbm as lgb

Array = NDArray[np.float64]
LEAST_STANDARD_ERRORS = 3.0
"""Standard errors of independent rows a difference must exceed: 1 in 700 does by chance, were the rows independent."""
LEAST_CLUSTERED_ERRORS = 1.3
"""And standard errors clustered by groups or stretches of time: 9 in 10 tables like this one would show it."""
LEAST_EXCESS = 0.02
"""Fraction of the loss that a random split must hide: less than that is not worth another split."""
_MIN_JUDGED = 20
_ROUNDS = 60
_SETTINGS = {
    "objective": "l2",
    "num_leaves": 31,
    "learning_rate": 0.15,
    "min_data_in_leaf": 3,
    "feature_fraction": 0.8,
    "max_bin": 127,
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
    "verbosity": -1,
    "seed": 1,
}


@dataclass(frozen=True)
class EncodedRows:
    """Encoded rows: x (n, features) with NaN where missing; y (n, outputs), one column per class or the scaled number."""

    x: Array
    y: Array
    classification: bool
    unit: float = 1.0
    """What 1 of y is in the target's own unit."""

    @property
    def metric(self) -> str:
        """The metric scores are in: that of the leaderboard, but for many classes, where it is accuracy."""
        return "rmse" if not self.classification else "auc" if self.y.shape[1] == 1 else "accuracy"

    @property
    def strata(self) -> NDArray[np.generic]:
        """(n,) the class code, or the number: what folds are stratified by."""
        if not self.classification:
            return self.y[:, 0]
        return self.y.argmax(axis=1) if self.y.shape[1] > 1 else self.y[:, 0].astype(np.int64)

    def losses(self, rows: Index, predicted: Array) -> Array:
        """(rows,) losses of predictions (rows, outputs) for these rows: squared error of a number, Brier score of classes."""
        return np.asarray(((self.y[rows] - predicted) ** 2).sum(axis=1))

    def score(self, rows: Index, predicted: Array) -> float | None:
        """`metric` of predictions (rows, outputs) for these row numbers, an RMSE in the target's unit; None where undefined."""
        truth = self.y[rows]
        if not self.classification:
            return metrics.function("regression", "rmse")(truth[:, 0] * self.unit, predicted * self.unit)
        if truth.shape[1] == 1:
            return metrics.function("binary", "auc")(truth[:, 0].astype(np.int64), np.hstack([1 - predicted, predicted]))
        return metrics.function("multiclass", "accuracy")(truth.argmax(axis=1), predicted)


@dataclass(frozen=True)
class SplitComparison:
    """Scores of the same rows, by the `random` split and by the `honest` one, in `metric`.

    `excess`: the fraction of the honest loss by which the random one is less; `error`: its clustered standard error.
    """

    metric: str
    random: float
    honest: float
    excess: float
    error: float
    certain: bool
    """Whether the random split is better by more than chance, and by enough to matter."""


FoldPair = tuple[Fold, Fold]
"""A random and an honest fold that are compared; the rows they judge are the same over all pairs together."""


def compare_splits(
    rows: EncodedRows, pairs: Sequence[FoldPair], clusters: Index, unreliable: Collection[int] = ()
) -> SplitComparison | None:
    """Scores one model by the random and by the honest folds of `pairs`; None where fewer than 20 rows are judged by both.

    `clusters`: (n,) codes; rows of one code count as one observation.

    `unreliable`: features that tell nothing of rows held back honestly (the group, what merely counts the time), on which trees
    may only guess: the honest score is the better of two, with them and without.
    """
    columns = list(range(rows.x.shape[1]))
    loose, judged = _out_of_fold(rows, [pair[0] for pair in pairs], columns)
    choices = [columns, *([[column for column in columns if column not in unreliable]] if unreliable else [])]
    strict = [_out_of_fold(rows, [pair[1] for pair in pairs], choice) for choice in choices]
    both = np.flatnonzero(judged & strict[0][1])
    if len(both) < _MIN_JUDGED:
        return None
    honest = min((predicted[both] for predicted, _ in strict), key=lambda one: rows.losses(both, one).mean())
    scores = rows.score(both, loose[both]), rows.score(both, honest)
    if scores[0] is None or scores[1] is None:
        return None
    difference = rows.losses(both, honest) - rows.losses(both, loose[both])
    excess, error, chance = float(difference.mean()), _error(difference, clusters[both]), _error(difference, both)
    whole = float(rows.losses(both, honest).mean()) or 1.0
    better = (scores[0] > scores[1]) == (rows.metric in metrics.HIGHER_IS_BETTER)
    least = max(LEAST_EXCESS * whole, LEAST_STANDARD_ERRORS * chance, LEAST_CLUSTERED_ERRORS * error)
    certain = better and excess > least
    return SplitComparison(rows.metric, scores[0], scores[1], excess / whole, error / whole, certain)


def _out_of_fold(rows: EncodedRows, folds: Sequence[Fold], columns: list[int]) -> tuple[Array, NDArray[np.bool_]]:
    """Mean prediction of every judged row over the folds that judge it, and which rows are judged."""
    total, count = np.zeros_like(rows.y), np.zeros(len(rows.y))
    x = np.ascontiguousarray(rows.x[:, columns])
    for fold in folds:
        total[fold.valid] += _fitted(x[fold.train], rows.y[fold.train], rows.classification)(x[fold.valid])
        count[fold.valid] += 1
    return total / np.maximum(count, 1)[:, None], count > 0


def _fitted(x: Array, y: Array, classification: bool) -> Callable[[Array], Array]:
    data = lgb.Dataset(x, y[:, 0], params=_SETTINGS).construct()
    boosters = []
    for column in y.T:
        data.set_label(column)
        boosters.append(lgb.train(dict(_SETTINGS), data, _ROUNDS, keep_training_booster=True))

    def predict(new: Array) -> Array:
        out = np.column_stack([np.asarray(booster.predict(new, num_threads=1)) for booster in boosters])
        return np.clip(out, 0.0, 1.0) if classification else out

    return predict


def _error(differences: Array, clusters: Index) -> float:
    """Cluster-robust standard error of the mean of (rows,) differences; infinite for less than three clusters."""
    number = np.unique(clusters, return_inverse=True)[1]
    sums = np.bincount(number, weights=differences - differences.mean())
    count = len(sums)
    return float(np.sqrt(count / (count - 1) * np.square(sums).sum())) / len(differences) if count > 2 else np.inf
