"""Every metric of the leaderboard: which there are for a kind of task, their direction, and their spread over the folds.

n rows, k classes. Truth is y: (n,), int64 class codes 0 to k - 1 or float64 values. Predictions are p: (n, k) float64
probabilities from 0 to 1 that sum to 1 in a row, or (n, 1) values in the unit of the target. What each metric is, with its
range, stands in `measures`. A metric that is not defined on the rows at hand is None, never a made-up number."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import measures
from coreplex.engines.automl.evaluation.measures import Array, Labels, Measure, Predictions

Metrics = dict[str, float | None]

CLASSIFICATION: Mapping[str, Measure] = {
    "auc": measures.auc,
    "aucpr": measures.aucpr,
    "logloss": measures.logloss,
    "accuracy": measures.accuracy,
    "mean_per_class_error": measures.mean_per_class_error,
    "balanced_accuracy": measures.balanced_accuracy,
    "f1": measures.f1,
    "mcc": measures.mcc,
}
REGRESSION: Mapping[str, Measure] = {
    "rmse": measures.rmse,
    "mse": measures.mse,
    "mae": measures.mae,
    "r2": measures.r2,
    "rmsle": measures.rmsle,
    "deviance": measures.mse,  # the mean residual deviance of the Gaussian family
    "mape": measures.mape,
    "smape": measures.smape,
    "wape": measures.wape,
}
PINBALL = "pinball"
"""The loss of a quantile: a metric of runs with `distribution: quantile` only, which name the level."""
HIGHER_IS_BETTER = frozenset({"auc", "aucpr", "accuracy", "balanced_accuracy", "f1", "mcc", "r2"})


def sort_metric(word: str, task: str, quantile: float | None = None) -> str:
    """The name of the metric that ranks, from the option `word`, whatever its case. `task`: binary, multiclass or regression;
    `quantile`: its level, above 0 and below 1, None for the mean. AUTO is AUC, logloss for more than two classes (plain AUC has
    no definition), RMSE, and the pinball loss for a quantile."""
    name = word.lower()
    if name == "auto":
        return {"binary": "auc", "multiclass": "logloss"}.get(task, "rmse" if quantile is None else PINBALL)
    return "logloss" if name == "deviance" and task != "regression" else name


def signed(name: str, value: float | None) -> float:
    """The value of a metric, turned so that more is better: losses are negated; minus infinity where it is undefined."""
    if value is None or not math.isfinite(value):
        return -math.inf
    return value if name in HIGHER_IS_BETTER else -value


def of_task(task: str, quantile: float | None = None) -> dict[str, Measure]:
    """The measures of a kind of task by name. `quantile`: the level that regression predicts, above 0 and below 1, None for the
    mean; only with one is there a `pinball`."""
    if task != "regression":
        return dict(CLASSIFICATION)
    return {**REGRESSION, **({} if quantile is None else {PINBALL: measures.pinball(quantile)})}


def function(task: str, name: str, quantile: float | None = None) -> Callable[[NDArray[np.generic], Array], float | None]:
    """The metric of that name as a function of y (n,) and p, rows weighing alike, in its own unit; None where undefined."""
    measure = of_task(task, quantile)[name]
    return lambda y, p: _single(measure(Predictions(y, p, decided(p)), np.ones((1, len(y)))))


def logloss(y: Labels, p: Array) -> float:
    """Mean negative log-likelihood in nats, 0 or more, of class codes y (n,) under probabilities p (n, k)."""
    return float(measures.logloss(Predictions(y, p, y), np.ones((1, len(y))))[0])


def mse(y: Array, p: Array) -> float:
    """Mean squared error of values p (n, 1) for y (n,), in the square of their unit."""
    return float(np.square(y - p[:, 0]).mean())


def decided(p: Array, threshold: float = 0.5) -> Labels:
    """The class code of each row, (n,), by its probabilities p (n, k): the likeliest; of two, the second from a probability of
    `threshold` (0 to 1) on."""
    return (p[:, 1] >= threshold).astype(np.int64) if p.shape[1] == 2 else p.argmax(axis=1).astype(np.int64)


def evaluate(
    task: str, y: NDArray[np.generic], p: Array, *, predicted: Labels | None = None, quantile: float | None = None
) -> Metrics:
    """All metrics of a task by name. y: (n,) class codes or values; p: (n, k) probabilities or (n, 1) values; predicted: (n,)
    class codes as decided, by default at 0.5."""
    judged, every = Predictions(y, p, decided(p) if predicted is None else predicted), np.ones((1, len(y)))
    return {name: _single(measure(judged, every)) for name, measure in of_task(task, quantile).items()}


def spread(per_fold: Sequence[Metrics]) -> dict[str, dict[str, float]]:
    """`mean` and sample deviation `std` over the folds of each metric that is defined on at least one, in its own unit; of one
    fold the deviation is 0."""
    out: dict[str, dict[str, float]] = {}
    for name in per_fold[0]:
        values = [v for fold in per_fold if (v := fold[name]) is not None]
        if values:
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            out[name] = {"mean": float(np.mean(values)), "std": deviation}
    return out


def _single(values: Array) -> float | None:
    return float(values[0]) if math.isfinite(values[0]) else None
