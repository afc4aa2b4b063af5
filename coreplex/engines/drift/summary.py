"""What counts in bins say of a feature by themselves: how many rows, what is missing, where the middle lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.drift.bins import MOST_BINS, LevelBins, NumberBins
from coreplex.engines.drift.layout import Counts, Feature

MOST_LEVELS = 10
OFTEN = 1.25
"""So many times its share a bin of training holds that has a value which came often."""


@dataclass(frozen=True)
class Summary:
    """`rows` with the missing ones; shares are of all rows, 0 to 1. Quantiles, to within a bin, of numbers alone; None where they
    lie beyond all that training saw: counts do not say how far."""

    rows: int
    missing_rate: float | None = None
    unseen_rate: float | None = None
    outside_rate: float | None = None
    """Below or above all that training saw."""
    p05: float | None = None
    median: float | None = None
    p95: float | None = None
    levels: tuple[tuple[str, float], ...] = ()
    """The commonest categories and their shares, commonest first."""


def summary(feature: Feature, counts: Counts) -> Summary:
    """Of (size,) counts of a feature."""
    bins, rows = feature.bins, int(counts.sum())
    if not rows:
        return Summary(0)
    missing = int(counts[bins.missing]) / rows
    if isinstance(bins, LevelBins):
        ranked = np.argsort(-counts[: len(bins.levels)], kind="stable")[:MOST_LEVELS].tolist()
        levels = tuple((bins.levels[place], int(counts[place]) / rows) for place in ranked if counts[place])
        unseen = None if bins.others is None else int(counts[bins.unseen]) / rows
        return Summary(rows, missing, unseen_rate=unseen, levels=levels)
    outside = int(counts[0] + counts[bins.missing - 1]) / rows
    low, middle, high = (_quantile(feature, counts[: bins.missing], share) for share in (0.05, 0.5, 0.95))
    return Summary(rows, missing, outside_rate=outside, p05=low, median=middle, p95=high)


def spread(feature: Feature) -> NDArray[np.bool_]:
    """(size - 1,) of the places of numbers, which are ranges to be read between their ends; the others hold their upper end.

    Bins are quantiles of training unless each is one value. One that held clearly more rows than its share has a value that came
    often, which is then its upper end.
    """
    bins = feature.bins
    there = np.array(feature.counts[: bins.missing], dtype=np.int64)
    ranges = np.zeros(bins.missing, dtype=np.bool_)
    if not isinstance(bins, NumberBins) or not there.sum():
        return ranges
    rows = int(there.sum())
    shares = np.cumsum(there) * MOST_BINS // rows
    if len(bins.edges) <= MOST_BINS and not (np.diff(shares)[1 : len(bins.edges)] > 0).all():
        return ranges  # an end between two shares is no quantile: one bin a value
    ranges[2 : len(bins.edges) + 1] = there[2 : len(bins.edges) + 1] <= OFTEN * rows / MOST_BINS + 1
    return ranges


def _quantile(feature: Feature, counts: Counts, share: float) -> float | None:
    """By rank between the ends of the bin in which it lies, or its upper end; None below the first bin and above the last."""
    bins, total = feature.bins, int(counts.sum())
    if not isinstance(bins, NumberBins) or not total or not bins.edges:
        return None
    up_to = np.cumsum(counts)
    place = int(np.searchsorted(up_to, share * total))
    if not 1 <= place <= len(bins.edges):
        return None
    upper = bins.edges[place - 1]
    if not spread(feature)[place]:
        return upper
    beyond = float(up_to[place] - share * total) / float(counts[place])
    return upper - beyond * (upper - bins.edges[place - 2])
