"""Metrics of rows under weights, by what came of them or by what their probabilities let expect."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation.measures import Labels, Measure, Predictions
from coreplex.engines.metric_change.raking import Weights

MOST_CELLS = 8_000_000


@dataclass(frozen=True)
class Answered:
    """n rows. p: (n, k) probabilities or (n, 1) values; predicted: (n,) class codes as decided; y: (n,) class codes or values, or
    None where nobody knows: then each row is of each class with its probability, as confidence-based performance estimation has
    it (Białek et al. 2023), which needs calibrated probabilities."""

    p: NDArray[np.float64]
    predicted: Labels
    y: NDArray[np.generic] | None


def worth(measure: Measure, answered: Answered, weights: Weights) -> NDArray[np.float64]:
    """(b,) values of a metric under (b, n) weights; NaN where it is not defined."""
    judged, chances = _judged(answered)
    parts = [measure(judged, part if chances is None else _spread(part, chances)) for part in _parts(weights, answered)]
    return np.concatenate(parts)


def _judged(answered: Answered) -> tuple[Predictions, NDArray[np.float64] | None]:
    if answered.y is not None:
        return Predictions(answered.y, answered.p, answered.predicted), None
    rows, classes = answered.p.shape
    every = np.tile(np.arange(classes), rows)
    p, predicted = np.repeat(answered.p, classes, axis=0), np.repeat(answered.predicted, classes)
    return Predictions(every, p, predicted), answered.p


def _spread(weights: Weights, chances: NDArray[np.float64]) -> Weights:
    """(b, n k) weights of each row as each class."""
    return (weights[:, :, None] * chances).reshape(len(weights), -1)


def _parts(weights: Weights, answered: Answered) -> Iterator[Weights]:
    size = max(1, MOST_CELLS // max(answered.p.size, 1))
    for at in range(0, len(weights), size):
        yield weights[at : at + size]
