"""One column in two periods: its values in a few groups, and what of the later period the earlier one has nothing of."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.drift import distances
from coreplex.engines.drift.bins import LevelBins, NumberBins, Places
from coreplex.engines.drift.layout import Counts, Feature
from coreplex.engines.metric_change.raking import Margin

FEWEST, MOST, ROWS, LEVELS = 5, 20, 100, 20
"""Groups of numbers, of about so many earlier rows each, and of categories."""
RARE = 0.005
"""The share of a group in the earlier period below which it stands for no more than chance."""
LEAST_MISSING = 0.01
"""The least change of the share of missing values that is one."""
MORE_OFTEN = 3.0
"""Standard errors by which a group's share of all rows has to grow for it to come more often; there are up to 22 groups."""


@dataclass(frozen=True)
class Period:
    """A column in a period. `values`: (n,) of numbers; `places`: (n,) bins; `raw`: n values as they were sent."""

    values: NDArray[np.float64] | None
    places: Places
    raw: Sequence[object]


@dataclass(frozen=True)
class Column:
    """A feature in the earlier (`before`) and the later period (`after`)."""

    feature: Feature
    before: Period
    after: Period

    @cached_property
    def missing(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of the rows of either period, whether the value is missing."""
        gone = self.feature.bins.missing
        return self.before.places == gone, self.after.places == gone

    @cached_property
    def missing_shares(self) -> tuple[float, float]:
        first, second = self.missing
        return float(first.mean()), float(second.mean())

    @cached_property
    def codes(self) -> tuple[Counts, Counts]:
        """(n,) group of each row of either period, -1 where missing."""
        size = self.feature.bins.size
        first, second = (np.bincount(one.places, minlength=size) for one in (self.before, self.after))
        order = _groups(self.feature, first, second)
        order[self.feature.bins.missing] = -1
        return order[self.before.places], order[self.after.places]

    @cached_property
    def counts(self) -> tuple[Counts, Counts]:
        """(g,) rows of each group in either period, without the missing ones."""
        size = max(int(one.max(initial=0)) for one in self.codes) + 1
        first, second = (np.bincount(one[one >= 0], minlength=size) for one in self.codes)
        return first, second

    @property
    def margin(self) -> Margin:
        """What the rows of the earlier period that have a value must look like to be as the later ones."""
        return Margin(self.codes[0], self.counts[1])

    @cached_property
    def misfit(self) -> distances.Test:
        """How far the values that are there have moved."""
        return self.margin.misfit(np.ones(len(self.codes[0])))

    @property
    def missing_p_value(self) -> float | None:
        """That it is missing as often; None where the difference is a trifle."""
        first, second = self.missing
        if abs(self.missing_shares[1] - self.missing_shares[0]) < LEAST_MISSING:
            return None
        return distances.shares_differ((int(first.sum()), len(first)), (int(second.sum()), len(second))).p_value

    @cached_property
    def only_lost(self) -> bool:
        """Whether no group comes more often, of all rows, than it did: then values can only have gone, more of some groups than
        of others, however the ones that are left lie."""
        before, after = len(self.before.places), len(self.after.places)
        first, second = (counts / rows for counts, rows in zip(self.counts, (before, after), strict=True))
        error = np.sqrt(np.maximum(first * (1.0 - first), 1.0 / before) * (1.0 / before + 1.0 / after))
        return bool((second <= first + MORE_OFTEN * error).all())

    @property
    def unsupported(self) -> float:
        """The share of the later values that the earlier period has (almost) nothing of: of a group it lacks, or beyond nearly
        all of its numbers, which the last group would hide."""
        first, second = self.counts
        rare = first < RARE * max(int(first.sum()), 1)
        return max(self._beyond, float(second[rare].sum() / max(int(second.sum()), 1)))

    @property
    def _beyond(self) -> float:
        if self.before.values is None or self.after.values is None:
            return 0.0
        first, second = (one[~np.isnan(one)] for one in (self.before.values, self.after.values))
        if not len(first) or not len(second):
            return 0.0
        low, high = np.quantile(first, (RARE, 1.0 - RARE))
        return float(((second < low) | (second > high)).mean())


def _groups(feature: Feature, first: Counts, second: Counts) -> Counts:
    """(size,) group of each bin: what lies outside of all that training saw, or is new to it, is a group of its own."""
    bins = feature.bins
    if isinstance(bins, NumberBins):
        inner = first[1 : bins.missing - 1] if first[1 : bins.missing - 1].sum() else second[1 : bins.missing - 1]
        rows, before = max(int(inner.sum()), 1), np.cumsum(inner) - inner / 2
        count = min(max(rows // ROWS, FEWEST), MOST)
        order = 1 + np.minimum((before / rows * count).astype(np.int64), count - 1)
        order = np.concatenate([[0], order, [count + 1, 0]])
    else:
        assert isinstance(bins, LevelBins)
        order = np.full(bins.size, LEVELS, dtype=np.int64)
        ranked = np.argsort(-(first + second)[: len(bins.levels)], kind="stable")[:LEVELS]
        order[ranked] = np.arange(len(ranked))
        order[bins.unseen] = LEVELS + 1
    return np.asarray(order, dtype=np.int64)
