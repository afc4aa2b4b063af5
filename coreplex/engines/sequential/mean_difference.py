"""Compares the means of two sides, rates among them, with intervals and p-values that may be looked at at any moment.

An asymptotic confidence sequence for the difference of two means (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024,
"Time-uniform central limit theory and asymptotic confidence sequences", eq. 9 and 161, whose normal mixture is Robbins' of 1970):
it holds the true difference at every number of values together, so whoever stops as soon as it leaves 0 out errs no more often
than it says. It asks for nothing but a finite variance and says nothing while a side has few values. The p-value is that of the
same mixture: 1 over its likelihood ratio (Johari, Koomen, Pekelis & Walsh 2022, "Always valid inference").
"""

from math import exp, log, sqrt
from typing import NamedTuple

from coreplex.engines.sequential.sample import Sample

LEAST_VALUES = 50
"""On each side, before anything is said."""
LEAST_EFFECTIVE = 20
"""Units of as many values each: of fewer a mean is no normal variable, and too many tests without a difference had a winner."""
LEAST_OF_A_KIND = 10
"""Of rates: so many ones, and so many zeros, on both sides together."""
THIN_OF_A_KIND = 20
"""A rate with fewer ones or zeros says too little of its own variance."""
TIGHTEST = 5000
"""Values of both sides at which the interval is the nearest to that of one look."""


class Difference(NamedTuple):
    """Estimate of the second mean minus the first, the interval that holds it at all looks together, and the p-value of 0."""

    estimate: float
    lower: float
    upper: float
    p_value: float


def says_enough(first: Sample, second: Sample) -> bool:
    """Whether there are values enough on both sides to compare them."""
    if min(first.size, second.size) < LEAST_VALUES or first.variance + second.variance <= 0:
        return False
    if min(first.effective_size, second.effective_size) < LEAST_EFFECTIVE:
        return False
    if not (first.is_rate and second.is_rate):
        return True
    ones, size = first.total + second.total, first.size + second.size
    return LEAST_OF_A_KIND <= ones <= size - LEAST_OF_A_KIND


def squared_error(first: Sample, second: Sample) -> float:
    """The variance of the difference of the two means; of values of any size no less than if both sides had that of all values.

    A smaller side that has seen none of the rare large values takes itself for certain, and its mean is low just then: of revenue
    with a share of 10 %, every sixth test without a difference had a winner before, the larger side. Of rates the ones and zeros
    say when enough were seen. With sides of one size it changes nothing.
    """
    own = first.variance / first.size + second.variance / second.size
    if first.is_rate and second.is_rate and not (_is_thin(first) or _is_thin(second)):
        return own
    within = (first.size - 1) * first.variance + (second.size - 1) * second.variance
    return max(own, within / (first.size + second.size - 2) * (1 / first.size + 1 / second.size))


def _is_thin(rate: Sample) -> bool:
    return min(rate.total, rate.size - rate.total) < THIN_OF_A_KIND


def difference(first: Sample, second: Sample, confidence: float) -> Difference | None:
    """The second mean against the first at a confidence of 0 to 1; None before there is enough to say."""
    if not says_enough(first, second):
        return None
    assert first.mean is not None
    assert second.mean is not None
    estimate, variance = second.mean - first.mean, squared_error(first, second)
    mixed = (first.size + second.size) * _mixture(1 - confidence)
    half = sqrt(variance) * sqrt(2 * (mixed + 1) / mixed * log(sqrt(mixed + 1) / (1 - confidence)))
    evidence = estimate * estimate / variance * mixed / (2 * (mixed + 1)) - log(mixed + 1) / 2
    return Difference(estimate, estimate - half, estimate + half, exp(min(0.0, -evidence)))


def mean_interval(sample: Sample, confidence: float) -> tuple[float, float] | None:
    """Lower and upper end that hold one side's mean at all looks together; None before there is enough to say."""
    if sample.size < LEAST_VALUES or sample.mean is None:
        return None
    mixed = sample.size * _mixture(1 - confidence)
    half = sqrt(sample.variance / sample.size) * sqrt(2 * (mixed + 1) / mixed * log(sqrt(mixed + 1) / (1 - confidence)))
    return sample.mean - half, sample.mean + half


def _mixture(alpha: float) -> float:
    """The squared scale of the normal mixture that makes the interval tightest at `TIGHTEST` values."""
    return (-2 * log(alpha) + log(-2 * log(alpha) + 1)) / TIGHTEST
