"""How good predictions are: every metric of the leaderboard, its direction, and its spread over the folds.

Plain NumPy on purpose: a fold may lack a class, where the libraries warn or raise, and the web process, which needs
the names only, must not load them. Checked against scikit-learn in the tests; a metric that is not defined on the
rows at hand is None, never a made-up number. Metrics for more than two classes are macro averages over the classes
present.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Metrics = dict[str, float | None]
_EPS = 1e-15


def auc(y: Labels, p: Array) -> float | None:
    """Area under the ROC curve (Mann-Whitney U); macro one-vs-rest when p has more than two columns."""
    return _macro(_binary_auc, y, p)


def aucpr(y: Labels, p: Array) -> float | None:
    """Average precision, the step-wise area under the precision-recall curve; macro one-vs-rest."""
    return _macro(_average_precision, y, p)


def logloss(y: Labels, p: Array) -> float:
    """Mean negative log-likelihood of the true class, natural log, probabilities clipped at 1e-15."""
    return float(-np.log(np.clip(p[np.arange(len(y)), y], _EPS, 1.0)).mean())


def accuracy(y: Labels, p: Array) -> float:
    return float((p.argmax(axis=1) == y).mean())


def mean_per_class_error(y: Labels, p: Array) -> float:
    return 1.0 - balanced_accuracy(y, p)


def balanced_accuracy(y: Labels, p: Array) -> float:
    """Mean recall over the classes that occur."""
    table = confusion(y, p.argmax(axis=1), p.shape[1])
    support = table.sum(axis=1)
    return float((np.diag(table)[support > 0] / support[support > 0]).mean())


def f1(y: Labels, p: Array) -> float:
    """F1 of the second class for two classes, else the macro average over classes that occur or are predicted."""
    table = confusion(y, p.argmax(axis=1), p.shape[1])
    total = table.sum(axis=0) + table.sum(axis=1)
    scores = np.divide(2.0 * np.diag(table), total, out=np.zeros(len(table)), where=total > 0)
    return float(scores[1] if len(table) == 2 else scores[total > 0].mean())


def mcc(y: Labels, p: Array) -> float:
    """Matthews correlation in its multiclass form (Gorodkin 2004); 0 where a margin is empty."""
    table = confusion(y, p.argmax(axis=1), p.shape[1]).astype(np.float64)
    true, said, n = table.sum(axis=1), table.sum(axis=0), table.sum()
    spread = (n * n - said @ said) * (n * n - true @ true)
    return float((np.trace(table) * n - true @ said) / math.sqrt(spread)) if spread > 0 else 0.0


def confusion(y: Labels, said: Labels, k: int) -> NDArray[np.int64]:
    """k x k counts; rows are the truth, columns what was said."""
    return np.bincount(y * k + said, minlength=k * k).reshape(k, k)


def mse(y: Array, p: Array) -> float:
    return float(np.square(y - p[:, 0]).mean())


def rmse(y: Array, p: Array) -> float:
    return math.sqrt(mse(y, p))


def mae(y: Array, p: Array) -> float:
    return float(np.abs(y - p[:, 0]).mean())


def r2(y: Array, p: Array) -> float | None:
    spread = float(np.square(y - y.mean()).sum())
    return 1.0 - float(np.square(y - p[:, 0]).sum()) / spread if spread > 0 else None


def rmsle(y: Array, p: Array) -> float | None:
    """Root mean squared logarithmic error; not defined where the target goes below zero, predictions are cut at 0."""
    if y.min() < 0:
        return None
    return float(np.sqrt(np.square(np.log1p(y) - np.log1p(np.maximum(p[:, 0], 0.0))).mean()))


def deviance(y: Array, p: Array) -> float:
    """Mean residual deviance of the Gaussian family, which is the mean squared error."""
    return mse(y, p)


CLASSIFICATION: dict[str, Callable[[Labels, Array], float | None]] = {
    "auc": auc,
    "aucpr": aucpr,
    "logloss": logloss,
    "accuracy": accuracy,
    "mean_per_class_error": mean_per_class_error,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
    "mcc": mcc,
}
REGRESSION: dict[str, Callable[[Array, Array], float | None]] = {
    "rmse": rmse,
    "mse": mse,
    "mae": mae,
    "r2": r2,
    "rmsle": rmsle,
    "deviance": deviance,
}
HIGHER_IS_BETTER = frozenset({"auc", "aucpr", "accuracy", "balanced_accuracy", "f1", "mcc", "r2"})


def sort_metric(word: str, task: str) -> str:
    """The metric that ranks: AUTO is AUC, logloss for more than two classes (plain AUC has no definition), RMSE."""
    name = word.lower()
    if name == "auto":
        return {"binary": "auc", "multiclass": "logloss"}.get(task, "rmse")
    return "logloss" if name == "deviance" and task != "regression" else name


def signed(name: str, value: float | None) -> float:
    """The value with its sign turned so that more is better; an undefined one is worst of all."""
    if value is None or not math.isfinite(value):
        return -math.inf
    return value if name in HIGHER_IS_BETTER else -value


def function(task: str, name: str) -> Callable[..., float | None]:
    """The metric of that name for a kind of task."""
    return _functions(task)[name]


def _functions(task: str) -> dict[str, Callable[..., float | None]]:
    return {**(REGRESSION if task == "regression" else CLASSIFICATION)}


def evaluate(task: str, y: NDArray[np.generic], p: Array) -> Metrics:
    """All metrics of a task. y: (n,) class codes or values; p: (n, k) probabilities or (n, 1) values."""
    return {name: _finite(measure(y, p)) for name, measure in _functions(task).items()}


def spread(per_fold: Sequence[Metrics]) -> dict[str, dict[str, float]]:
    """Mean and sample deviation over the folds of each metric that is defined on at least one."""
    out: dict[str, dict[str, float]] = {}
    for name in per_fold[0]:
        values = [v for fold in per_fold if (v := fold[name]) is not None]
        if values:
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            out[name] = {"mean": float(np.mean(values)), "std": deviation}
    return out


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _binary_auc(hit: NDArray[np.bool_], score: Array) -> float:
    positive, n = int(hit.sum()), len(hit)
    _, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((ranks[hit].sum() - positive * (positive + 1) / 2) / (positive * (n - positive)))


def _average_precision(hit: NDArray[np.bool_], score: Array) -> float:
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    hits = np.cumsum(hit[order])[last]
    gained = np.diff(hits, prepend=0) / hits[-1]
    return float(gained @ (hits / (last + 1)))


def _macro(function: Callable[[NDArray[np.bool_], Array], float], y: Labels, p: Array) -> float | None:
    classes = [1] if p.shape[1] == 2 else range(p.shape[1])
    values = [function(y == c, p[:, c]) for c in classes if 0 < int((y == c).sum()) < len(y)]
    return float(np.mean(values)) if values else None
