"""Compares means of losses of any size that may be looked at after every outcome, with a promise for all looks together.

An asymptotic confidence sequence needs nothing but a finite variance: its promise holds in the limit of many outcomes, so it says
nothing before there are `LEAST_OUTCOMES` (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, "Time-uniform central limit theory
and asymptotic confidence sequences", Proposition B.1, one-sided).
"""

from math import log, sqrt

from coreplex.engines.sequential.sample import Sample

LEAST_OUTCOMES = 50
TIGHTEST = 500
"""Outcomes at which the bound is the nearest to that of one look."""


def margin(losses: Sample, alpha: float) -> float:
    """How far the mean may be from the true one in one direction, at all sample sizes together, but for probability `alpha`."""
    known, mean = losses.size, losses.total / losses.size
    deviation = sqrt(max(0.0, losses.squares / known - mean * mean))
    mixed = known * _mixture(alpha)
    return deviation * sqrt(2 * (mixed + 1) / (known * mixed) * log(1 + sqrt(mixed + 1) / (2 * alpha)))


def _mixture(alpha: float) -> float:
    """The variance of the normal mixture that makes the bound tightest at `TIGHTEST` outcomes."""
    wanted = -2 * log(2 * alpha)
    return (wanted + log(wanted) + 1) / TIGHTEST


def least_increase(baseline: Sample, candidate: Sample, confidence: float) -> float | None:
    """The lower bound of the candidate's mean loss minus the baseline's; None before both have outcomes enough.

    It is below the true difference at all looks together with probability `confidence`.
    """
    if min(baseline.size, candidate.size) < LEAST_OUTCOMES:
        return None
    alpha = (1 - confidence) / 2
    assert baseline.mean is not None
    assert candidate.mean is not None
    return candidate.mean - margin(candidate, alpha) - (baseline.mean + margin(baseline, alpha))
