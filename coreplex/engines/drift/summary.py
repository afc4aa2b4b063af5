"""What counts in bins say of a feature by themselves: how many rows, what is missing, where the middle lies."""

from dataclasses import dataclass

import numpy as np

from coreplex.engines.drift.bins import LevelBins, NumberBins
from coreplex.engines.drift.layout import Counts, Feature

MOST_LEVELS = 10


@dataclass(frozen=True)
class Summary:
    """`rows` with the missing ones; shares are of all rows, 0 to 1. Quantiles, by the ends of bins, of numbers alone."""

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
    low, middle, high = (_quantile(bins, counts[: bins.missing], share) for share in (0.05, 0.5, 0.95))
    return Summary(rows, missing, outside_rate=outside, p05=low, median=middle, p95=high)


def _quantile(bins: NumberBins, counts: Counts, share: float) -> float | None:
    """The upper end of the bin in which it lies."""
    total = int(counts.sum())
    if not total or not bins.edges:
        return None
    place = int(np.searchsorted(np.cumsum(counts), share * total))
    return bins.edges[min(max(place - 1, 0), len(bins.edges) - 1)]
