"""Metrics of rows under weights, by what came of them or by what may be expected."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation.measures import Labels, Measure, Predictions
from coreplex.engines.metric_change.raking import Weights

MOST_CELLS = 8_000_000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answered:
    """n rows. p: (n, k) probabilities or (n, 1) values; predicted: (n,) class codes as decided; y: (n,) class codes or values.

    Where nobody knows y, `chances`: (n, k) calibrated probabilities of classes, or `errors`: (2, n) absolute and squared errors
    of numbers that are expected.
    """

    p: Floats
    predicted: Labels
    y: NDArray[np.generic] | None = None
    chances: Floats | None = None
    errors: Floats | None = None


Worth = Callable[[Answered, Weights], Floats]
"""(b,) values of a metric of n rows under (b, n) weights; NaN where it is not defined."""


def realised(measure: Measure) -> Worth:
    """A metric of rows whose outcome is known."""

    def worth(answered: Answered, weights: Weights) -> Floats:
        assert answered.y is not None
        judged = Predictions(answered.y, answered.p, answered.predicted)
        return np.concatenate([measure(judged, part) for part in _parts(weights, 1)])

    return worth


def expected(measure: Measure) -> Worth:
    """A metric of classes as it is to be expected: of rows each once for every class, weighted by its chance (CBPE)."""

    def worth(answered: Answered, weights: Weights) -> Floats:
        assert answered.chances is not None
        rows, k = answered.chances.shape
        every = Predictions(np.tile(np.arange(k), rows), np.repeat(answered.p, k, axis=0), np.repeat(answered.predicted, k))
        return np.concatenate([measure(every, _spread(part, answered.chances)) for part in _parts(weights, k)])

    return worth


def expected_error(name: str) -> Worth:
    """`mae`, `mse` or `rmse` as they are to be expected (DLE)."""

    def worth(answered: Answered, weights: Weights) -> Floats:
        assert answered.errors is not None
        errors = answered.errors[0 if name == "mae" else 1]
        mean = weights @ errors / weights.sum(axis=1)
        return np.asarray(np.sqrt(np.maximum(mean, 0.0)) if name == "rmse" else mean, dtype=np.float64)

    return worth


def _spread(weights: Weights, chances: Floats) -> Weights:
    """(b, n k) weights of each row as each class."""
    return (weights[:, :, None] * chances).reshape(len(weights), -1)


def _parts(weights: Weights, times: int) -> Iterator[Weights]:
    size = max(1, MOST_CELLS // max(weights.shape[1] * times, 1))
    for at in range(0, len(weights), size):
        yield weights[at : at + size]
