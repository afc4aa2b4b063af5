"""Every metric, for many weightings of the same rows at once: what one score is, and what a bootstrap needs.

y: (n,) class codes or values; p: (n, k) probabilities or (n, 1) values; said: (n,) the class codes that were decided; w: (b, n)
weights, zero or more. Each measure returns (b,), NaN where it is not defined on the weighted rows. Plain NumPy on purpose: a fold
may lack a class, where the libraries warn or raise. With more than two classes measures are macro averages over those present.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Measure = Callable[[NDArray[Any], Array, Labels, Array], Array]
_EPS = 1e-15


def auc(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Area under the ROC curve (Mann-Whitney U); macro one-vs-rest when p has more than two columns."""
    return _macro(_binary_auc, y, p, w)


def aucpr(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Average precision, the step-wise area under the precision-recall curve; macro one-vs-rest."""
    return _macro(_average_precision, y, p, w)


def logloss(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Mean negative log-likelihood of the true class, natural log, probabilities clipped at 1e-15."""
    return _mean(w, -np.log(np.clip(p[np.arange(len(y)), y.astype(np.int64)], _EPS, 1.0)))


def accuracy(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    return _mean(w, (said == y).astype(np.float64))


def balanced_accuracy(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Mean recall over the classes that occur."""
    hits, true, _ = _counts(y, p, said, w)
    return _over_classes(_ratio(hits, true), true > 0)


def mean_per_class_error(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    return 1.0 - balanced_accuracy(y, p, said, w)


def f1(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """F1 of the second class for two classes, else the macro average over classes that occur or are predicted."""
    hits, true, predicted = _counts(y, p, said, w)
    total = true + predicted
    scores = np.divide(2.0 * hits, total, out=np.zeros_like(hits), where=total > 0)
    return scores[:, 1] if scores.shape[1] == 2 else _over_classes(scores, total > 0)


def mcc(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Matthews correlation in its multiclass form (Gorodkin 2004); 0 where a margin is empty."""
    hits, true, predicted = _counts(y, p, said, w)
    n = true.sum(axis=1)
    spread = (n * n - np.square(predicted).sum(axis=1)) * (n * n - np.square(true).sum(axis=1))
    gained = hits.sum(axis=1) * n - (true * predicted).sum(axis=1)
    return np.divide(gained, np.sqrt(np.maximum(spread, 0.0)), out=np.zeros_like(n), where=spread > 0)


def mse(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    return _mean(w, np.square(y - p[:, 0]))


def rmse(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    return np.sqrt(mse(y, p, said, w))


def mae(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    return _mean(w, np.abs(y - p[:, 0]))


def r2(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    centred = np.square(y - y.astype(np.float64).mean())
    mean = _mean(w, y - y.astype(np.float64).mean())
    spread = _mean(w, centred) - np.square(mean)
    spread[spread <= 1e-12 * max(float(centred.max(initial=0.0)), 1e-300)] = np.nan
    return 1.0 - mse(y, p, said, w) / spread


def rmsle(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Root mean squared logarithmic error; not defined where the target goes below zero, predictions are cut at 0."""
    values = y.astype(np.float64)
    if values.min(initial=0.0) < 0:
        return np.full(len(w), np.nan)
    return np.sqrt(_mean(w, np.square(np.log1p(values) - np.log1p(np.maximum(p[:, 0], 0.0)))))


def mape(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Mean absolute error as a share of the value (0.1 is 10 %), over the rows whose value is not zero."""
    known = y != 0
    values = y[known].astype(np.float64)
    return _mean(w[:, known], np.abs(values - p[known, 0]) / np.abs(values))


def smape(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Symmetric MAPE, 0 to 2: the error as a share of the mean size of value and prediction; 0 where both are zero."""
    size = np.abs(y.astype(np.float64)) + np.abs(p[:, 0])
    return _mean(w, np.divide(2.0 * np.abs(y - p[:, 0]), size, out=np.zeros_like(size), where=size > 0))


def wape(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
    """Sum of absolute errors as a share of the sum of absolute values: a MAPE that zeros do not break."""
    return _ratio(w @ np.abs(y - p[:, 0]), w @ np.abs(y.astype(np.float64)))


def pinball(alpha: float) -> Measure:
    """The quantile loss of level alpha (Koenker & Bassett 1978): alpha times what is above, 1 - alpha times what is below."""

    def loss(y: NDArray[Any], p: Array, said: Labels, w: Array) -> Array:
        above = y - p[:, 0]
        return _mean(w, np.maximum(alpha * above, (alpha - 1.0) * above))

    return loss


def confusion(y: Labels, said: Labels, k: int) -> NDArray[np.int64]:
    """k x k counts; rows are the truth, columns what was said."""
    return np.bincount(y * k + said, minlength=k * k).reshape(k, k)


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _mean(w: Array, loss: NDArray[np.floating]) -> Array:
    return _ratio(w @ np.asarray(loss, dtype=np.float64), w.sum(axis=1))


def _over_classes(values: Array, present: NDArray[np.bool_]) -> Array:
    """(b,) mean over the present classes of (b, k) values."""
    return _ratio(np.where(present, values, 0.0).sum(axis=1), present.sum(axis=1).astype(np.float64))


def _counts(y: NDArray[Any], p: Array, said: Labels, w: Array) -> tuple[Array, Array, Array]:
    """Per weighting and class: weight that was hit, weight that is true, weight that was said; each (b, k)."""
    k, true = p.shape[1], y.astype(np.int64)
    hit = np.where(said == true, true, k)
    rows = [(np.bincount(hit, one, k + 1)[:k], np.bincount(true, one, k), np.bincount(said, one, k)) for one in w]
    hits, there, predicted = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    return hits, there, predicted


def _macro(measure: Callable[[NDArray[np.bool_], Array, Array], Array], y: NDArray[Any], p: Array, w: Array) -> Array:
    classes = [1] if p.shape[1] == 2 else range(p.shape[1])
    values = np.array([measure(y == c, p[:, c], w) for c in classes if (y == c).any()])
    if not len(values):
        return np.full(len(w), np.nan)
    return _over_classes(values.T, ~np.isnan(values.T))


def _grouped(hit: NDArray[np.bool_], score: Array, w: Array) -> tuple[Array, Array]:
    """Weight that is hit and weight that is not, (b, g) each, for the g distinct scores from the lowest up."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(score[order]) > 0]))
    ordered = w[:, order]
    positive = np.add.reduceat(ordered * hit[order], starts, axis=1)
    return positive, np.add.reduceat(ordered, starts, axis=1) - positive


def _binary_auc(hit: NDArray[np.bool_], score: Array, w: Array) -> Array:
    positive, negative = _grouped(hit, score, w)
    below = np.cumsum(negative, axis=1) - negative / 2
    return _ratio((positive * below).sum(axis=1), positive.sum(axis=1) * negative.sum(axis=1))


def _average_precision(hit: NDArray[np.bool_], score: Array, w: Array) -> Array:
    positive, negative = _grouped(hit, score, w)
    positive, negative = positive[:, ::-1], negative[:, ::-1]
    hits, total = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    precision = np.divide(hits, total, out=np.zeros_like(hits), where=total > 0)
    one_sided = negative.sum(axis=1) <= 0
    return np.where(one_sided, np.nan, _ratio((positive * precision).sum(axis=1), hits[:, -1]))
