"""What a replay comes to."""

from enum import StrEnum


class ReplayVerdict(StrEnum):
    better = "better"
    not_worse = "not_worse"
    worse = "worse"
    inconclusive = "inconclusive"
    no_outcomes = "no_outcomes"


MARGIN = 0.01
"""What a candidate may cost where nothing is said: one wrong answer in a hundred; of numbers, a hundredth of the mean absolute
error of the answers that were given."""


def usual_margin(is_class: bool, served_loss: float | None) -> float:
    """The same in the unit of the loss. `served_loss`: that mean absolute error; None before there are outcomes."""
    return MARGIN if is_class else MARGIN * (served_loss or 0.0)


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
