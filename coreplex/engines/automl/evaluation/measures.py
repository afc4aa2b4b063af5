"""Every metric, for many weightings of the same rows at once: what one score is, and what a bootstrap needs.

j: n rows with their truth and predictions; w: (b, n) weights, zero or more. Each measure returns (b,), NaN where it is
not defined on the weighted rows. Plain NumPy on purpose: a fold may lack a class, where the libraries warn or raise. With more
than two classes measures are macro averages over those present.

The area under the ROC curve and average precision both follow from what lies below each row of a class (a hit) and beside it, so
the scores of a class are sorted once for both, and what is counted is as long as the hits are many: over all classes as long as
the rows, not as rows times classes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Hits:
    """The m hits of one class, by ascending score, under b weightings. weight: (b, m); below, upto: (b, m) the weight of all rows
    with a lower score, and with that of equal scores; hits_below, hits_upto: (b, m) the same of hits alone; total: (b, 1) the
    weight of all rows; hits: (b, 1) that of the hits."""

    weight: Array
    below: Array
    upto: Array
    hits_below: Array
    hits_upto: Array
    total: Array
    hits: Array


@dataclass(frozen=True)
class Predictions:
    """Rows that a model was validated on. y: (n,) class codes or values; p: (n, k) probabilities or (n, 1) values; predicted:
    (n,) class codes as decided; units: (n,) numbers of what is drawn whole, None for single rows."""

    y: NDArray[np.generic]
    p: Array
    predicted: Labels
    units: NDArray[np.int64] | None = None
    _last: list[tuple[Array, list[Hits]]] = field(default_factory=list, init=False, repr=False, compare=False)

    def take(self, rows: NDArray[np.int64]) -> "Predictions":
        """The same of some rows. rows: (m,) positions."""
        return Predictions(self.y[rows], self.p[rows], self.predicted[rows], None if self.units is None else self.units[rows])

    def ranked(self, w: Array) -> list[Hits]:
        """Of each class that occurs (of two, the second alone), its hits under the (b, n) weights; kept for the next metric."""
        if not self._last or self._last[0][0] is not w:
            self._last[:] = [(w, list(self._ranked(w)))]
        return self._last[0][1]

    def _ranked(self, w: Array) -> Iterator[Hits]:
        for code in [1] if self.p.shape[1] == 2 else range(self.p.shape[1]):
            hit = self.y == code
            if hit.any():
                yield _hits(hit, self.p[:, code], w)


def _hits(hit: NDArray[np.bool_], score: Array, w: Array) -> Hits:
    if len(w) == 1 and (w == 1.0).all():
        # Each row counts once: what lies below is a position, and sorting values is twice as fast as sorting positions.
        ordered, own = np.sort(score), np.sort(score[hit])
        weight, total, hits = np.ones((1, len(own))), np.arange(len(score) + 1.0)[None], np.arange(len(own) + 1.0)[None]
    else:
        order = np.argsort(score)
        ordered, rows = score[order], order[hit[order]]
        own, weight = score[rows], w[:, rows]
        total, hits = _cumulated(w[:, order]), _cumulated(weight)
    first, last = (np.searchsorted(ordered, own, side=side) for side in ("left", "right"))
    own_first, own_last = (np.searchsorted(own, own, side=side) for side in ("left", "right"))
    ends = total[:, -1:].copy(), hits[:, -1:].copy()  # a view would keep all that was cumulated
    return Hits(weight, total[:, first], total[:, last], hits[:, own_first], hits[:, own_last], *ends)


def _cumulated(w: Array) -> Array:
    """(b, n + 1) the sum of the first 0, 1, … n weights."""
    return np.concatenate([np.zeros((len(w), 1)), np.cumsum(w, axis=1)], axis=1)


Measure = Callable[[Predictions, Array], Array]
_EPS = 1e-15


def auc(j: Predictions, w: Array) -> Array:
    """Area under the ROC curve, 0 to 1 (Mann-Whitney U); macro one-vs-rest when p has more than two columns."""
    return _macro(_binary_auc, j, w)


def aucpr(j: Predictions, w: Array) -> Array:
    """Average precision, 0 to 1: the step-wise area under the precision-recall curve; macro one-vs-rest."""
    return _macro(_average_precision, j, w)


def logloss(j: Predictions, w: Array) -> Array:
    """Mean negative log-likelihood of the true class in nats, 0 or more, probabilities clipped at 1e-15."""
    return _mean(w, -np.log(np.clip(j.p[np.arange(len(j.y)), j.y.astype(np.int64)], _EPS, 1.0)))


def accuracy(j: Predictions, w: Array) -> Array:
    """Share of rows whose class is predicted, 0 to 1."""
    return _mean(w, (j.predicted == j.y).astype(np.float64))


def balanced_accuracy(j: Predictions, w: Array) -> Array:
    """Mean recall over the classes that occur, 0 to 1."""
    hits, true, _ = _counts(j, w)
    return _over_classes(_ratio(hits, true), true > 0)


def mean_per_class_error(j: Predictions, w: Array) -> Array:
    """Mean over the classes that occur of the share of their rows that is predicted otherwise, 0 to 1."""
    return 1.0 - balanced_accuracy(j, w)


def f1(j: Predictions, w: Array) -> Array:
    """F1, 0 to 1: of the second class for two classes, else the macro average over classes that occur or are predicted."""
    hits, true, predicted = _counts(j, w)
    total = true + predicted
    return _of_second_or_all(_or_zero(2.0 * hits, total), total > 0)


def precision(j: Predictions, w: Array) -> Array:
    """Share of the rows predicted as a class that are of it, 0 to 1, averaged as `f1` is; 0 where none is predicted."""
    hits, true, predicted = _counts(j, w)
    return _of_second_or_all(_or_zero(hits, predicted), true + predicted > 0)


def recall(j: Predictions, w: Array) -> Array:
    """Share of the rows of a class that are predicted as it, 0 to 1, averaged as `f1` is; 0 where there is none."""
    hits, true, predicted = _counts(j, w)
    return _of_second_or_all(_or_zero(hits, true), true + predicted > 0)


def specificity(j: Predictions, w: Array) -> Array:
    """Share of the rows of other classes that are not predicted as a class, 0 to 1, averaged as `f1` is."""
    hits, true, predicted = _counts(j, w)
    others = true.sum(axis=1, keepdims=True) - true
    return _of_second_or_all(_or_zero(others - (predicted - hits), others), true + predicted > 0)


def _or_zero(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _of_second_or_all(values: Array, present: NDArray[np.bool_]) -> Array:
    """(b,) the second of two classes, else the mean of the present ones, of (b, k) values."""
    return values[:, 1] if values.shape[1] == 2 else _over_classes(values, present)


FURTHER: dict[str, Measure] = {"precision": precision, "recall": recall, "specificity": specificity}
"""Metrics of classes that no leaderboard ranks by."""


def mcc(j: Predictions, w: Array) -> Array:
    """Matthews correlation, -1 to 1, in its multiclass form (Gorodkin 2004); 0 where a margin is empty."""
    hits, true, predicted = _counts(j, w)
    n = true.sum(axis=1)
    spread = (n * n - np.square(predicted).sum(axis=1)) * (n * n - np.square(true).sum(axis=1))
    gained = hits.sum(axis=1) * n - (true * predicted).sum(axis=1)
    return np.divide(gained, np.sqrt(np.maximum(spread, 0.0)), out=np.zeros_like(n), where=spread > 0)


def mse(j: Predictions, w: Array) -> Array:
    """Mean squared error, in the square of the target's unit."""
    return _mean(w, np.square(_errors(j)))


