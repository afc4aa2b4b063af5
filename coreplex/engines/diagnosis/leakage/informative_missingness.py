"""Informative missingness: finds columns whose missing or present values determine the class, as a leaving date does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.diagnosis.leakage.univariate import Codes

Flags = NDArray[np.bool_]
LEAST_ROWS = 20
"""Rows with a value, and rows without, that it takes at least."""
LEAST_PURITY = 0.98
"""Fraction of these rows that must be of one class."""
MOST_BASE_RATE = 0.8
"""A class of a greater fraction of all rows proves nothing by being there."""
MOST_LOG_CHANCE = -30.0
"""Natural logarithm of the chance that so many rows are of one outcome by accident."""


@dataclass(frozen=True)
class MissingnessRule:
    """Of the `rows` rows whose value is `present` (or is missing), the fraction `share` (0..1) is of class `outcome`.

    `outcome` is a class code from 0, as in `EncodedTarget.codes`.
    """

    outcome: int
    present: bool
    share: float
    rows: int


def outcome_of_missingness(missing: Flags, classes: Codes) -> MissingnessRule | None:
    """The class that missing, or present, values almost always have; None where there is none, or it is the usual one anyway.

    `missing` (n,): whether the value is missing; `classes` (n,): class codes from 0. Of both, the one with more rows.
    """
    best: MissingnessRule | None = None
    for present in (True, False):
        rows = classes[missing != present]
        if len(rows) < LEAST_ROWS or len(rows) > len(classes) - LEAST_ROWS:
            continue
        counts = np.bincount(rows)
        outcome = int(counts.argmax())
        share, usual = counts[outcome] / len(rows), float((classes == outcome).mean())
        if share < LEAST_PURITY or usual > MOST_BASE_RATE or len(rows) * np.log(usual) > MOST_LOG_CHANCE:
            continue
        if best is None or len(rows) > best.rows:
            best = MissingnessRule(outcome, present, float(share), len(rows))
    return best
