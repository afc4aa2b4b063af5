"""Compares two cross-validation splits: one cheap model is scored by both on the same rows, and the difference tested.

Which rows is the point: whole groups, all along an order, or a stretch of it without a gap; a sample that tears neighbours apart
would not show that they resemble each other. The model is gradient boosting with small leaves, because it is small leaves that
recognise a subject or a moment. Classes are learned one against the rest with squared errors, so that a row's loss is its Brier
score and regression and classification are one thing. Losses of the two ways are compared row by row, and rows that may go
together (one group, one stretch of time, the copies of one row) count as one observation.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import metrics
from coreplex.engines.automl.splits.folds import Fold, Index
from coreplex.engines.import_boosters import lightgbm as lgb
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

Array = NDArray[np.float64]
ROWS = 3_000
"""Rows of one trial, at most."""
_LONGEST = 2_000_000
_FEATURES = 60
_CLASSES = 4
_MOST_OF_ONE = 30
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


class LabelledTable:
    """The rows of a Parquet table whose target is known (2,000,000 at most), read a few columns and rows at a time."""

    def __init__(
        self, path: Path, schema: TableSchema, target: str, ignored: Collection[str | None], leaks: Collection[str]
    ) -> None:
        self.target, self.leaks = target, set(leaks)
        self.columns = [c for c in schema if c.name != target and c.name not in ignored and c.type is not ColumnType.text]
        known = pl.col(target).is_not_null()
        column = schema.get(target)
        if column is not None and column.dtype.startswith("float"):
            known &= pl.col(target).is_finite()
        self.scan = pl.scan_parquet(path, glob=False).filter(known).head(_LONGEST)
        self.rows: int = self.scan.select(pl.len()).collect(engine="streaming").item()

    def read(self, names: Sequence[str], rows: Index | None = None) -> pl.DataFrame:
        """These columns and the target, of these rows (numbers in file order, ascending) or of all."""
        scan = self.scan.select(*dict.fromkeys([*names, self.target]))
        if rows is None or len(rows) == self.rows:
            return scan.collect(engine="streaming")
        wanted = pl.LazyFrame({"row": rows.astype(np.uint32)})
        return scan.with_row_index("\0row").join(wanted, left_on="\0row", right_on="row", how="semi").drop("\0row").collect()

    @property
    def features(self) -> list[Column]:
        """Columns without identifiers and leaks; of more than 60, evenly spaced ones."""
        features = [column for column in self.columns if column.type is not ColumnType.id and column.name not in self.leaks]
        return features[:: max(1, -(-len(features) // _FEATURES))]


def evenly_spaced(index: Index, most: int) -> Index:
    """At most `most` of the row numbers (n,), evenly spaced, the first and the last among them."""
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).astype(np.int64)]


def range_and_window(ordered: Index) -> list[Index]:
    """One or two selections of up to 3,000 of the row numbers (n,) in time order.

    Evenly spaced ones and, where those leave out more than half, a contiguous window from the middle, whose rows are neighbours.
    """
    found = [evenly_spaced(ordered, ROWS)]
    if len(ordered) > 2 * ROWS:
        middle = (len(ordered) - ROWS) // 2
        found.append(ordered[middle : middle + ROWS])
    return found


def sample_groups(groups: Index, seed: int) -> Index:
    """Row numbers, ascending, of randomly chosen groups, 3,000 at most, and of a group 30 at most, so that there are many groups.

    `groups`: (n,) group codes.
    """
    draw = np.random.default_rng(seed)
    number = np.unique(groups, return_inverse=True)[1]
    turn = draw.permutation(int(number.max()) + 1)[number]
    shuffled = draw.permutation(len(groups))
    order = shuffled[np.argsort(turn[shuffled], kind="stable")]
    place = np.arange(len(order)) - np.searchsorted(turn[order], turn[order])
    return np.sort(order[place < _MOST_OF_ONE][:ROWS])


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


def encode(frame: pl.DataFrame, columns: Sequence[Column], target: str, classification: bool) -> EncodedRows:
    """Features as floats (numbers as they are, times in seconds since 1970, others by rank) and the target in up to 4 columns.

    Of two classes one column, of more one-hot, from the fourth on together; a number is clipped at its 0.5 and 99.5 % quantiles
    and standardised.
    """
    x = np.column_stack([_numbers(frame[c.name]) for c in columns]) if columns else np.empty((frame.height, 0))
    values = frame[target]
    if not classification:
        y = values.cast(pl.Float64).to_numpy()
        y = np.clip(y, *np.quantile(y, [0.005, 0.995]))
        unit = float(y.std()) or 1.0
        return EncodedRows(x, ((y - y.mean()) / unit)[:, None], classification=False, unit=unit)
    number = np.unique(values.rank("dense").to_numpy(), return_inverse=True)[1]
    common = np.argsort(-np.bincount(number), kind="stable")
    place = np.minimum(np.argsort(common)[number], _CLASSES - 1)
    y = np.eye(min(len(common), _CLASSES))[place]
    return EncodedRows(x, y[:, 1:] if y.shape[1] == 2 else y, classification=True)


def _numbers(values: pl.Series) -> Array:
    if values.dtype.is_temporal():
        values = values.cast(pl.Datetime("ms")).dt.epoch("ms") / 1_000
    elif not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        values = values.rank("dense")
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


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
