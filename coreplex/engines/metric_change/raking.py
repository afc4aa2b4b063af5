"""Weights under which some rows have the margins of others, and are otherwise as they were.

Iterative proportional fitting (Deming & Stephan 1940; raking): of all weights with the wanted margins it finds those that lie
nearest to equal ones by Kullback-Leibler divergence (Ireland & Kullback 1968). So a margin that moves takes along what depends on
it, and two columns that say the same are not counted twice, as they would be by multiplying a ratio for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.drift.distances import NOTHING, Test, chi_square

Weights = NDArray[np.float64]
Codes = NDArray[np.int64]

MOST_ROUNDS = 30
NEAR = 1e-3
"""How far a share may stay from the wanted one."""
HEAVIEST = 50.0
"""Times the mean that a row may weigh."""


@dataclass(frozen=True)
class Margin:
    """`codes`: (n,) group of each row, negative for rows it does not speak of; `wanted`: (g,) how many rows of each group the
    others have. Only shares count: the rows keep their weight as a whole. A group that no row is of is left out."""

    codes: Codes
    wanted: Codes

    def misfit(self, weights: Weights) -> Test:
        """Whether the rows have these shares under (n,) weights: chi-square, with as many rows as the weights are worth (Kish
        1965)."""
        there = self.codes >= 0
        own = weights[there]
        if not own.sum():
            return NOTHING
        found = np.bincount(self.codes[there], own, len(self.wanted)) * own.sum() / np.square(own).sum()
        table = np.stack([found, self.wanted])
        return chi_square(table[:, table.sum(axis=0) > 0])


def rake(margins: Sequence[Margin], rows: int) -> Weights:
    """(n,) weights with a mean of 1 under which every margin is as wanted, or as near as can be had."""
    weights = np.ones(rows)
    parts = [(np.flatnonzero(one.codes >= 0), one.codes[one.codes >= 0], one.wanted.astype(np.float64)) for one in margins]
    for _ in range(MOST_ROUNDS if len(parts) > 1 else 1):
        if max([_fit(weights, *part) for part in parts], default=0.0) <= NEAR:
            break
    weights = np.minimum(weights / weights.mean(), HEAVIEST)
    return np.asarray(weights / weights.mean(), dtype=np.float64)


def _fit(weights: Weights, rows: Codes, codes: Codes, counts: Weights) -> float:
    """Give one margin its shares; returns how far they were from them."""
    found = np.bincount(codes, weights[rows], len(counts))
    wanted = np.where(found > 0, counts, 0.0)
    total, mass = found.sum(), wanted.sum()
    if mass <= 0:
        return 0.0
    wanted *= total / mass
    factors = np.divide(wanted, found, out=np.ones_like(found), where=found > 0)
    weights[rows] *= factors[codes]
    return float(np.abs(found - wanted).max() / total)
