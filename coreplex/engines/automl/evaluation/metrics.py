"""How good predictions are: every metric of the leaderboard, its direction, and its spread over the folds.

What each one is stands in `measures`. A metric that is not defined on the rows at hand is None, never a made-up number.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation import measures
from coreplex.engines.automl.evaluation.measures import Measure
from coreplex.engines.automl.evaluation.predictions import Array, Judged, Labels

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
    """The metric that ranks: AUTO is AUC, logloss for more than two classes (plain AUC has no definition), RMSE, and the pinball
    loss for a quantile."""
    name = word.lower()
    if name == "auto":
        return {"binary": "auc", "multiclass": "logloss"}.get(task, "rmse" if quantile is None else PINBALL)
    return "logloss" if name == "deviance" and task != "regression" else name


def signed(name: str, value: float | None) -> float:
    """The value with its sign turned so that more is better; an undefined one is worst of all."""
    if value is None or not math.isfinite(value):
        return -math.inf
    return value if name in HIGHER_IS_BETTER else -value


def of_task(task: str, quantile: float | None = None) -> dict[str, Measure]:
    """The measures of a kind of task; `quantile`: the level that regression predicts, None for the mean."""
    if task != "regression":
        return dict(CLASSIFICATION)
    return {**REGRESSION, **({} if quantile is None else {PINBALL: measures.pinball(quantile)})}


def function(task: str, name: str, quantile: float | None = None) -> Callable[[NDArray[np.generic], Array], float | None]:
    """The metric of that name for a kind of task, of plain rows."""
    measure = of_task(task, quantile)[name]
    return lambda y, p: _single(measure(Judged(y, p, decided(p)), np.ones((1, len(y)))))


def logloss(y: Labels, p: Array) -> float:
    """Mean negative log-likelihood of plain rows."""
    return float(measures.logloss(Judged(y, p, y), np.ones((1, len(y))))[0])


def mse(y: Array, p: Array) -> float:
    """Mean squared error of plain rows."""
    return float(np.square(y - p[:, 0]).mean())


def decided(p: Array, threshold: float = 0.5) -> Labels:
    """The class each row is given, (n,): the likeliest one; of two, the second from the threshold on."""
    return (p[:, 1] >= threshold).astype(np.int64) if p.shape[1] == 2 else p.argmax(axis=1).astype(np.int64)


def evaluate(
    task: str, y: NDArray[np.generic], p: Array, *, said: Labels | None = None, quantile: float | None = None
) -> Metrics:
    """All metrics of a task. y: (n,) class codes or values; p: (n, k) probabilities or (n, 1) values; said: (n,) class codes."""
    judged, every = Judged(y, p, decided(p) if said is None else said), np.ones((1, len(y)))
    return {name: _single(measure(judged, every)) for name, measure in of_task(task, quantile).items()}


def spread(per_fold: Sequence[Metrics]) -> dict[str, dict[str, float]]:
    """Mean and sample deviation over the folds of each metric that is defined on at least one."""
    out: dict[str, dict[str, float]] = {}
    for name in per_fold[0]:
        values = [v for fold in per_fold if (v := fold[name]) is not None]
        if values:
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            out[name] = {"mean": float(np.mean(values)), "std": deviation}
    return out


def _single(values: Array) -> float | None:
    return float(values[0]) if math.isfinite(values[0]) else None
