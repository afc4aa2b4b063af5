"""Univariate scores: how well one column alone predicts the target out of fold.

A column of few values predicts the mean of the other folds' rows with the same value; a column of many values the mean of its
neighbours in sorted order, without the row itself. The skill is 1 − squared error ÷ squared error of the mean, at most 1: of a
number R², the better of its values and its ranks (which outliers cannot hide); of classes the Brier skill of their one-hot
columns together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.tabular.schema import Column

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

CLASSES = 20
"""One-hot columns at most: those of the commonest classes."""
FOLDS = 5
LEAST_ROWS_PER_LEVEL = 20
"""From as many rows per value on, a column of numbers predicts by value instead of by neighbours."""
NEIGHBOURS = 5
WIDE_SHARE = 50
"""The wider window holds this share of the rows on each side: weak columns need many neighbours, exact ones few."""


@dataclass(frozen=True)
class EncodedTarget:
    """The target of n sampled rows, as arrays.

    `responses`: matrices (n, k) a column may predict, none where the target is constant: of classes their one-hot columns (k up
    to 20), of a number itself in −1..1 and its ranks in 0..1 (k = 1). `codes`: (n,) class codes from 0, the commonest first, or
    dense ranks of a number; `folds`: (n,) 0 to 4; `ties`: (n,) random numbers in 0..1 that break ties.
    """

    values: pl.Series
    classification: bool
    responses: tuple[Floats, ...]
    codes: Codes
    folds: Codes
    ties: Floats

    @classmethod
    def of(cls, values: pl.Series, *, classification: bool, seed: int) -> "EncodedTarget":
        """From (n,) values without nulls."""
        rng = np.random.default_rng(seed)
        n = values.len()
        folds, ties = rng.permutation(n) % FOLDS, rng.random(n)
        if classification:
            codes = _class_codes(values)
            count = min(int(codes.max(initial=0)) + 1, CLASSES)
            responses: tuple[Floats, ...] = (np.equal.outer(codes, np.arange(count)).astype(np.float64),) if count > 1 else ()
            return cls(values, True, responses, codes, folds, ties)
        numbers = _scaled(values.cast(pl.Float64).to_numpy())
        codes = dense_ranks(numbers)
        spread = numbers.std() > 0
        responses = (numbers[:, None], (average_ranks(numbers) / n)[:, None]) if spread else ()
        return cls(values, False, responses, codes, folds, ties)

    @property
    def rows(self) -> int:
        """How many rows, n."""
        return self.values.len()

    @cached_property
    def classes(self) -> list[object]:
        """The classes in the order of their codes; of a number its distinct values, ascending."""
        first = pl.DataFrame({"code": self.codes, "value": self.values}).unique("code").sort("code")
        return first["value"].to_list()

    @cached_property
    def metric(self) -> str:
        """The metric `score` is in: `r2`, of two classes `auc`, of more `accuracy`."""
        if not self.classification:
            return "r2"
        return "auc" if int(self.codes.max(initial=0)) == 1 else "accuracy"

    def score(self, predictions: Floats, response: int = 0, rows: Codes | None = None) -> float:
        """Score (at most 1) of predictions (n, k) for `responses[response]`, in the metric; `rows`: those predicted."""
        truth, codes = (
            (self.responses[response], self.codes) if rows is None else (self.responses[response][rows], self.codes[rows])
        )
        if self.metric == "r2":
            return variance_explained(truth, predictions)
        if self.metric == "auc":
            return _auc(truth[:, 1] > 0, predictions[:, 1] - predictions[:, 0])
        return float((predictions.argmax(axis=1) == codes).mean())


@dataclass(frozen=True)
class UnivariateScore:
    """How well a column alone, or a model, predicts out of fold: `skill`, the fraction of variance explained, and `score`.

    Both are at most 1 and may be negative (AUC and accuracy: 0..1); `score` is in the target's metric.
    """

    skill: float
    score: float


def score_column(column: Column, values: pl.Series, target: EncodedTarget) -> UnivariateScore | None:
    """The best score of a column's views and the target's responses; None for a constant, or texts that hardly repeat.

    `values`: (n,) in the order of the target's rows, null where missing.
    """
    best: tuple[float, int, Floats] | None = None
    for view in column_views(column, values):
        for response, predictions in out_of_fold_predictions(view, target):
            skill = variance_explained(target.responses[response], predictions)
            if best is None or skill > best[0]:
                best = (skill, response, predictions)
    return UnivariateScore(best[0], target.score(best[2], best[1])) if best else None


def column_views(column: Column, values: pl.Series) -> list[pl.Series]:
    """A column as (n,) series to predict from: itself, and of times also month, weekday and hour; none where it is constant."""
    if values.n_unique() < 2:
        return []
    if not values.dtype.is_temporal():
        return [values]
    parts = [values.dt.month(), values.dt.weekday()]
    if column.dtype == "datetime":
        parts.append(values.dt.hour())
    moments = values.cast(pl.Datetime("us")).to_physical()
    return [moments, *(part for part in parts if part.n_unique() > 1)]


def out_of_fold_predictions(view: pl.Series, target: EncodedTarget) -> Iterator[tuple[int, Floats]]:
    """Out-of-fold predictions (n, k) from a view, each with the number of its response; none where texts hardly repeat."""
    distinct, rows = view.n_unique(), view.len()
    words = view.dtype in (pl.String, pl.Boolean)
    if words and 2 * distinct > rows:
        return
    if words or distinct * LEAST_ROWS_PER_LEVEL <= rows:
        codes = level_codes(view)
        yield from ((response, level_means(codes, truth, target.folds)) for response, truth in enumerate(target.responses))
        return
    order, absent = sorted_rows(view.cast(pl.Float64).to_numpy(), target.ties)
    for window in dict.fromkeys((NEIGHBOURS, max(NEIGHBOURS, rows // WIDE_SHARE))):
        yield from ((response, neighbour_means(order, absent, truth, window)) for response, truth in enumerate(target.responses))


def level_codes(values: pl.Series) -> Codes:
    """(n,) codes of the distinct values in ascending order, from 1; missing is 0."""
    return values.to_physical().rank("dense").fill_null(0).to_numpy().astype(np.int64)


def level_means(codes: Codes, truth: Floats, folds: Codes) -> Floats:
    """(n, k): mean of `truth` over rows of the same level in other folds, shrunk to the overall mean by one row.

    `codes`, `folds`: (n,), folds 0 to 4; `truth`: (n, k).
    """
    mean = truth.mean(axis=0)
    cells = codes * FOLDS + folds
    size = (int(codes.max()) + 1) * FOLDS
    counts = np.bincount(codes)[codes] - np.bincount(cells, minlength=size)[cells]
    predictions = np.empty_like(truth)
    for index, column in enumerate(truth.T):
        sums = np.bincount(codes, weights=column)[codes] - np.bincount(cells, weights=column, minlength=size)[cells]
        predictions[:, index] = (sums + mean[index]) / (counts + 1)
    return predictions


def sorted_rows(numbers: Floats, ties: Floats) -> tuple[Codes, Codes]:
    """(row numbers with a value, sorted by it and then by `ties`; row numbers without one) of (n,) numbers, NaN where missing."""
    known = ~np.isnan(numbers)
    place = np.flatnonzero(known)
    return place[np.lexsort((ties[place], numbers[place]))], np.flatnonzero(~known)


def neighbour_means(order: Codes, absent: Codes, truth: Floats, window: int) -> Floats:
    """(n, k): mean of `truth` over `window` rows on each side in sorted order, without the row itself.

    `order`, `absent`: of `sorted_rows`; rows without a value get the mean of the others without one. `truth`: (n, k).
    """
    predictions = np.empty_like(truth)
    predictions[order] = _window_means(truth[order], window)
    if len(absent):
        rest = truth[absent]
        predictions[absent] = (rest.sum(axis=0) - rest + truth.mean(axis=0)) / len(absent)
    return predictions


def dense_ranks(values: Floats) -> Codes:
    """Dense ranks (n,) from 0, without gaps: equal values have one rank."""
    return np.unique(values, return_inverse=True)[1]


def average_ranks(values: Floats) -> Floats:
    """Average ranks (n,) from 1: equal values share the mean of the places they take.

    As `scipy.stats.rankdata`, whose import takes half a second of processor time.
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[places])


