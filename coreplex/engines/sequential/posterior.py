"""Compares the means of two sides, rates among them, by a posterior that may be looked at at any moment.

A posterior under a prior that takes a difference for granted has called a winner in every third test without one, when it is
looked at daily. Here the prior is a spike and a slab: no difference at all with probability 1 / (1 + c), else a normal one around
0, of `SLAB` standard deviations (Mitchell & Beauchamp 1988; the sizes are those of A/B tests). Then a side that is better with
probability c has a Bayes factor of at least 1 / (1 - c) for it, and a Bayes factor against a point is an e-value: among tests
without a difference at most 1 - c ever reach it, however often they are looked at (Ville 1939; Grünwald, de Heide & Koolen 2024,
"Safe testing"). The values' variance is that of the sample: all this holds in the limit of many values.
"""

from math import erf, exp, pi, sqrt
from typing import NamedTuple

from scipy.special import betaincinv, ndtri

from coreplex.engines.sequential.mean_difference import LEAST_VALUES, says_enough, squared_error
from coreplex.engines.sequential.sample import Sample

SLAB = 0.1
"""Standard deviations of the values that a true difference is around."""


class Posterior(NamedTuple):
    """What is known of the second mean minus the first."""

    estimate: float
    """Its posterior mean where there is a difference."""
    deviation: float
    """The posterior standard deviation around it."""
    p_none: float
    """That there is no difference."""
    p_greater: float
    """That the second mean is greater; what is left is that it is smaller."""

    @property
    def p_smaller(self) -> float:
        return max(0.0, 1 - self.p_none - self.p_greater)

    @property
    def loss_of_greater(self) -> float:
        """What is lost on average by taking the second side where greater is better: the mean of max(0, -difference)."""
        return (1 - self.p_none) * _mean_below(self.estimate, self.deviation)

    @property
    def loss_of_smaller(self) -> float:
        """What is lost on average by staying with the first side there."""
        return (1 - self.p_none) * _mean_below(-self.estimate, self.deviation)

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end that hold the difference with a probability, where there is one."""
        half = float(ndtri((1 + confidence) / 2)) * self.deviation
        return self.estimate - half, self.estimate + half


def posterior(first: Sample, second: Sample, confidence: float) -> Posterior | None:
    """The second mean against the first, for a decision at a confidence of 0 to 1; None before there is enough to say."""
    if not says_enough(first, second):
        return None
    assert first.mean is not None
    assert second.mean is not None
    variance, slab = squared_error(first, second), SLAB * SLAB * (first.variance + second.variance) / 2
    raw, share = second.mean - first.mean, slab / (slab + variance)
    odds = confidence * sqrt(variance / (slab + variance)) * exp(min(700.0, raw * raw / variance * share / 2))
    estimate, deviation = raw * share, sqrt(variance * share)
    different = odds / (1 + odds) if odds < 1e300 else 1.0
    return Posterior(estimate, deviation, 1 - different, different * _normal(estimate / deviation))


def _normal(z: float) -> float:
    return (1 + erf(z / sqrt(2))) / 2


def _mean_below(mean: float, deviation: float) -> float:
    """The mean of max(0, -x) of a normal x."""
    z = mean / deviation
    return max(0.0, deviation * exp(-z * z / 2) / sqrt(2 * pi) - mean * _normal(-z))


def credible_interval(sample: Sample, confidence: float) -> tuple[float, float] | None:
    """Lower and upper end that hold one side's mean with a probability; of a rate under a uniform prior. None of few values."""
    if sample.size < LEAST_VALUES or sample.mean is None:
        return None
    tail = (1 - confidence) / 2
    if sample.is_rate:
        ends = betaincinv(1 + sample.total, 1 + sample.size - sample.total, (tail, 1 - tail))
        return float(ends[0]), float(ends[1])
    half = float(ndtri(1 - tail)) * sqrt(sample.variance / sample.size)
    return sample.mean - half, sample.mean + half
