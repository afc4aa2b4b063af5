"""Every metric of the leaderboard: which there are for a kind of task, their direction, their spread over the folds; and the
probability from which on the second of two classes is predicted, chosen on out-of-fold predictions for a metric or for costs.

n rows, k classes. Truth is y: (n,), int64 class codes 0 to k - 1 or float64 values. Predictions are p: (n, k) float64
probabilities from 0 to 1 that sum to 1 in a row, or (n, 1) values in the unit of the target. What each metric is, with its
range, stands in `measures`. A metric that is not defined on the rows at hand is None, never a made-up number.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
_named: Any = StrEnum  # mypy knows it with names that are written out only
MetricName: Any = _named("MetricName", {name: name for name in (*CLASSIFICATION, *REGRESSION, PINBALL)})
"""All of them."""
"""The loss of a quantile: a metric of runs with `distribution: quantile` only, which name the level."""
HIGHER_IS_BETTER = frozenset({"auc", "aucpr", "accuracy", "balanced_accuracy", "f1", "mcc", "r2"})
_LEAST = {"mcc": -1.0, "r2": -math.inf}
_MOST = dict.fromkeys(("logloss", *REGRESSION, PINBALL), math.inf) | {"r2": 1.0, "smape": 2.0}


def range_of(name: str) -> tuple[float, float]:
    """The least and the most that a metric can be, infinite where there is no bound."""
    return _LEAST.get(name, 0.0), _MOST.get(name, 1.0)


def within_range(name: str, value: float) -> float:
    """The value of a metric, or the end of its range that it is beyond, as an end of an interval may be: no error is below 0."""
    least, most = range_of(name)
    return min(max(value, least), most)


THRESHOLD = 0.5
"""The probability from which on the second of two classes is predicted, where nothing else was asked for."""
THRESHOLD_METRICS = ("f1", "balanced_accuracy", "mean_per_class_error", "mcc", "accuracy")
"""What another threshold may be chosen for."""
_PARTS = 5
"""Of the rows, which take the place of folds where there is one."""


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


def decided(p: Array, threshold: float = THRESHOLD) -> Labels:
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


@dataclass(frozen=True)
class Aim:
    """What the threshold is to make best: one of `THRESHOLD_METRICS`, or (None) the cost per row of the two kinds of errors."""

    metric: str | None = None
    cost_false_positive: float = 1.0
    cost_false_negative: float = 1.0


@dataclass(frozen=True)
class Decision:
    """A threshold and what was decided with it, cross-fitted. `predicted`: (n,) class codes of the rows that chose it."""

    threshold: float
    predicted: Labels


def decide(y: Labels, score: Array, aim: Aim | None, folds: Sequence[NDArray[np.int64]], seed: int = 0) -> Decision:
    """The threshold for `aim`, 0 to 1; without one it is 0.5.

    What is decided with it is cross-fitted: the rows of each fold are decided by the threshold that the other folds choose, so a
    threshold is never praised on the rows that chose it. y: (n,) codes 0 and 1; score: (n,) probability of 1; `folds`: the
    positions of each, of which fewer than two are replaced by five random parts.
    """
    if aim is None:
        return Decision(THRESHOLD, (score >= THRESHOLD).astype(np.int64))
    best = _best_threshold(y, score, aim)
    cuts = np.full(len(y), best)
    for part in folds if len(folds) > 1 else np.array_split(np.random.default_rng(seed).permutation(len(y)), _PARTS):
        others = np.ones(len(y), dtype=bool)
        others[part] = False
        if 0 < y[others].sum() < others.sum():
            cuts[part] = _best_threshold(y[others], score[others], aim)
    return Decision(best, (score >= cuts).astype(np.int64))


def described_decision(
    decision: Decision, y: Labels, aim: Aim | None, labels: Sequence[object], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """A decision as JSON: the threshold, what it was chosen for, and what to expect of it. y: (n,) codes 0 and 1; `labels`:
    both spellings; `metrics`: of the same rows."""
    table = measures.confusion(y, decision.predicted, 2)
    costs = aim is not None and aim.metric is None
    false_positive, false_negative = int(table[0, 1]), int(table[1, 0])
    return {
        "value": decision.threshold,
        "positive_class": labels[1],
        "chosen_for": None if aim is None else aim.metric or "cost",
        "expected": None if aim is None or costs else metrics.get(str(aim.metric)),
        "expected_cost": _cost(aim, false_positive, false_negative) / len(y) if aim is not None and costs else None,
        "true_positives": int(table[1, 1]),
        "false_positives": false_positive,
        "true_negatives": int(table[0, 0]),
        "false_negatives": false_negative,
    }


def _cost(aim: Aim, false_positives: Any, false_negatives: Any) -> Any:
    return aim.cost_false_positive * false_positives + aim.cost_false_negative * false_negatives


def _best_threshold(y: Labels, score: Array, aim: Aim) -> float:
    """Halfway between the best cut and the score below it; of equals the one nearest to 0.5."""
    falls, hits, cuts = sweep(y == 1, score)
    # Beside every cut the one that says the second class of nobody.
    falls, hits = np.concatenate([[0.0], falls]), np.concatenate([[0.0], hits])
    positive, negative = hits[-1], falls[-1]
    value = threshold_gains(falls, hits, positive, negative)[aim.metric] if aim.metric else -_cost(aim, falls, positive - hits)
    above = np.concatenate([[1.0], cuts])
    between = (above + np.concatenate([cuts, [0.0]])) / 2
    equal = np.flatnonzero(value >= value.max() - 1e-12)
    return float(between[equal[np.abs(between[equal] - THRESHOLD).argmin()]])


def threshold_gains(falls: Array, hits: Array, positive: float, negative: float) -> dict[str, Array]:
    """Each of `THRESHOLD_METRICS`, turned so that more is better, for c pairs of false and true positives. falls, hits: (c,)
    counts; positive, negative: rows of the second class and of the first."""
    predicted = hits + falls
    spread = np.sqrt(np.maximum(predicted * positive * negative * (positive + negative - predicted), 1e-300))
    balanced = (hits / positive + 1 - falls / negative) / 2
    return {
        "f1": 2 * hits / (predicted + positive),
        "mcc": (hits * (negative - falls) - falls * (positive - hits)) / spread,
        "accuracy": (hits + negative - falls) / (positive + negative),
        "balanced_accuracy": balanced,
        "mean_per_class_error": balanced - 1,
    }


def sweep(hit: NDArray[np.bool_], score: Array) -> tuple[Array, Array, Array]:
    """False positives, true positives and the score, (c,) each, at every distinct cut from the highest score down. hit: (n,)
    whether a row is of the second class; score: (n,)."""
    order = np.argsort(-score)
    ordered = score[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    hits = np.cumsum(hit[order])[last].astype(np.float64)
    return last + 1.0 - hits, hits, ordered[last]
