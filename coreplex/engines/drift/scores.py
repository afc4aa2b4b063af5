"""Scores of bins, between 0 and 1, whose means move when a feature's values do; and what training says of each mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from coreplex.engines.drift.bins import LevelBins, NumberBins
from coreplex.engines.drift.layout import Counts, Feature

Scores = NDArray[np.float64]
TOP_LEVELS = 10
LEAST_DEVIATION = 0.02


@dataclass(frozen=True)
class Score:
    """A score of (size,) bins, by the (size,) counts of training."""

    values: Scores
    counts: Counts

    ways: ClassVar[tuple[float, ...]] = 1.0, -1.0
    """In which its mean may move that is drift: up, down."""

    @property
    def rows(self) -> int:
        """Of training."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Of training."""
        return float(self.values @ self.counts) / self.rows

    @property
    def deviation(self) -> float:
        """Of training, and at least `LEAST_DEVIATION`."""
        return max(self._moment(2) ** 0.5, LEAST_DEVIATION)

    def end(self, way: float, chance: float) -> float:
        """What the true mean is beyond, above (`way` 1) or below (-1), in a share `chance` of all trainings: by Student's t with
        the error that skewness adds (Johnson 1978), of a score that was the same in all rows by Bernoulli's."""
        variance, rows = self._moment(2), self.rows
        if rows < 2 or variance <= 0:
            return self.mean - way * np.log(chance) / rows
        quantile = float(stats.t.isf(chance, rows - 1))
        skewed = self._moment(3) / variance * (1 + 2 * quantile**2) / (6 * rows)
        return self.mean + way * quantile * (variance / rows) ** 0.5 + skewed

    def _moment(self, power: int) -> float:
        return float((self.values - self.mean) ** power @ self.counts) / self.rows


class Share(Score):
    """Of rows in some bins: 1 there, else 0."""

    def end(self, way: float, chance: float) -> float:
        """Exact (Clopper & Pearson 1934)."""
        return _end_of_share(round(self.mean * self.rows), self.rows, way, chance)


@dataclass(frozen=True)
class UnseenShare(Share):
    """Of what training never saw, which it expects by how many categories it met `once`, and `twice` (Good 1953).

    Less of it is no drift: where the rows of training are asked again, nothing is new.
    """

    once: int
    twice: int

    ways: ClassVar[tuple[float, ...]] = (1.0,)

    @property
    def mean(self) -> float:
        """By what was met a single time."""
        return self.once / self.rows

    @property
    def deviation(self) -> float:
        """Of a share."""
        return max((self.mean * (1 - self.mean)) ** 0.5, LEAST_DEVIATION)

    def end(self, way: float, chance: float) -> float:
        """With the variance of Good and Turing's share (Esty 1983), and not nearer than that of a binomial one."""
        variance = self.once * (1 - self.mean) + 2 * (self.twice + 1)
        normal = self.mean + way * float(stats.norm.isf(chance)) * variance**0.5 / self.rows
        return way * max(way * normal, way * super().end(way, chance))


def _end_of_share(found: int, rows: int, way: float, chance: float) -> float:
    if way > 0:
        return float(stats.beta.isf(chance, found + 1, rows - found)) if found < rows else 1.0
    return float(stats.beta.ppf(chance, found, rows - found + 1)) if found > 0 else 0.0


def scores(feature: Feature) -> Iterator[Score]:
    """Those of a feature: where its numbers lie, and how far out; how often each common category comes, and what training never
    saw; what is missing. Moments always move on: of them only what is missing."""
    bins, counts = feature.bins, np.array(feature.counts, dtype=np.int64)
    if counts.sum():
        if isinstance(bins, NumberBins):
            yield from _of_numbers(bins, counts, feature.kind == "moment")
        else:
            yield from _of_levels(bins, counts)


def _of_numbers(bins: NumberBins, counts: Counts, moment: bool) -> Iterator[Score]:
    there = counts[: bins.missing]
    if not moment and there.sum():
        rank = (np.cumsum(there) - there / 2) / there.sum()
        for values in (rank, np.abs(2 * rank - 1)):
            yield Score(np.append(values, (values * there).sum() / there.sum()), counts)  # what is missing says nothing of it
    yield Share(_only(bins.size, bins.missing), counts)


def _of_levels(bins: LevelBins, counts: Counts) -> Iterator[Score]:
    ranked = np.argsort(-counts[: len(bins.levels)], kind="stable")[:TOP_LEVELS]
    for place in ranked[: len(ranked) - 1] if len(bins.levels) == 2 else ranked:
        yield Share(_only(bins.size, int(place)), counts)
    if bins.others is not None:
        yield UnseenShare(_only(bins.size, bins.unseen), counts, bins.once, bins.twice(counts))
    yield Share(_only(bins.size, bins.missing), counts)


def _only(size: int, place: int) -> Scores:
    values = np.zeros(size)
    values[place] = 1.0
    return values
