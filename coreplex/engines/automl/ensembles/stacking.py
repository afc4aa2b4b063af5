"""A linear layer over finished models: weights of their log-odds that make the out-of-fold predictions most likely.

Stacking with weights that are not negative (Breiman 1996, "Stacked regressions"), for classes on log-odds, where the fold copies
of a model are averaged as well. Weights need not sum to one: their sum is the temperature of the blend.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task
from coreplex.engines.automl.ensembles import selection
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.ensemble import Combine
from coreplex.engines.scoring.predictor import raw_of, respond

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_PENALTY = 1e-3
"""Of the sum of squares of the weights, in nats a row."""
_HELD, _FITTED = 8_000_000, 1_000_000
"""Log-odds that are held at once, which limits the models, and that weights are fitted on, which limits the rows."""
_FOLDS = 3
_FEW, _OPTIMISTIC = 30, 20_000
"""With fewer rows there is no linear layer; up to so many the greedy choice, too, is judged on rows it was not made on."""
_LEAST = 0.01
"""Of the sum: lesser weights are left out, since each member costs time when the blend is asked."""


@dataclass(frozen=True)
class Blend:
    """weights: (m,) of the models, summing to 1; predicted: (n, k) what the blend says of the judged rows: a linear layer of
    those it was not fitted on."""

    weights: Array
    predicted: Array
    combine: Combine = "response"
    calibration: Calibration | None = None


def blend(
    predictions: list[Array], y: NDArray[np.generic], score: selection.Score, task: Task, over: Callable[[], bool]
) -> Blend:
    """The greedy ensemble, or for classes a linear layer where that scores better on rows it was not fitted on.

    predictions: (n, k) of each of m models, y: (n,), score: more is better. The greedy choice alone when `over()`.
    """
    weights = selection.select(predictions, y, score, seed=task.seed, over=over)
    greedy = Blend(weights, selection.blend(predictions, weights))
    if not task.classification or len(y) < _FEW or over() or 2 * predictions[0].size > _HELD:
        return greedy
    pool = np.argsort([-score(y, p) for p in predictions], kind="stable")[: _HELD // predictions[0].size]
    layer, chosen = _layer(predictions, pool, y, task), greedy.predicted
    if len(y) <= _OPTIMISTIC:

        def select(seen: Mask, out: Mask) -> Array:
            found = selection.select([p[seen] for p in predictions], y[seen], score, seed=task.seed, over=over)
            return selection.blend([p[out] for p in predictions], found)

        chosen = _crossed(_parts(y, task), select)
    return greedy if over() or layer is None or score(y, layer.predicted) <= score(y, chosen) else layer


def fewer(found: Blend, predictions: list[Array], kept: NDArray[np.int64], y: NDArray[np.generic], task: Task) -> Blend | None:
    """The same kind of blend of the models `kept` (positions) alone: a linear layer is fitted anew. predictions: (n, k) of each
    of m models, y: (n,). None where that gives them no weight."""
    if found.combine == "raw":
        return _layer(predictions, kept, y, task)
    weights = np.zeros(len(predictions))
    weights[kept] = found.weights[kept] / found.weights[kept].sum()
    return Blend(weights, selection.blend(predictions, weights))


def _layer(predictions: list[Array], pool: NDArray[np.int64], y: NDArray[np.generic], task: Task) -> Blend | None:
    """A linear layer over the models of `pool`; None where none has a weight."""
    raw, codes = logits([predictions[i] for i in pool]), y.astype(np.int64)
    predicted = _crossed(_parts(y, task), lambda seen, out: respond_all(raw[:, out], fit(raw[:, seen], codes[seen], task.seed)))
    weights = np.zeros(len(predictions))
    weights[pool] = fit(raw, codes, task.seed)
    total = float(weights.sum())
    return Blend(weights / total, predicted, "raw", Calibration("temperature", total)) if total > 0.0 else None


def _parts(y: NDArray[np.generic], task: Task) -> NDArray[np.int64]:
    return np.random.default_rng(task.seed).permutation(len(y)) % _FOLDS


def logits(predictions: list[Array]) -> Array:
    """(m, n, r) log-odds of probabilities (n, k) each: r is 1 for two classes, else k."""
    return np.stack([raw_of("logit" if p.shape[1] == 2 else "softmax", p) for p in predictions])


def respond_all(raw: Array, weights: Array) -> Array:
    """(n, k) probabilities of a linear layer. raw: (m, n, r), weights: (m,)."""
    return respond("logit" if raw.shape[2] == 1 else "softmax", np.tensordot(weights, raw, 1))


def fit(raw: Array, y: NDArray[np.int64], seed: int) -> Array:
    """(m,) weights, zero or more, of the least log-loss. raw: (m, n, r) log-odds, y: (n,) class codes."""
    from scipy.optimize import minimize  # half a second that only training pays

    rows = _some(raw, seed)
    raw, y = raw[:, rows], y[rows]
    at = np.arange(len(y))

    def loss(weights: Array) -> tuple[float, Array]:
        p = respond_all(raw, weights)
        lost = -np.log(np.maximum(p[at, y], 1e-15)).mean()
        p[at, y] -= 1.0
        slope = np.einsum("mnr,nr->m", raw, p[:, 1:] if raw.shape[2] == 1 else p) / len(y)
        return float(lost + _PENALTY * weights @ weights), slope + 2.0 * _PENALTY * weights

    start = np.full(len(raw), 1.0 / len(raw))
    found: Array = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(raw)).x
    found[found < _LEAST * found.sum()] = 0.0
    return found


def _crossed(parts: NDArray[np.int64], predicted: Callable[[Mask, Mask], Array]) -> Array:
    """(n, k) what `predicted(seen, out)` says of the rows of each part from those of the others."""
    found = [(parts == part, predicted(parts != part, parts == part)) for part in range(_FOLDS)]
    whole = np.empty((len(parts), found[0][1].shape[1]))
    for out, rows in found:
        whole[out] = rows
    return whole


def _some(raw: Array, seed: int) -> NDArray[np.int64]:
    most, n = max(_FITTED // (raw.shape[0] * raw.shape[2]), 1_000), raw.shape[1]
    return np.arange(n) if n <= most else np.sort(np.random.default_rng(seed).permutation(n)[:most])
