"""Compares the means of two sides, rates among them, by a posterior that may be looked at at any moment.

A posterior under a prior that takes a difference for granted calls a winner in every third test without one, when it is looked
at daily. Here the prior is a spike and a slab: no difference at all with probability 1 / (1 + c), else one around 0 whose size is
not known, a mixture of normals of `SLABS` standard deviations (Mitchell & Beauchamp 1988, "Bayesian variable selection in linear
regression"). A side that is better with probability c then has a Bayes factor of at least 1 / (1 - c) for it, and a Bayes factor
against a point is an e-value: among tests without a difference at most 1 - c ever reach it, however often they are looked at
(Ville 1939; Grünwald, de Heide & Koolen 2024, "Safe testing"). The values' variance is that of the samples, so this holds in the
limit of many values.
"""

from collections.abc import Callable
from math import exp, log, pi, sqrt
from typing import NamedTuple

from scipy.optimize import brentq
from scipy.special import betaincinv, expit, ndtr, ndtri

from coreplex.engines.sequential.mean_difference import LEAST_VALUES, says_enough, squared_error
from coreplex.engines.sequential.sample import Sample

SLABS = (0.03, 0.1, 0.3, 1.0)
"""Standard deviations of the values that a true difference may be around, each as likely as the others."""

FARTHEST = 1e300
"""Squared standard errors: what is farther from 0 is as certain."""


class Part(NamedTuple):
    """A normal of the posterior where there is a difference: its weight among them, and what it says of the difference."""

    weight: float
    mean: float
    deviation: float

    def below(self, value: float) -> float:
        """The probability of a smaller difference."""
        if not self.deviation:  # less than a float holds
            return float(self.mean < value)
        return float(ndtr((value - self.mean) / self.deviation))

    def mean_below(self) -> float:
        """The mean of max(0, -difference)."""
        if not self.deviation:
            return max(0.0, -self.mean)
        z = self.mean / self.deviation
        return max(0.0, self.deviation * exp(-z * z / 2) / sqrt(2 * pi) - self.mean * self.below(0.0))

    def negated(self) -> "Part":
        return self._replace(mean=-self.mean)


class Posterior(NamedTuple):
    """What is known of the second mean minus the first."""

    p_none: float
    """That there is no difference."""
    parts: tuple[Part, ...]

    def _over_parts(self, read: Callable[[Part], float]) -> float:
        return sum(part.weight * read(part) for part in self.parts)

    @property
    def estimate(self) -> float:
        """The mean difference, where there is one."""
        return self._over_parts(lambda part: part.mean)

    @property
    def p_greater(self) -> float:
        """That the second mean is greater."""
        return (1 - self.p_none) * self._over_parts(lambda part: part.negated().below(0.0))

    @property
    def p_smaller(self) -> float:
        return (1 - self.p_none) * self._over_parts(lambda part: part.below(0.0))

    @property
    def loss_of_greater(self) -> float:
        """What is lost on average by taking the second side where greater is better: the mean of max(0, -difference)."""
        return (1 - self.p_none) * self._over_parts(Part.mean_below)

    @property
    def loss_of_smaller(self) -> float:
        """What is lost on average by staying with the first side there."""
        return (1 - self.p_none) * self._over_parts(lambda part: part.negated().mean_below())

    def interval(self, confidence: float) -> tuple[float, float]:
        """Lower and upper end that hold the difference with a probability, where there is one."""
        return self._quantile((1 - confidence) / 2), self._quantile((1 + confidence) / 2)

    def _quantile(self, share: float) -> float:
        ends = [part.mean + float(ndtri(share)) * part.deviation for part in self.parts]
        low, high = min(ends), max(ends)

        def beyond(value: float) -> float:
            return self._over_parts(lambda part: part.below(value)) - share

        if beyond(low) >= 0 or beyond(high) <= 0:  # all parts have it at the same place, but for rounding
            return low
        return float(brentq(beyond, low, high))


def posterior(first: Sample, second: Sample, confidence: float) -> Posterior | None:
    """The second mean against the first, for a decision at a confidence of 0 to 1; None before there is enough to say."""
    if not says_enough(first, second):
        return None
    assert first.mean is not None
    assert second.mean is not None
    raw, variance = second.mean - first.mean, squared_error(first, second)
    of_values = (first.variance + second.variance) / 2
    found = [(_log_factor(raw, variance, slab), _part(raw, variance, slab)) for slab in (of_values * one**2 for one in SLABS)]
    most = max(evidence for evidence, _ in found)
    weights = [exp(evidence - most) for evidence, _ in found]
    log_odds = log(confidence) + most + log(sum(weights) / len(SLABS))
    parts = (part._replace(weight=weight / sum(weights)) for weight, (_, part) in zip(weights, found, strict=True))
    return Posterior(float(expit(-log_odds)), tuple(parts))


def _log_factor(raw: float, variance: float, slab: float) -> float:
    """The logarithm of the Bayes factor of a normal difference of the variance `slab` against none."""
    squared = min(raw * raw / variance, FARTHEST)
    return (log(variance / (slab + variance)) + squared * slab / (slab + variance)) / 2


def _part(raw: float, variance: float, slab: float) -> Part:
    share = slab / (slab + variance)
    return Part(1.0, raw * share, sqrt(variance * share))


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