def rmse(j: Predictions, w: Array) -> Array:
    """Root mean squared error, in the target's unit."""
    return np.sqrt(mse(j, w))


def mae(j: Predictions, w: Array) -> Array:
    """Mean absolute error, in the target's unit."""
    return _mean(w, np.abs(_errors(j)))


def r2(j: Predictions, w: Array) -> Array:
    """Coefficient of determination, at most 1: the share of the variance that is explained; NaN where values do not differ."""
    offsets = _values(j) - _values(j).mean()
    centred = np.square(offsets)
    spread = _mean(w, centred) - np.square(_mean(w, offsets))
    spread[spread <= 1e-12 * max(float(centred.max(initial=0.0)), 1e-300)] = np.nan
    return 1.0 - mse(j, w) / spread


def rmsle(j: Predictions, w: Array) -> Array:
    """Root mean squared error of log(1 + value), 0 or more; not defined where the target goes below zero, predictions are cut
    at 0."""
    values = _values(j)
    if values.min(initial=0.0) < 0:
        return np.full(len(w), np.nan)
    return np.sqrt(_mean(w, np.square(np.log1p(values) - np.log1p(np.maximum(j.p[:, 0], 0.0)))))


def mape(j: Predictions, w: Array) -> Array:
    """Mean absolute error as a share of the value (0.1 is 10 %), over the rows whose value is not zero."""
    known = j.y != 0
    return _mean(w[:, known], np.abs(_errors(j)[known]) / np.abs(_values(j)[known]))


