"""Bounds the net effect of one model in the place of another on the same rows, to be looked at at any moment.

A gain is the loss of the answer that was given minus the candidate's, row by row: of a class -1, 0 or 1. Rows on which both do
alike say nothing, so pairs are far tighter than two separate means. The sequence for gains within [-1, 1] needs no large numbers:
exp(λ S - ψ(λ) V) is a supermartingale of the sum S of centred gains and the sum V of their squares (Fan, Grama & Liu 2015,
"Exponential inequalities for martingales with applications"), and mixed over λ by a gamma distribution it is Proposition 9 of
Howard, Ramdas, McAuliffe & Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences". Gains of numbers have
no bound: theirs is the asymptotic sequence of `mean_difference`, widened by what the largest loss that was seen could move.
"""

from functools import lru_cache
from math import inf, lgamma, log, pi, sqrt
from typing import NamedTuple

from scipy.optimize import brentq
from scipy.special import gammainc

from coreplex.engines.sequential.mean_difference import mean_interval
from coreplex.engines.sequential.sample import LEAST_NUMBERS, Sample

TIGHTEST = 500
"""Rows on which the two differ at which the interval of classes is the nearest to that of one look."""


class Gain(NamedTuple):
    """The mean gain, and the interval that holds it at all looks together."""

    estimate: float
    lower: float
    upper: float


def spent(alpha: float, look: int) -> float:
    """What of an error of `alpha` the look of that number, from 1, may use: all together never more (6 / π² of 1 / look²)."""
    return alpha * 6 / (pi * look) ** 2


def class_gain(gains: Sample, confidence: float) -> Gain | None:
    """The mean of gains from -1 to 1, at a confidence of 0 to 1; None without any."""
    if gains.mean is None:
        return None
    half = boundary(gains.squares, (1 - confidence) / 2) / gains.size
    return Gain(gains.mean, max(-1.0, gains.mean - half), min(1.0, gains.mean + half))


def number_gain(gains: Sample, reach: float, confidence: float) -> Gain | None:
    """The mean of gains of any size; None before there are enough. `reach`: the largest loss seen on either side, by which they
    are scaled, so that their unit matters nothing and gains that are all 0 are known as well as a rate of which none was seen."""
    if gains.mean is None or gains.size < LEAST_NUMBERS:
        return None
    if not reach:
        return Gain(0.0, 0.0, 0.0)
    told = mean_interval(Sample(gains.size, gains.total / reach, gains.squares / reach / reach), confidence)
    if told is None:
        return None
    wider = log(2 / (1 - confidence)) / gains.size
    return Gain(gains.mean, reach * (told[0] - wider), reach * (told[1] + wider))


@lru_cache(maxsize=4096)
def boundary(squares: float, alpha: float) -> float:
    """How far the sum of gains may be from its mean in one direction, at all looks together, but for probability `alpha`.

    `squares`: the sum of the gains' squares, 0 or more."""
    level, shape = -log(alpha), _shape(alpha)

    def outside(distance: float) -> float:
        return _log_mixture(distance, squares, shape) - level

    high = sqrt(2 * (squares + shape) * level) + level
    while outside(high) <= 0:
        high *= 2
    return float(brentq(outside, 0.0, high, xtol=1e-9))


def _shape(alpha: float) -> float:
    """The shape of the gamma distribution that makes the boundary tightest at `TIGHTEST`."""
    wanted = -2 * log(2 * alpha)
    return TIGHTEST / (wanted + log(1 + wanted))


def _log_mixture(distance: float, squares: float, shape: float) -> float:
    """The logarithm of the gamma-exponential mixture (Howard et al., eq. 70 with c = 1)."""
    grown, whole = squares + shape, distance + squares + shape
    inside = float(gammainc(grown, whole))
    if inside <= 0:
        return -inf
    start = shape * log(shape) - lgamma(shape) - log(float(gammainc(shape, shape)))
    return start + lgamma(grown) + log(inside) - grown * log(whole) + distance + squares
