"""Bins frozen at training: where a value of a column is counted, the same for ever, so that counts of any two times add up.

Numbers (and moments, and lengths of texts) lie in at most 64 bins of about as many rows each, or one per value where there are
no more values than that; what lies below, above, or is missing has a place of its own. Categories have a place each, as far as
they are among the commonest; the others that training saw share one, those it never saw another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]

MOST_BINS = 64
MOST_LEVELS = 255
MOST_OTHERS = 2_000
"""Further categories that are remembered, to tell them from those that training never saw."""


class Bins(Protocol):
    """Where values are counted: `size` places, of which `missing` is the one of what is not there."""

    @property
    def size(self) -> int: ...

    @property
    def missing(self) -> int: ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class NumberBins:
    """`edges`: k ascending upper ends, the first of them the least value of training and the last its largest.

    Places: 0 below, 1 to k the bins (e[i-1], e[i]], k + 1 above, k + 2 missing.
    """

    edges: tuple[float, ...]

    @classmethod
    def fit(cls, values: Numbers) -> "NumberBins":
        """The bins of (n,) numbers; NaN are left out."""
        found = np.sort(values[~np.isnan(values)])
        distinct = np.unique(found)
        if len(distinct) > MOST_BINS:
            shares = np.linspace(0.0, 1.0, MOST_BINS + 1)
            distinct = np.unique(np.quantile(found, shares, method="inverted_cdf"))
        return cls(tuple(distinct.tolist()))

    @property
    def size(self) -> int:
        return len(self.edges) + 3

    @property
    def missing(self) -> int:
        return len(self.edges) + 2

    @cached_property
    def _bounds(self) -> Numbers:
        below = np.nextafter(self.edges[0], -np.inf) if self.edges else -np.inf
        return np.array([below, *self.edges])

    def place(self, values: Numbers) -> Places:
        """(n,) places of (n,) numbers; NaN is missing."""
        places = np.searchsorted(self._bounds, values, side="left")
        places[np.isnan(values)] = self.missing
        return places

    def to_json(self) -> dict[str, Any]:
        return {"edges": list(self.edges)}


@dataclass(frozen=True)
class LevelBins:
    """`levels`: the commonest categories, commonest first; `others`: further ones of training; None where they are too many.
    `once`: how many of all these were met a single time.

    Places: 0 to k - 1 the levels, k the others, k + 1 what training never saw, k + 2 missing. Where there are too many others to
    remember, all that is not among the levels is one of them.
    """

    levels: tuple[str, ...]
    others: frozenset[str] | None = frozenset()
    once: int = 0

    @classmethod
    def fit(cls, counts: Mapping[str, int]) -> "LevelBins":
        """The bins of categories, given how often each was seen."""
        ranked = sorted(counts, key=lambda level: (-counts[level], level))
        others = ranked[MOST_LEVELS:]
        once = sum(count == 1 for count in counts.values())
        return cls(tuple(ranked[:MOST_LEVELS]), None if len(others) > MOST_OTHERS else frozenset(others), once)

    @property
    def size(self) -> int:
        return len(self.levels) + 3

    @property
    def missing(self) -> int:
        return len(self.levels) + 2

    @property
    def unseen(self) -> int:
        return len(self.levels) + 1

    @cached_property
    def known(self) -> dict[str | None, int]:
        """Category → place, of all that are known one by one."""
        known: dict[str | None, int] = dict.fromkeys(self.others or (), len(self.levels))
        return known | {level: place for place, level in enumerate(self.levels)} | {None: self.missing}

    def place(self, values: Sequence[str | None]) -> Places:
        """(n,) places of n categories."""
        unknown = len(self.levels) if self.others is None else self.unseen
        return np.array([self.known.get(value, unknown) for value in values], dtype=np.int64)

    def twice(self, counts: Places) -> int:
        """How many categories (size,) counts of training met two times; at most: of the others only the sum is known."""
        own, rest = counts[: len(self.levels)], int(counts[len(self.levels)])
        once = self.once - int((own == 1).sum())
        return int((own == 2).sum()) + max(min(len(self.others or ()) - once, (rest - once) // 2), 0)

    def to_json(self) -> dict[str, Any]:
        others = None if self.others is None else sorted(self.others)
        return {"levels": list(self.levels), "others": others, "once": self.once}


Kind = Literal["number", "moment", "category", "length"]


def bins_of(data: Mapping[str, Any]) -> NumberBins | LevelBins:
    """The bins that `to_json` wrote."""
    if "edges" in data:
        return NumberBins(tuple(map(float, data["edges"])))
    others = data["others"]
    return LevelBins(tuple(data["levels"]), None if others is None else frozenset(others), int(data["once"]))
