"""Rows with their truth and what a model predicts for them, and how the scores of each class rank its rows.

A row of the class is a hit. The area under the ROC curve and average precision both follow from what lies below each hit and
beside it, so the scores of a class are sorted once for both, and what is counted is as long as the hits are many: over all
classes as long as the rows, not as rows times classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Hits:
    """The m hits of one class, by ascending score, under b weightings. weight: (b, m); below, upto: (b, m) the weight of all rows
    with a lower score, and with that of equal scores; hits_below, hits_upto: (b, m) the same of hits alone; total: (b, 1) the
    weight of all rows; hits: (b, 1) that of the hits."""

    weight: Array
    below: Array
    upto: Array
    hits_below: Array
    hits_upto: Array
    total: Array
    hits: Array


@dataclass(frozen=True)
class Predictions:
    """Rows that a model was validated on. y: (n,) class codes or values; p: (n, k) probabilities or (n, 1) values; predicted:
    (n,) class codes as decided; units: (n,) numbers of what is drawn whole, None for single rows."""

    y: NDArray[np.generic]
    p: Array
    predicted: Labels
    units: NDArray[np.int64] | None = None
    _last: list[tuple[Array, list[Hits]]] = field(default_factory=list, init=False, repr=False, compare=False)

    def take(self, rows: NDArray[np.int64]) -> "Predictions":
        """The same of some rows. rows: (m,) positions."""
        return Predictions(self.y[rows], self.p[rows], self.predicted[rows], None if self.units is None else self.units[rows])

    def ranked(self, w: Array) -> list[Hits]:
        """Of each class that occurs (of two, the second alone), its hits under the (b, n) weights; kept for the next metric."""
        if not self._last or self._last[0][0] is not w:
            self._last[:] = [(w, list(self._ranked(w)))]
        return self._last[0][1]

    def _ranked(self, w: Array) -> Iterator[Hits]:
        for code in [1] if self.p.shape[1] == 2 else range(self.p.shape[1]):
            hit = self.y == code
            if hit.any():
                yield _hits(hit, self.p[:, code], w)


def _hits(hit: NDArray[np.bool_], score: Array, w: Array) -> Hits:
    if len(w) == 1 and (w == 1.0).all():
        # Each row counts once: what lies below is a position, and sorting values is twice as fast as sorting positions.
        ordered, own = np.sort(score), np.sort(score[hit])
        weight, total, hits = np.ones((1, len(own))), np.arange(len(score) + 1.0)[None], np.arange(len(own) + 1.0)[None]
    else:
        order = np.argsort(score)
        ordered, rows = score[order], order[hit[order]]
        own, weight = score[rows], w[:, rows]
        total, hits = _cumulated(w[:, order]), _cumulated(weight)
    first, last = (np.searchsorted(ordered, own, side=side) for side in ("left", "right"))
    own_first, own_last = (np.searchsorted(own, own, side=side) for side in ("left", "right"))
    return Hits(weight, total[:, first], total[:, last], hits[:, own_first], hits[:, own_last], total[:, -1:], hits[:, -1:])


def _cumulated(w: Array) -> Array:
    """(b, n + 1) the sum of the first 0, 1, … n weights."""
    return np.concatenate([np.zeros((len(w), 1)), np.cumsum(w, axis=1)], axis=1)
