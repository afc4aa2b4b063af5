"""How right answers probably were, before any outcome is known.

Classes, as CBPE does (NannyML 0.13.1): a calibrated probability says how likely each class is the truth of a row, so that every
metric has an expectation, the metric of all rows each once for every class, weighted by its probability. Numbers, as DLE does:
the mean of the expected errors (`coreplex.engines.estimation.error_model`).

Both see what a shift of the inputs does. What no estimate sees is a change of what the inputs mean: where the same row now has
another truth than in training. Only outcomes show that.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import measures
from coreplex.engines.automl.evaluation.measures import Array, Labels, Measure, Predictions
from coreplex.engines.performance.realised import Figure, Figures, defined

LEAST_ROWS = 30
"""Of fewer nothing is said."""
COUNTED: dict[str, Measure] = {
    "accuracy": measures.accuracy,
    "balanced_accuracy": measures.balanced_accuracy,
    "f1": measures.f1,
    "mcc": measures.mcc,
    "mean_per_class_error": measures.mean_per_class_error,
    **measures.FURTHER,
}
CONFIDENCE: dict[str, Measure] = {**COUNTED, "logloss": measures.logloss}
RANKED: dict[str, Measure] = {"auc": measures.auc, "aucpr": measures.aucpr}
"""Metrics of classes that are estimated: of rows one by one, most of them by counts of classes alone, and of their order by the
probability of a class."""
ERRORS = ("mae", "mse", "rmse")
_DRAWS, _FEW_DRAWS, _MANY_CELLS = 24, 8, 50_000


class Estimates(Protocol):
    """Of n rows, of which any part can be asked for."""

    def figures(self, some: NDArray[Any]) -> Figures:
        """Every metric that can be estimated, of some rows: (n,) of bool or positions."""
        ...


@dataclass(frozen=True)
class ByConfidence:
    """p: (n, k) probabilities as answered; q: (n, k) calibrated; predicted: (n,) class codes as answered."""

    p: Array
    q: Array
    predicted: Labels

    def figures(self, some: NDArray[Any]) -> Figures:
        """Expectations, each with the spread that outcomes drawn from the calibrated probabilities have around it."""
        p, q, predicted = self.p[some], self.q[some], self.predicted[some]
        values = expectations(p, q, predicted)
        errors = _spread(p, q, predicted)
        return {name: Figure(value, errors.get(name)) for name, value in values.items()}


def expectations(p: Array, q: Array, predicted: Labels) -> dict[str, float | None]:
    """Every metric of (n, k) probabilities and (n,) answers, expected under (n, k) calibrated probabilities."""
    k = p.shape[1]
    weights, zeros = q.reshape(1, -1), np.zeros(p.size, dtype=np.int64)
    # Counts of classes read no probability, and of many classes all of them for each class of each row would be very many.
    every = Predictions(np.tile(np.arange(k), len(p)), np.empty((0, k)), np.repeat(predicted, k))
    found = {name: defined(measure(every, weights)[0]) for name, measure in COUNTED.items()}
    found["logloss"] = defined(measures.logloss(Predictions(zeros, p.reshape(-1, 1), zeros), weights)[0])
    return found | {name: _over_classes(measure, p, q) for name, measure in RANKED.items()}


def _over_classes(measure: Measure, p: Array, q: Array) -> float | None:
    """Of two classes the second against the first; else each against all others, the mean."""
    values = []
    for code in [1] if p.shape[1] == 2 else range(p.shape[1]):
        pair, chances = (np.column_stack([1.0 - one[:, code], one[:, code]]) for one in (p, q))
        two = Predictions(np.tile([0, 1], len(p)), np.repeat(pair, 2, axis=0), np.zeros(2 * len(p), dtype=np.int64))
        values.append(defined(measure(two, chances.reshape(1, -1))[0]))
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _spread(p: Array, q: Array, predicted: Labels) -> dict[str, float | None]:
    """Standard deviation of each metric over outcomes drawn from q; None where one of them leaves it undefined."""
    draws = _DRAWS if p.size <= _MANY_CELLS else _FEW_DRAWS
    draw, upto, every = np.random.default_rng(len(p)), np.cumsum(q, axis=1), np.ones((1, len(p)))
    found: dict[str, list[float]] = {name: [] for name in (*CONFIDENCE, *RANKED)}
    for _ in range(draws):
        chance = draw.random((len(p), 1)) * upto[:, -1:]
        judged = Predictions((chance >= upto[:, :-1]).sum(axis=1), p, predicted)
        for name, measure in (CONFIDENCE | RANKED).items():
            found[name].append(float(measure(judged, every)[0]))
    return {name: defined(float(np.std(values, ddof=1))) for name, values in found.items()}


@dataclass(frozen=True)
class ByErrors:
    """absolute, squared: (n,) expected errors of the rows, none below 0; `…_deviation`: how much those of single rows differ."""

    absolute: Array
    squared: Array
    absolute_deviation: float
    squared_deviation: float

    def figures(self, some: NDArray[Any]) -> Figures:
        """Mean absolute error, mean squared error and its root, with the error that so many rows leave."""
        absolute, squared = self.absolute[some], self.squared[some]
        root = np.sqrt(len(absolute))
        mae, mse = float(absolute.mean()), float(squared.mean())
        mae_error, mse_error = self.absolute_deviation / root, self.squared_deviation / root
        rmse = float(np.sqrt(mse))
        return {
            "mae": Figure(mae, float(mae_error)),
            "mse": Figure(mse, float(mse_error)),
            "rmse": Figure(rmse, float(mse_error / (2 * rmse)) if rmse else None),
        }
