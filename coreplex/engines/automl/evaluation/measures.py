"""Every metric, for many weightings of the same rows at once: what one score is, and what a bootstrap needs.

j: n rows with their truth and what was said of them; w: (b, n) weights, zero or more. Each measure returns (b,), NaN where it is
not defined on the weighted rows. Plain NumPy on purpose: a fold may lack a class, where the libraries warn or raise. With more
than two classes measures are macro averages over those present.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.evaluation.predictions import Array, Hits, Judged, Labels

Measure = Callable[[Judged, Array], Array]
_EPS = 1e-15


def auc(j: Judged, w: Array) -> Array:
    """Area under the ROC curve (Mann-Whitney U); macro one-vs-rest when p has more than two columns."""
    return _macro(_binary_auc, j, w)


def aucpr(j: Judged, w: Array) -> Array:
    """Average precision, the step-wise area under the precision-recall curve; macro one-vs-rest."""
    return _macro(_average_precision, j, w)


def logloss(j: Judged, w: Array) -> Array:
    """Mean negative log-likelihood of the true class, natural log, probabilities clipped at 1e-15."""
    return _mean(w, -np.log(np.clip(j.p[np.arange(len(j.y)), j.y.astype(np.int64)], _EPS, 1.0)))


def accuracy(j: Judged, w: Array) -> Array:
    return _mean(w, (j.said == j.y).astype(np.float64))


def balanced_accuracy(j: Judged, w: Array) -> Array:
    """Mean recall over the classes that occur."""
    hits, true, _ = _counts(j, w)
    return _over_classes(_ratio(hits, true), true > 0)


def mean_per_class_error(j: Judged, w: Array) -> Array:
    return 1.0 - balanced_accuracy(j, w)


def f1(j: Judged, w: Array) -> Array:
    """F1 of the second class for two classes, else the macro average over classes that occur or are predicted."""
    hits, true, predicted = _counts(j, w)
    total = true + predicted
    scores = np.divide(2.0 * hits, total, out=np.zeros_like(hits), where=total > 0)
    return scores[:, 1] if scores.shape[1] == 2 else _over_classes(scores, total > 0)


def mcc(j: Judged, w: Array) -> Array:
    """Matthews correlation in its multiclass form (Gorodkin 2004); 0 where a margin is empty."""
    hits, true, predicted = _counts(j, w)
    n = true.sum(axis=1)
    spread = (n * n - np.square(predicted).sum(axis=1)) * (n * n - np.square(true).sum(axis=1))
    gained = hits.sum(axis=1) * n - (true * predicted).sum(axis=1)
    return np.divide(gained, np.sqrt(np.maximum(spread, 0.0)), out=np.zeros_like(n), where=spread > 0)


def mse(j: Judged, w: Array) -> Array:
    return _mean(w, np.square(_errors(j)))


def rmse(j: Judged, w: Array) -> Array:
    return np.sqrt(mse(j, w))


def mae(j: Judged, w: Array) -> Array:
    return _mean(w, np.abs(_errors(j)))


def r2(j: Judged, w: Array) -> Array:
    offsets = _values(j) - _values(j).mean()
    centred = np.square(offsets)
    spread = _mean(w, centred) - np.square(_mean(w, offsets))
    spread[spread <= 1e-12 * max(float(centred.max(initial=0.0)), 1e-300)] = np.nan
    return 1.0 - mse(j, w) / spread


def rmsle(j: Judged, w: Array) -> Array:
    """Root mean squared logarithmic error; not defined where the target goes below zero, predictions are cut at 0."""
    values = _values(j)
    if values.min(initial=0.0) < 0:
        return np.full(len(w), np.nan)
    return np.sqrt(_mean(w, np.square(np.log1p(values) - np.log1p(np.maximum(j.p[:, 0], 0.0)))))


def mape(j: Judged, w: Array) -> Array:
    """Mean absolute error as a share of the value (0.1 is 10 %), over the rows whose value is not zero."""
    known = j.y != 0
    return _mean(w[:, known], np.abs(_errors(j)[known]) / np.abs(_values(j)[known]))


def smape(j: Judged, w: Array) -> Array:
    """Symmetric MAPE, 0 to 2: the error as a share of the mean size of value and prediction; 0 where both are zero."""
    size = np.abs(_values(j)) + np.abs(j.p[:, 0])
    return _mean(w, np.divide(2.0 * np.abs(_errors(j)), size, out=np.zeros_like(size), where=size > 0))


def wape(j: Judged, w: Array) -> Array:
    """Sum of absolute errors as a share of the sum of absolute values: a MAPE that zeros do not break."""
    return _ratio(w @ np.abs(_errors(j)), w @ np.abs(_values(j)))


def pinball(alpha: float) -> Measure:
    """The quantile loss of level alpha (Koenker & Bassett 1978): alpha times what is above, 1 - alpha times what is below."""

    def loss(j: Judged, w: Array) -> Array:
        above = _errors(j)
        return _mean(w, np.maximum(alpha * above, (alpha - 1.0) * above))

    return loss


def confusion(y: Labels, said: Labels, k: int) -> NDArray[np.int64]:
    """k x k counts; rows are the truth, columns what was said."""
    return np.bincount(y * k + said, minlength=k * k).reshape(k, k)


def _values(j: Judged) -> Array:
    return j.y.astype(np.float64)


def _errors(j: Judged) -> Array:
    return _values(j) - j.p[:, 0]


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _mean(w: Array, loss: NDArray[np.floating]) -> Array:
    return _ratio(w @ np.asarray(loss, dtype=np.float64), w.sum(axis=1))


def _over_classes(values: Array, present: NDArray[np.bool_]) -> Array:
    """(b,) mean over the present classes of (b, k) values."""
    return _ratio(np.where(present, values, 0.0).sum(axis=1), present.sum(axis=1).astype(np.float64))


def _counts(j: Judged, w: Array) -> tuple[Array, Array, Array]:
    """Per weighting and class: weight that was hit, weight that is true, weight that was said; each (b, k)."""
    k, true = j.p.shape[1], j.y.astype(np.int64)
    hit = np.where(j.said == true, true, k)
    rows = [(np.bincount(hit, one, k + 1)[:k], np.bincount(true, one, k), np.bincount(j.said, one, k)) for one in w]
    hits, there, predicted = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    return hits, there, predicted


def _macro(measure: Callable[[Hits], Array], j: Judged, w: Array) -> Array:
    values = np.array([measure(hits) for hits in j.ranked(w)])
    if not len(values):
        return np.full(len(w), np.nan)
    return _over_classes(values.T, ~np.isnan(values.T))


def _binary_auc(hits: Hits) -> Array:
    """What each hit leaves below itself of the others, equals by half, as a share of all pairs."""
    beaten = (hits.below - hits.hits_below + hits.upto - hits.hits_upto) / 2
    found, others = hits.hits[:, 0], (hits.total - hits.hits)[:, 0]
    return _ratio((hits.weight * beaten).sum(axis=1), found * others)


def _average_precision(hits: Hits) -> Array:
    """The mean, over the hits, of the share of hits among what scores as high or higher."""
    above = hits.total - hits.below
    precision = np.divide(hits.hits - hits.hits_below, above, out=np.zeros_like(above), where=above > 0)
    one_sided = (hits.total <= hits.hits)[:, 0]
    return np.where(one_sided, np.nan, _ratio((hits.weight * precision).sum(axis=1), hits.hits[:, 0]))
