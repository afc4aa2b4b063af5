"""What a replay comes to."""

from enum import StrEnum


class ReplayVerdict(StrEnum):
    better = "better"
    not_worse = "not_worse"
    worse = "worse"
    inconclusive = "inconclusive"
    no_outcomes = "no_outcomes"


class RequiredVerdict(StrEnum):
    """What somebody may ask of a replay."""

    better = "better"
    not_worse = "not_worse"


def verdict(lower: float | None, upper: float | None, margin: float) -> ReplayVerdict:
    """By the interval that holds the mean gain, in the unit of the loss; None before there is one. `margin`: what it may cost."""
    if lower is None or upper is None:
        return ReplayVerdict.inconclusive
    if lower > 0:
        return ReplayVerdict.better
    if lower > -margin:
        return ReplayVerdict.not_worse
    return ReplayVerdict.worse if upper < 0 else ReplayVerdict.inconclusive
