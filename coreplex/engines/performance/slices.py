"""Parts of the rows by the values of one column: its frozen bins, put together to ranges of about as many training rows each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.drift.bins import LevelBins, NumberBins
from coreplex.engines.drift.layout import Feature

MOST_RANGES, MOST_LEVELS = 8, 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Slice:
    """`lower` < value <= `upper` of a range, open where None; or one `level`; or what the label says."""

    label: str
    lower: float | None = None
    upper: float | None = None
    level: str | None = None


def slices(feature: Feature) -> tuple[list[Slice], NDArray[np.int64]]:
    """The slices of a column, and (size,) the number of the slice that each of its places belongs to."""
    return _of_levels(feature.bins) if isinstance(feature.bins, LevelBins) else _of_numbers(feature, feature.bins)


def _of_levels(bins: LevelBins) -> tuple[list[Slice], NDArray[np.int64]]:
    shown = bins.levels[:MOST_LEVELS]
    found = [*(Slice(level, level=level) for level in shown), Slice("others"), Slice("new"), Slice("missing")]
    of = np.minimum(np.arange(bins.size), len(shown))
    of[bins.unseen], of[bins.missing] = len(shown) + 1, len(shown) + 2
    return found, of


def _of_numbers(feature: Feature, bins: NumberBins) -> tuple[list[Slice], NDArray[np.int64]]:
    """What lies below or above all that training saw belongs to the first and the last range."""
    counts = np.array(feature.counts[1 : len(bins.edges) + 1], dtype=np.float64)
    middle = np.cumsum(counts) - counts / 2
    group = np.minimum(np.floor(MOST_RANGES * middle / max(counts.sum(), 1.0)), MOST_RANGES - 1).astype(np.int64)
    _, group = np.unique(group, return_inverse=True)
    cuts = [float(bins.edges[place]) for place in np.flatnonzero(np.diff(group))]
    found = [_range(feature, low, high) for low, high in pairwise([None, *cuts, None])]
    of = np.concatenate([[0], group, [len(found) - 1], [len(found)]]).astype(np.int64)
    return [*found, Slice("missing")], of


def _range(feature: Feature, low: float | None, high: float | None) -> Slice:
    name, low_said, high_said = feature.name, _said(feature, low), _said(feature, high)
    if low is None or high is None:
        label = f"{name} ≤ {high_said}" if high is not None else f"{name} > {low_said}" if low is not None else "all values"
        return Slice(label, low, high)
    return Slice(f"{low_said} < {name} ≤ {high_said}", low, high)


def _said(feature: Feature, value: float | None) -> str:
    if value is None:
        return ""
    if feature.kind == "moment":
        return (_EPOCH + timedelta(microseconds=value)).isoformat(timespec="seconds")
    return f"{value:.6g}"
