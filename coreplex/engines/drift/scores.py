"""Scores of bins, between 0 and 1, whose means move when a feature's values do; and what training says of each mean."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.drift.bins import LevelBins, NumberBins
from coreplex.engines.drift.layout import Counts, Feature

Scores = NDArray[np.float64]
TOP_LEVELS = 10
LEAST_DEVIATION = 0.02


class Score(NamedTuple):
    """A score of (size,) bins. `mean` and `deviation` of training, whose mean is certain to about `error` (standard)."""

    values: Scores
    mean: float
    deviation: float
    error: float


def scores(feature: Feature) -> Iterator[Score]:
    """Those of a feature: where its numbers lie, and how far out; how often each common category comes, and what training never
    saw; what is missing. Moments always move on: of them only what is missing."""
    bins, counts = feature.bins, np.array(feature.counts, dtype=np.int64)
    if counts.sum():
        made = list(
            _of_numbers(bins, counts, feature.kind == "moment") if isinstance(bins, NumberBins) else _of_levels(bins, counts)
        )
        yield from (_score(values, counts, unseen) for values, unseen in made)


def _of_numbers(bins: NumberBins, counts: Counts, moment: bool) -> Iterator[tuple[Scores, float]]:
    there = counts[: bins.missing]
    if not moment and there.sum():
        rank = (np.cumsum(there) - there / 2) / there.sum()
        for values in (rank, np.abs(2 * rank - 1)):
            yield np.append(values, (values * there).sum() / there.sum()), 0.0  # what is missing says nothing of it
    yield _only(bins.size, bins.missing), 0.0


def _of_levels(bins: LevelBins, counts: Counts) -> Iterator[tuple[Scores, float]]:
    ranked = np.argsort(-counts[: len(bins.levels)], kind="stable")[:TOP_LEVELS]
    for place in ranked[: len(ranked) - 1] if len(bins.levels) == 2 else ranked:
        yield _only(bins.size, int(place)), 0.0
    if bins.others is not None:
        yield _only(bins.size, bins.unseen), bins.once / max(int(counts.sum()), 1)
    yield _only(bins.size, bins.missing), 0.0


def _only(size: int, place: int) -> Scores:
    values = np.zeros(size)
    values[place] = 1.0
    return values


def _score(values: Scores, counts: Counts, unseen: float) -> Score:
    """`unseen`: the share that training expects of what it never saw (Good 1953)."""
    rows = int(counts.sum())
    mean = max(float((values * counts).sum() / rows), unseen)
    spread = max(float((values**2 * counts).sum() / rows), unseen) - mean * mean
    deviation = max(spread, 0.0) ** 0.5
    # Of a share that was 0 or 1 in all rows the error is not 0 (the rule of three).
    error = max(deviation / rows**0.5, 1.0 / rows if deviation == 0 else 0.0)
    return Score(values, mean, max(deviation, LEAST_DEVIATION), error)
