"""The probability from which on the second of two classes is predicted: chosen on out-of-fold predictions for a metric or for
costs.

The numbers told about it are cross-fitted: the rows of each fold are decided by the threshold that the other folds choose, so a
threshold is never praised on the rows that chose it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation.measures import Array, Labels, confusion

DEFAULT = 0.5
METRICS = ("f1", "balanced_accuracy", "mean_per_class_error", "mcc", "accuracy")
_PARTS = 5


@dataclass(frozen=True)
class Aim:
    """What the threshold is to make best: a metric of `METRICS`, or (None) the cost per row of the two kinds of errors."""

    metric: str | None = None
    cost_false_positive: float = 1.0
    cost_false_negative: float = 1.0


@dataclass(frozen=True)
class Decision:
    """A threshold and what was decided with it, cross-fitted. `predicted`: (n,) class codes of the rows that chose it."""

    threshold: float
    predicted: Labels


def decide(y: Labels, score: Array, aim: Aim | None, folds: Sequence[NDArray[np.int64]], seed: int = 0) -> Decision:
    """The threshold for `aim`, 0 to 1; without one it is 0.5. y: (n,) codes 0 and 1; score: (n,) probability of 1; `folds`: the
    positions of each, of which fewer than two are replaced by five random parts."""
    if aim is None:
        return Decision(DEFAULT, (score >= DEFAULT).astype(np.int64))
    best = _best(y, score, aim)
    cuts = np.full(len(y), best)
    for part in folds if len(folds) > 1 else np.array_split(np.random.default_rng(seed).permutation(len(y)), _PARTS):
        others = np.ones(len(y), dtype=bool)
        others[part] = False
        if 0 < y[others].sum() < others.sum():
            cuts[part] = _best(y[others], score[others], aim)
    return Decision(best, (score >= cuts).astype(np.int64))


def described(
    decision: Decision, y: Labels, aim: Aim | None, labels: Sequence[object], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """A decision as JSON: the threshold, what it was chosen for, and what to expect of it. y: (n,) codes 0 and 1; `labels`:
    both spellings; `metrics`: of the same rows."""
    table = confusion(y, decision.predicted, 2)
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


def _best(y: Labels, score: Array, aim: Aim) -> float:
    """Halfway between the best cut and the score below it; of equals the one nearest to 0.5."""
    falls, hits, cuts = sweep(y == 1, score)
    # Beside every cut the one that says the second class of nobody.
    falls, hits = np.concatenate([[0.0], falls]), np.concatenate([[0.0], hits])
    positive, negative = hits[-1], falls[-1]
    value = gains(falls, hits, positive, negative)[aim.metric] if aim.metric else -_cost(aim, falls, positive - hits)
    above = np.concatenate([[1.0], cuts])
    between = (above + np.concatenate([cuts, [0.0]])) / 2
    equal = np.flatnonzero(value >= value.max() - 1e-12)
    return float(between[equal[np.abs(between[equal] - DEFAULT).argmin()]])


def gains(falls: Array, hits: Array, positive: float, negative: float) -> dict[str, Array]:
    """Each metric of `METRICS`, turned so that more is better, for c pairs of false and true positives. falls, hits: (c,) counts;
    positive, negative: rows of the second class and of the first."""
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
