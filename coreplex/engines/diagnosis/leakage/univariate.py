"""How well one column alone predicts the target on rows it has not seen.

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

from coreplex.engines.diagnosis.leakage import ranks
from coreplex.engines.tabular.schema import Column

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

CLASSES = 20
"""One-hot columns at most: the commonest classes."""
FOLDS = 5
COMPANY = 20
"""A column with as many rows per value, or more, is looked at value by value."""
NEIGHBOURS = 5
WIDE_SHARE = 50
"""The wider window holds this share of the rows on each side: weak columns need many neighbours, exact ones few."""


@dataclass(frozen=True)
class Target:
    """The target of the sampled rows. `looks`: the matrices (n, k) that a column may predict, none when it is constant.

    `codes`: (n,) class numbers, the commonest first, or ranks of a number; `folds`: (n,) 0 to 4, `ties`: (n,) a random order.
    """

    values: pl.Series
    classification: bool
    looks: tuple[Floats, ...]
    codes: Codes
    folds: Codes
    ties: Floats

    @classmethod
    def of(cls, values: pl.Series, *, classification: bool, seed: int) -> "Target":
        rng = np.random.default_rng(seed)
        n = values.len()
        folds, ties = rng.permutation(n) % FOLDS, rng.random(n)
        if classification:
            codes = _class_codes(values)
            count = min(int(codes.max(initial=0)) + 1, CLASSES)
            looks: tuple[Floats, ...] = (np.equal.outer(codes, np.arange(count)).astype(np.float64),) if count > 1 else ()
            return cls(values, True, looks, codes, folds, ties)
        numbers = _scaled(values.cast(pl.Float64).to_numpy())
        codes = ranks.dense(numbers)
        spread = numbers.std() > 0
        looks = (numbers[:, None], (ranks.average(numbers) / n)[:, None]) if spread else ()
        return cls(values, False, looks, codes, folds, ties)

    @property
    def rows(self) -> int:
        return self.values.len()

    @cached_property
    def classes(self) -> list[object]:
        """The classes in the order of their codes; the distinct values of a number."""
        first = pl.DataFrame({"code": self.codes, "value": self.values}).unique("code").sort("code")
        return first["value"].to_list()

    @cached_property
    def metric(self) -> str:
        """What `Probe.score` is: `r2`, `auc` of two classes, `accuracy` of more."""
        if not self.classification:
            return "r2"
        return "auc" if int(self.codes.max(initial=0)) == 1 else "accuracy"

    def score(self, guesses: Floats, look: int = 0, rows: Codes | None = None) -> float:
        """Of guesses (n, k) for a look, in the metric; `rows`: which they are for, when not for all."""
        truth, codes = (self.looks[look], self.codes) if rows is None else (self.looks[look][rows], self.codes[rows])
        if self.metric == "r2":
            return explained(truth, guesses)
        if self.metric == "auc":
            return _auc(truth[:, 1] > 0, guesses[:, 1] - guesses[:, 0])
        return float((guesses.argmax(axis=1) == codes).mean())


@dataclass(frozen=True)
class Probe:
    """A column alone: `skill` as above, `score` in the target's metric."""

    skill: float
    score: float


def probe(column: Column, values: pl.Series, target: Target) -> Probe | None:
    """None for what cannot be looked at alone: one value, or texts that hardly repeat."""
    best: tuple[float, int, Floats] | None = None
    for view in views(column, values):
        for look, guesses in guessed(view, target):
            skill = explained(target.looks[look], guesses)
            if best is None or skill > best[0]:
                best = (skill, look, guesses)
    return Probe(best[0], target.score(best[2], best[1])) if best else None


def views(column: Column, values: pl.Series) -> list[pl.Series]:
    """The ways to look at a column: itself, and the parts of a time that come again."""
    if values.n_unique() < 2:
        return []
    if not values.dtype.is_temporal():
        return [values]
    parts = [values.dt.month(), values.dt.weekday()]
    if column.dtype == "datetime":
        parts.append(values.dt.hour())
    moments = values.cast(pl.Datetime("us")).to_physical()
    return [moments, *(part for part in parts if part.n_unique() > 1)]


