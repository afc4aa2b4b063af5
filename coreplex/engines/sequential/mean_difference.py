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
LEAST_OF_A_KIND = 10
"""Of rates: so many ones, and so many zeros, on both sides together."""
THIN, THIN_OF_A_KIND = 500, 20
"""A side with fewer values, or of rates fewer ones or zeros, says too little of its own variance."""
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
    if not (first.is_rate and second.is_rate):
        return True
    ones, size = first.total + second.total, first.size + second.size
    return LEAST_OF_A_KIND <= ones <= size - LEAST_OF_A_KIND


def squared_error(first: Sample, second: Sample) -> float:
    """The variance of the difference of the two means; as long as a side is thin, no less than if both had that of all values.

    A thin side that has seen none of the rare large values takes itself for certain: at shares of 10 %, and rates of 1 %, every
    twelfth test without a difference had a winner before.
    """
    own = first.variance / first.size + second.variance / second.size
    if not (_is_thin(first) or _is_thin(second)):
        return own
    both = Sample(first.size + second.size, first.total + second.total, first.squares + second.squares)
    return max(own, both.variance * (1 / first.size + 1 / second.size))


def _is_thin(sample: Sample) -> bool:
    if sample.is_rate:
        return min(sample.total, sample.size - sample.total) < THIN_OF_A_KIND
    return sample.size < THIN


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
