"""Columns whose mere absence, or presence, tells the outcome: a leaving date stands only beside those who left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.diagnosis.leakage.univariate import Codes

Flags = NDArray[np.bool_]
LEAST_ROWS = 20
PURE = 0.98
USUAL = 0.8
"""An outcome as common as this proves nothing by being there."""
UNLIKELY = -30.0
"""Natural logarithm of the chance that so many rows are of one outcome by accident."""


@dataclass(frozen=True)
class Told:
    """`outcome`: number of the class. `present`: whether a value means it, or its absence. `share` of these rows have it."""

    outcome: int
    present: bool
    share: float
    rows: int


def told(missing: Flags, classes: Codes) -> Told | None:
    """The outcome that absence or presence tells almost for certain, where it is not the usual one anyway."""
    best: Told | None = None
    for present in (True, False):
        rows = classes[missing != present]
        if len(rows) < LEAST_ROWS or len(rows) > len(classes) - LEAST_ROWS:
            continue
        counts = np.bincount(rows)
        outcome = int(counts.argmax())
        share, usual = counts[outcome] / len(rows), float((classes == outcome).mean())
        if share < PURE or usual > USUAL or len(rows) * np.log(usual) > UNLIKELY:
            continue
        if best is None or len(rows) > best.rows:
            best = Told(outcome, present, float(share), len(rows))
    return best