def guessed(view: pl.Series, target: Target) -> Iterator[tuple[int, Floats]]:
    """Out-of-fold guesses (n, k) of a view, each with the look it is for; none where its texts hardly repeat."""
    distinct, rows = view.n_unique(), view.len()
    words = view.dtype in (pl.String, pl.Boolean)
    if words and 2 * distinct > rows:
        return
    if words or distinct * COMPANY <= rows:
        codes = level_codes(view)
        yield from ((look, by_level(codes, truth, target.folds)) for look, truth in enumerate(target.looks))
        return
    order, absent = in_order(view.cast(pl.Float64).to_numpy(), target.ties)
    for window in dict.fromkeys((NEIGHBOURS, max(NEIGHBOURS, rows // WIDE_SHARE))):
        yield from ((look, by_neighbours(order, absent, truth, window)) for look, truth in enumerate(target.looks))


def level_codes(values: pl.Series) -> Codes:
    """(n,) numbers of the distinct values from 0; missing is a value, the first."""
    return values.to_physical().rank("dense").fill_null(0).to_numpy().astype(np.int64)


def by_level(codes: Codes, truth: Floats, folds: Codes) -> Floats:
    """Mean of the other folds' rows with the same value, drawn to the overall mean by one row."""
    mean = truth.mean(axis=0)
    cells = codes * FOLDS + folds
    size = (int(codes.max()) + 1) * FOLDS
    counts = np.bincount(codes)[codes] - np.bincount(cells, minlength=size)[cells]
    guesses = np.empty_like(truth)
    for index, column in enumerate(truth.T):
        sums = np.bincount(codes, weights=column)[codes] - np.bincount(cells, weights=column, minlength=size)[cells]
        guesses[:, index] = (sums + mean[index]) / (counts + 1)
    return guesses


def in_order(numbers: Floats, ties: Floats) -> tuple[Codes, Codes]:
    """(rows with a value, sorted by it, equal ones in random order; rows without one)."""
    known = ~np.isnan(numbers)
    place = np.flatnonzero(known)
    return place[np.lexsort((ties[place], numbers[place]))], np.flatnonzero(~known)


def by_neighbours(order: Codes, absent: Codes, truth: Floats, window: int) -> Floats:
    """Mean of `window` rows on both sides in sorted order, without the row; rows without a value are each other's company."""
    guesses = np.empty_like(truth)
    guesses[order] = _window_means(truth[order], window)
    if len(absent):
        rest = truth[absent]
        guesses[absent] = (rest.sum(axis=0) - rest + truth.mean(axis=0)) / len(absent)
    return guesses


def explained(truth: Floats, guesses: Floats) -> float:
    """1 − squared error ÷ squared error of the mean."""
    spread = float(((truth - truth.mean(axis=0)) ** 2).sum())
    return 1.0 - float(((truth - guesses) ** 2).sum()) / spread if spread > 0 else 0.0


def _window_means(truth: Floats, window: int) -> Floats:
    n = len(truth)
    if n < 3:
        return np.broadcast_to(truth.mean(axis=0), truth.shape) if n else truth
    total = np.vstack((np.zeros((1, truth.shape[1])), np.cumsum(truth, axis=0)))
    low = np.maximum(np.arange(n) - window, 0)
    high = np.minimum(np.arange(n) + window + 1, n)
    return np.asarray((total[high] - total[low] - truth) / (high - low - 1)[:, None])


def _class_codes(values: pl.Series) -> Codes:
    """Class numbers, the commonest 0; equally common ones in the order of their values."""
    name = values.name
    counts = values.value_counts(name="rows").sort(["rows", name], descending=[True, False])
    numbers = counts.select(name, pl.int_range(pl.len()).alias("number"))
    return values.to_frame().join(numbers, on=name, how="left", maintain_order="left")["number"].to_numpy().astype(np.int64)


def _scaled(values: Floats) -> Floats:
    """Into −1…1, so that no square overflows."""
    top = float(np.abs(values).max(initial=0.0))
    return values / top if top > 0 else values


def _auc(positive: NDArray[np.bool_], guesses: Floats) -> float:
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return 0.5
    places = ranks.average(guesses)
    return float((places[positive].sum() - count * (count + 1) / 2) / (count * (len(positive) - count)))
