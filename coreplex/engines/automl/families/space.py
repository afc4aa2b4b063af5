"""Search spaces: how each parameter of a family is drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Space:
    """`drawn`: how each parameter is drawn; `fixed`: those that never change; `weight`: how often the family is drawn, in
    proportion to the weights of the others."""

    drawn: Mapping[str, Draw]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    weight: float = 0.1


def log_uniform(low: float, high: float) -> Draw:
    """A number from `low` to `high`, all orders of magnitude alike, of four digits."""
    return lambda draw: float(f"{np.exp(draw.uniform(np.log(low), np.log(high))):.4g}")


def log_integer(low: int, high: int) -> Draw:
    """A whole number from `low` to `high`, all orders of magnitude alike."""
    return lambda draw: round(np.exp(draw.uniform(np.log(low), np.log(high))))


def uniform(low: float, high: float) -> Draw:
    """A number from `low` to `high`, of two decimals."""
    return lambda draw: round(float(draw.uniform(low, high)), 2)


def chance(share: float) -> Draw:
    """True in so many of all draws, 0 to 1."""
    return lambda draw: bool(draw.random() < share)
