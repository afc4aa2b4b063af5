"""How far two vectors of counts lie apart, bin by bin: effect sizes, and tests of whether chance alone explains them.

Each takes what was expected and what was found, (k,) counts of the same bins. A test returns its statistic and its p-value; both
are None where one side is empty.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import distance

from coreplex.engines.drift.layout import Counts

Shares = NDArray[np.float64]
LEAST_EXPECTED = 5.0
"""Rows a cell of a chi-square test must be expected to have on either side; smaller ones are joined (Cochran 1954)."""
ZERO = 1e-4
"""The share an empty bin is taken to have in the PSI."""
MOST_PAIRS = 1_000_000
"""Of values of the two sides, up to which the Kolmogorov-Smirnov test is exact: some milliseconds."""
LARGE = 0.5
"""P-value of which more precision is no use."""
LEAST_APART = 10.0
"""Values that either side of a rank test must be expected to have outside the commonest bin, lest its approximation fails."""


class Test(NamedTuple):
    """A statistic and how often chance alone gives one as large."""

    statistic: float | None
    p_value: float | None


NOTHING = Test(None, None)


def psi(expected: Counts, actual: Counts) -> float | None:
    """Population stability index: the sum over bins of (a - e) ln(a / e) for the shares e and a (Lewis 1994). Bins that neither
    side has are left out."""
    if not expected.sum() or not actual.sum():
        return None
    there = (expected > 0) | (actual > 0)
    e, a = (_no_zeros(counts[there] / counts.sum()) for counts in (expected, actual))
    return float(np.sum((a - e) * np.log(a / e)))


def _no_zeros(shares: Shares) -> Shares:
    least = shares[shares > 0].min()
    return np.where(shares == 0, least / 1e6 if least <= ZERO else ZERO, shares)


def psi_beyond_chance(expected: Counts, actual: Counts) -> float | None:
    """The PSI without what chance alone gives: about (bins - 1)(1/n + 1/m) where nothing has changed (Yurdakul & Naranjo
    2020). Bins that neither side has are left out, and half a row is added to each other, so that an empty one is no infinity."""
    there = (expected > 0) | (actual > 0)
    if not expected.sum() or not actual.sum():
        return None
    e, a = expected[there] + 0.5, actual[there] + 0.5
    shares = e / e.sum(), a / a.sum()
    found = float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
    return max(0.0, found - (len(e) - 1) * (1 / int(expected.sum()) + 1 / int(actual.sum())))


def kolmogorov_smirnov(expected: Counts, actual: Counts) -> Test:
    """The largest distance of the two distribution functions at the ends of ordered bins: never more than between the numbers
    themselves, so that the p-value (as SciPy's `ks_2samp`) promises too little rather than too much. Exact up to `MOST_PAIRS`,
    unless it is large and says nothing either way; else asymptotic."""
    m, n = int(expected.sum()), int(actual.sum())
    if not m or not n:
        return NOTHING
    largest = float(np.max(np.abs(np.cumsum(expected) / m - np.cumsum(actual) / n)))
    p_value = float(stats.kstwo.sf(largest, max(round(m * n / (m + n)), 1)))
    if p_value < LARGE and m * n <= MOST_PAIRS:  # of p-values about 1 the exact ones fail by rounding
        places = np.arange(len(expected))
        p_value = float(stats.ks_2samp(np.repeat(places, expected), np.repeat(places, actual), method="exact").pvalue)
    return Test(largest, p_value)


def mann_whitney(expected: Counts, actual: Counts) -> Test:
    """The chance that a value that is found is above an expected one, half of ties included (0.5 where nothing has moved), with
    the p-value of the rank-sum test of ordered bins, normal approximation with ties (Mann & Whitney 1947); without one where too
    few values lie apart (`LEAST_APART`)."""
    m, n = int(expected.sum()), int(actual.sum())
    if not m or not n:
        return NOTHING
    below = np.cumsum(expected) - expected / 2
    above = float((actual * below).sum() / (m * n))
    both = (expected + actual).astype(np.float64)
    if float(both.sum() - both.max()) * min(m, n) / (m + n) < LEAST_APART:
        return Test(above, None)
    ties = float((both**3 - both).sum()) / ((m + n) * (m + n - 1.0))
    deviation = np.sqrt((m + n + 1 - ties) / (12.0 * m * n))
    return Test(above, float(2 * stats.norm.sf(abs(above - 0.5) / deviation)))


def chi_square(table: Counts) -> Test:
    """Pearson's test of homogeneity of a (2, k) table of what was expected and found."""
    if not table.sum(axis=1).all():
        return NOTHING
    if table.shape[1] < 2:
        return Test(0.0, 1.0)
    found = stats.chi2_contingency(table, correction=False)
    return Test(float(found.statistic), float(found.pvalue))


def joined(expected: Counts, actual: Counts, rare: NDArray[np.bool_]) -> Counts:
    """(2, k) table of both with one cell, the last, for the bins marked in (k,) `rare` and for those in which either side is
    expected to have fewer than `LEAST_EXPECTED` rows.

    Which categories training has met is chance, and more so the rarer they are: those and the ones it never saw are, together,
    as frequent then as now.
    """
    table = np.stack([expected, actual])
    m, n = int(expected.sum()), int(actual.sum())
    if not m or not n:
        return table
    small = (table.sum(axis=0) < LEAST_EXPECTED * (m + n) / min(m, n)) | rare
    rest = table[:, small].sum(axis=1, keepdims=True)
    return np.concatenate([table[:, ~small], rest], axis=1) if rest.sum() else table[:, ~small]


def shares_differ(expected: tuple[int, int], actual: tuple[int, int]) -> Test:
    """Whether two shares, each given as (how many, of how many), are the same; Fisher's exact test where few are expected.

    Without a p-value where all rows of both have it, or none.
    """
    (a, m), (b, n) = expected, actual
    if not m or not n:
        return NOTHING
    difference = abs(b / n - a / m)
    table = np.array([[a, m - a], [b, n - b]])
    if not table.sum(axis=0).all():
        return Test(difference, None)  # nobody has it, or everybody
    if stats.contingency.expected_freq(table).min() < LEAST_EXPECTED:
        return Test(difference, float(stats.fisher_exact(table).pvalue))
    return Test(difference, float(stats.chi2_contingency(table, correction=False).pvalue))


def unseen_exceeds(once: int, twice: int, rows: int, actual: tuple[int, int]) -> Test:
    """Whether what was never seen comes more often than a sample of `rows` has it in which `once` categories were met a single
    time, and `twice` two times: `once / rows` (Good 1953, after Turing). `actual`: (how many, of how many).

    That share is no binomial one: its variance is (n1 + 2 n2 - n1^2 / n) / n^2 (Esty 1983), taken with one more of n2, which is
    chance too. The p-value is that of both sides, and never less than that of two binomial shares. Less that is new is no
    excess (0, 1): where the rows of training are asked again, nothing is.
    """
    new, asked = actual
    plain = shares_differ((once, rows), actual)
    if plain.statistic is None or plain.p_value is None:
        return plain
    if new * rows <= once * asked:
        return Test(0.0, 1.0)
    joint = (once + new) / (rows + asked)
    variance = joint * (1 - joint) * (1 / rows + 1 / asked) + 2 * (twice + 1) / rows**2
    return Test(plain.statistic, max(plain.p_value, float(2 * stats.norm.sf(plain.statistic / variance**0.5))))


def jensen_shannon(expected: Counts, actual: Counts) -> float | None:
    """Jensen-Shannon distance, 0 to 0.83: the square root of the divergence in nats."""
    if not expected.sum() or not actual.sum():
        return None
    return float(distance.jensenshannon(expected, actual))


def total_variation(expected: Counts, actual: Counts) -> float | None:
    """Half the sum of the differences of the shares, 0 to 1: so many rows would have to lie elsewhere."""
    if not expected.sum() or not actual.sum():
        return None
    return float(0.5 * np.abs(expected / expected.sum() - actual / actual.sum()).sum())


def variation_beyond_chance(expected: Counts, actual: Counts) -> float:
    """The total variation without what chance alone gives, to first order the sum of half the mean deviations; 0 or more."""
    found = total_variation(expected, actual)
    if found is None:
        return 0.0
    m, n = int(expected.sum()), int(actual.sum())
    joint = (expected + actual) / (m + n)
    chance = 0.5 * np.sqrt(2 / np.pi * joint * (1 - joint) * (1 / m + 1 / n)).sum()
    return max(0.0, found - float(chance))


def wasserstein(positions: Shares, expected: Counts, actual: Counts, spread: NDArray[np.bool_] | None = None) -> float | None:
    """Earth mover's distance of bins that lie at (k,) ascending positions, in their unit. Bins marked in (k,) `spread` lie evenly
    between the position before and their own: the area between both distribution functions, lines there and steps elsewhere."""
    if not expected.sum() or not actual.sum():
        return None
    apart = np.cumsum(expected) / expected.sum() - np.cumsum(actual) / actual.sum()
    before = apart[:-1]
    after = before if spread is None else np.where(spread[1:], apart[1:], before)
    whole = np.abs(before) + np.abs(after)
    crossing = before * after < 0
    mean = np.where(crossing, (before**2 + after**2) / np.where(crossing, whole, 1.0), whole) / 2
    return float((np.diff(positions) * mean).sum())
