"""Shapley values of a leaf: what each of the d features it asks for adds to v where all are satisfied, and else to zero.

With z (0 or 1) for whether a row satisfies the leaf's conditions on a feature and p for the share of training rows that does, the
value expected of the leaf where a set of features is known is v times the product of their z and of the others' p. Weighted over
all sets, feature j is worth

    v (z_j - p_j) ∫₀¹ ∏_{k≠j} (p_k + t (z_k - p_k)) dt,

the integral of a polynomial of degree d - 1, which Gauss and Legendre's points give exactly (Yu et al. 2022, Linear TreeSHAP).
"""

from functools import cache

import numpy as np

from coreplex.engines.encoding.steps import Floats

_LEAST = 1e-250
"""A share of nothing; ratios with it stay exact."""


def shapley(shares: Floats, satisfied: Floats, value: Floats) -> Floats:
    """(d, m) what each feature adds; `shares`: (d, m) or (d, 1), `satisfied`: (d, m), `value`: (m,)."""
    shares = np.maximum(shares, _LEAST)
    slope = satisfied - shares
    points, weights = _points((len(slope) + 1) // 2)
    factors = np.multiply.outer(points, slope)
    factors += shares
    product = factors.prod(axis=1)
    product *= weights[:, None]
    np.divide(product[:, None], factors, out=factors)
    found: Floats = factors.sum(axis=0)
    found *= slope
    found *= value
    return found


@cache
def _points(count: int) -> tuple[Floats, Floats]:
    """Points and weights for (0, 1)."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return (points + 1) / 2, weights / 2
