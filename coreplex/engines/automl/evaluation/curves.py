"""Curves and tables for charts, from out-of-fold predictions: ROC, precision-recall, confusion, calibration, residuals.

JSON-ready and small: a curve keeps at most 200 points, chosen so that its shape stays. Labels are spelled as in the
uploaded file.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation.measures import confusion
from coreplex.engines.automl.evaluation.metrics import decided, sweep, threshold_gains

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Json = dict[str, Any]

POINTS = 200
_CLASSES = 20


def classification(y: Labels, p: Array, labels: Sequence[object], predicted: Labels | None = None) -> Json:
    """Curves of a classifier. y: (n,) class codes, p: (n, k) probabilities, labels: k spellings in the order of the codes,
    predicted: (n,) codes as decided, by default at 0.5."""
    shown = [1] if len(labels) == 2 else _frequent(y, len(labels))
    curves: Json = {
        "kind": "classification",
        "labels": list(labels),
        "confusion_matrix": confusion_matrix(y, decided(p) if predicted is None else predicted, labels),
        "roc": [],
        "pr": [],
        "calibration": [],
    }
    for code in shown:
        hit, score = y == code, p[:, code]
        if 0 < hit.sum() < len(hit):
            falls, hits, cuts = sweep(hit, score)
            curves["roc"].append({"label": labels[code], **_roc(falls, hits, cuts)})
            curves["pr"].append({"label": labels[code], **_pr(falls, hits, cuts)})
            curves["calibration"].append({"label": labels[code], **_calibration(hit, score)})
    if len(labels) == 2 and curves["roc"]:
        curves["thresholds"] = thresholds(y, p[:, 1])
    return curves


def regression(y: Array, p: Array) -> Json:
    """Residuals of a regressor, truth minus prediction in the target's unit: histogram, quantiles, and a sample of predicted
    against actual. y: (n,), p: (n, 1)."""
    predicted = p[:, 0]
    residual = y - predicted
    counts, edges = np.histogram(residual, bins=min(40, max(5, int(np.sqrt(len(y))))))
    rows = np.linspace(0, len(y) - 1, min(len(y), POINTS)).astype(int)
    rows = np.argsort(y, kind="stable")[rows]
    levels = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0]
    return {
        "kind": "regression",
        "residuals": {
            "histogram": {"counts": counts.tolist(), "edges": _rounded(edges)},
            "quantiles": dict(zip([str(q) for q in levels], _rounded(np.quantile(residual, levels)), strict=True)),
            "mean": float(residual.mean()),
            "std": float(residual.std()),
        },
        "predicted_actual": {
            "actual": _rounded(y[rows]),
            "predicted": _rounded(predicted[rows]),
            "residual": _rounded(residual[rows]),
        },
        "intervals": _intervals(residual),
    }


def thresholds(y: Labels, score: Array) -> Json:
    """The probability from which on the second class is predicted, that makes each measure best on these rows. y: (n,) codes 0
    and 1; score: (n,) probability of 1."""
    falls, hits, cuts = sweep(y == 1, score)
    measures = threshold_gains(falls, hits, hits[-1], falls[-1])
    return {
        f"max_{name}": {"threshold": float(cuts[i]), "value": float(measures[name][i])}
        for name in ("f1", "mcc", "accuracy", "balanced_accuracy")
        for i in [int(measures[name].argmax())]
    }


def _keep(x: Array, y: Array, points: int = POINTS) -> NDArray[np.int64]:
    """At most `points` positions, evenly spaced along the length of the curve, ends included."""
    if len(x) <= points:
        return np.arange(len(x))
    length = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    return np.unique(np.searchsorted(length, np.linspace(0.0, length[-1], points)).clip(0, len(x) - 1))


def _roc(falls: Array, hits: Array, cuts: Array) -> Json:
    fpr, tpr = falls / falls[-1], hits / hits[-1]
    at = _keep(fpr, tpr, POINTS - 1)
    return {
        "fpr": [0.0, *_rounded(fpr[at])],
        "tpr": [0.0, *_rounded(tpr[at])],
        "threshold": [1.0, *_rounded(cuts[at])],
    }


def _pr(falls: Array, hits: Array, cuts: Array) -> Json:
    recall, precision = hits / hits[-1], hits / (hits + falls)
    at = _keep(recall, precision)
    return {"recall": _rounded(recall[at]), "precision": _rounded(precision[at]), "threshold": _rounded(cuts[at])}


def _calibration(hit: NDArray[np.bool_], score: Array) -> Json:
    """Reliability in ten bins of equal width, and the expected calibration error (Naeini et al. 2015)."""
    bins = np.minimum((score * 10).astype(int), 9)
    count = np.bincount(bins, minlength=10)
    used = count > 0
    predicted = np.bincount(bins, weights=score, minlength=10)[used] / count[used]
    seen = np.bincount(bins, weights=hit, minlength=10)[used] / count[used]
    error = float(np.abs(predicted - seen) @ count[used] / len(score))
    return {
        "predicted": _rounded(predicted),
        "observed": _rounded(seen),
        "count": count[used].tolist(),
        "expected_calibration_error": error,
    }


def confusion_matrix(y: Labels, predicted: Labels, labels: Sequence[object]) -> Json:
    """How often rows of each class (n codes `y`, a row of the matrix) are predicted as each (n codes `predicted`, a column).
    Beyond the twenty most frequent classes the rest is one row and one column."""
    k = len(labels)
    table = confusion(y, predicted, k)
    names = list(labels)
    if k > _CLASSES:
        kept = _frequent(y, k)
        place = np.full(k, len(kept))
        place[kept] = np.arange(len(kept))
        small = np.zeros((len(kept) + 1, len(kept) + 1), dtype=np.int64)
        np.add.at(small, (place[:, None], place[None, :]), table)
        table, names = small, [*(labels[c] for c in kept), "(other)"]
    return {"labels": names, "matrix": table.tolist()}


def _frequent(y: Labels, k: int) -> list[int]:
    counts = np.bincount(y, minlength=k)
    return sorted(np.argsort(-counts, kind="stable")[:_CLASSES].tolist())


def _intervals(residual: Array) -> Json:
    """Half-widths of symmetric intervals from out-of-fold residuals (split conformal, Lei et al. 2018)."""
    n = len(residual)
    size = np.sort(np.abs(residual))
    at = {level: min(int(np.ceil((n + 1) * level)), n) - 1 for level in (0.5, 0.8, 0.9, 0.95)}
    return {str(level): float(size[i]) for level, i in at.items()}


def _rounded(values: Array) -> list[float]:
    """Six significant digits: a curve is for the eye."""
    return [float(f"{v:.6g}") for v in values]
