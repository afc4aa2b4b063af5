"""Compares error rates that may be looked at after every request, with a promise that holds for all looks together.

A confidence sequence holds its parameter at every sample size at once, so stopping whenever it says so keeps the promised error,
however often it is looked at. Here it is the prior-posterior ratio of a Bernoulli rate with a uniform prior (Waudby-Smith &
Ramdas 2020, "Confidence sequences for sampling without replacement"; the martingale is Ville's and Robbins').
"""

from collections.abc import Callable
from math import log, log1p

from scipy.optimize import brentq
from scipy.special import betaln

LEAST = 1e-12
"""As near to 0 and 1 as a bound is looked for."""


def rate_bounds(errors: int, requests: int, alpha: float) -> tuple[float, float]:
    """Lower and upper end, 0 to 1, that hold the rate at all sample sizes together with probability 1 - `alpha`.

    Raises ValueError for counts that cannot be.
    """
    if not 0 <= errors <= requests:
        raise ValueError(f"{errors} errors of {requests} requests")
    right = requests - errors
    level = -log(alpha) - float(betaln(1 + errors, 1 + right))

    def outside(rate: float) -> float:
        """Above 0 where the rate is ruled out: the logarithm of prior over posterior, over 1 / alpha."""
        return -(errors * log(rate) + right * log1p(-rate)) - level

    likeliest = min(max(errors / requests, LEAST), 1 - LEAST) if requests else 0.5
    return _crossing(outside, LEAST, likeliest, 0.0), _crossing(outside, 1 - LEAST, likeliest, 1.0)


def _crossing(outside: Callable[[float], float], end: float, inside: float, otherwise: float) -> float:
    if end == inside or outside(end) <= 0:
        return otherwise
    return float(brentq(outside, end, inside, xtol=1e-12))


def least_increase(baseline: tuple[int, int], candidate: tuple[int, int], confidence: float) -> float:
    """The lower bound of the candidate's error rate minus the baseline's, each given as (errors, requests); -1 to 1.

    It is below the true difference at all looks together with probability `confidence`.
    """
    alpha = (1 - confidence) / 2
    return rate_bounds(*candidate, alpha)[0] - rate_bounds(*baseline, alpha)[1]