def smape(j: Predictions, w: Array) -> Array:
    """Symmetric MAPE, 0 to 2: the error as a share of the mean size of value and prediction; 0 where both are zero."""
    size = np.abs(_values(j)) + np.abs(j.p[:, 0])
    return _mean(w, np.divide(2.0 * np.abs(_errors(j)), size, out=np.zeros_like(size), where=size > 0))


def wape(j: Predictions, w: Array) -> Array:
    """Sum of absolute errors as a share of the sum of absolute values, 0 or more: a MAPE that zeros do not break."""
    return _ratio(w @ np.abs(_errors(j)), w @ np.abs(_values(j)))


def pinball(alpha: float) -> Measure:
    """The quantile loss of level alpha, above 0 and below 1, in the target's unit (Koenker & Bassett 1978): alpha times what is
    above, 1 - alpha times what is below."""

    def loss(j: Predictions, w: Array) -> Array:
        above = _errors(j)
        return _mean(w, np.maximum(alpha * above, (alpha - 1.0) * above))

    return loss


def confusion(y: Labels, predicted: Labels, k: int) -> NDArray[np.int64]:
    """(k, k) counts of n class codes from 0 to k - 1; rows are the truth, columns what was predicted."""
    return np.bincount(y * k + predicted, minlength=k * k).reshape(k, k)


def _values(j: Predictions) -> Array:
    return j.y.astype(np.float64)


def _errors(j: Predictions) -> Array:
    return _values(j) - j.p[:, 0]


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)


def _mean(w: Array, loss: NDArray[np.floating]) -> Array:
    return _ratio(w @ np.asarray(loss, dtype=np.float64), w.sum(axis=1))


def _over_classes(values: Array, present: NDArray[np.bool_]) -> Array:
    """(b,) mean over the present classes of (b, k) values."""
    return _ratio(np.where(present, values, 0.0).sum(axis=1), present.sum(axis=1).astype(np.float64))


def _counts(j: Predictions, w: Array) -> tuple[Array, Array, Array]:
    """Per weighting and class: weight that was hit, weight that is true, weight that was predicted; each (b, k)."""
    k, true = j.p.shape[1], j.y.astype(np.int64)
    hit = np.where(j.predicted == true, true, k)
    rows = [(np.bincount(hit, one, k + 1)[:k], np.bincount(true, one, k), np.bincount(j.predicted, one, k)) for one in w]
    hits, there, predicted = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    return hits, there, predicted


def _macro(measure: Callable[[Hits], Array], j: Predictions, w: Array) -> Array:
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