def variance_explained(truth: Floats, predictions: Floats) -> float:
    """1 − squared error ÷ squared error of the mean: at most 1, 0 where the truth is constant. Both (n, k)."""
    spread = float(((truth - truth.mean(axis=0)) ** 2).sum())
    return 1.0 - float(((truth - predictions) ** 2).sum()) / spread if spread > 0 else 0.0


def _window_means(truth: Floats, window: int) -> Floats:
    n = len(truth)
    if n < 3:
        return np.broadcast_to(truth.mean(axis=0), truth.shape) if n else truth
    total = np.vstack((np.zeros((1, truth.shape[1])), np.cumsum(truth, axis=0)))
    low = np.maximum(np.arange(n) - window, 0)
    high = np.minimum(np.arange(n) + window + 1, n)
    return np.asarray((total[high] - total[low] - truth) / (high - low - 1)[:, None])


def _class_codes(values: pl.Series) -> Codes:
    """(n,) class codes, the commonest 0; equally common ones in the order of their values."""
    name = values.name
    counts = values.value_counts(name="rows").sort(["rows", name], descending=[True, False])
    numbers = counts.select(name, pl.int_range(pl.len()).alias("number"))
    return values.to_frame().join(numbers, on=name, how="left", maintain_order="left")["number"].to_numpy().astype(np.int64)


def _scaled(values: Floats) -> Floats:
    """(n,) scaled into −1..1, so that no square overflows."""
    top = float(np.abs(values).max(initial=0.0))
    return values / top if top > 0 else values


def _auc(positive: NDArray[np.bool_], predictions: Floats) -> float:
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return 0.5
    places = average_ranks(predictions)
    return float((places[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))
