"""The ensemble of a run: which finished models, and how much of each, predict best together, by their out-of-fold predictions.

- Greedy selection (Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models", ICML 2004): with
  replacement, starting from the best. On small tables the same rows would choose and judge the ensemble, so there the choice is
  bagged over halves of the rows; and an ensemble that does not beat its best member gives that member back.
- For classes a linear layer: weights of the log-odds that make the predictions most likely, not negative (Breiman 1996, "Stacked
  regressions"), where the fold copies of a model are averaged as well. Weights need not sum to one: their sum is the temperature.
- Pruning (backward elimination: Tsoumakas, Partalas, Vlahavas 2009): models are left out of a blend that is slow to answer, the
  most expensive first, where it is as good without them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.automl.data.task import Task
from coreplex.engines.scoring.calibration import Calibration
from coreplex.engines.scoring.ensemble import Combine
from coreplex.engines.scoring.predictor import raw_of, respond

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Score = Callable[[NDArray[np.generic], Array], float]

_ROUNDS = 25
_SMALL = 5_000
_LARGE = 60_000
_BAGS = 8
TOP = 25
"""How many models, the best, an ensemble chooses from."""
_PENALTY = 1e-3
"""Of the sum of squares of the weights, in nats a row."""
_HELD, _FITTED = 8_000_000, 1_000_000
"""Log-odds that are held at once, which limits the models, and that weights are fitted on, which limits the rows."""
_FOLDS = 3
_FEW, _OPTIMISTIC = 30, 20_000
"""With fewer rows there is no linear layer; up to so many the greedy choice, too, is judged on rows it was not made on."""
_LEAST = 0.01
"""Of the sum: lesser weights are left out, since each member costs time when the blend is asked."""
QUICK = 1e-4
"""Seconds of CPU for a row that are little: 10,000 rows in one second."""
_SHARE = 0.1
"""Of the time of the blend: models that take less are not worth leaving out."""


@dataclass(frozen=True)
class Blend:
    """weights: (m,) of the models, summing to 1; predicted: (n, k) what the blend says of the judged rows: a linear layer of
    those it was not fitted on."""

    weights: Array
    predicted: Array
    combine: Combine = "response"
    calibration: Calibration | None = None


def blend(predictions: list[Array], y: NDArray[np.generic], score: Score, task: Task, over: Callable[[], bool]) -> Blend:
    """The greedy ensemble, or for classes a linear layer where that scores better on rows it was not fitted on.

    predictions: (n, k) of each of m models, y: (n,), score: more is better. The greedy choice alone when `over()`.
    """
    weights = select(predictions, y, score, seed=task.seed, over=over)
    greedy = Blend(weights, averaged(predictions, weights))
    if not task.classification or len(y) < _FEW or over() or 2 * predictions[0].size > _HELD:
        return greedy
    pool = np.argsort([-score(y, p) for p in predictions], kind="stable")[: _HELD // predictions[0].size]
    layer, chosen = _layer(predictions, pool, y, task), greedy.predicted
    if len(y) <= _OPTIMISTIC:

        def chosen_on(seen: Mask, out: Mask) -> Array:
            found = select([p[seen] for p in predictions], y[seen], score, seed=task.seed, over=over)
            return averaged([p[out] for p in predictions], found)

        chosen = _crossed(_parts(y, task), chosen_on)
    return greedy if over() or layer is None or score(y, layer.predicted) <= score(y, chosen) else layer


def pruned(
    found: Blend,
    predictions: list[Array],
    y: NDArray[np.generic],
    score: Score,
    task: Task,
    seconds: Sequence[float],
    over: Callable[[], bool],
) -> Blend:
    """`found`, or the blend of fewer of its models where it is slow. predictions: (n, k) of each of m models; y: (n,); score:
    more is better; `seconds` of each model for one row. Ends early when `over()`.

    A linear layer is fitted anew without the model and judged on rows it was not fitted on, where one model less to weigh is
    worth something too, so there is no tolerance: with one of a standard error of the difference the loss of the digits rose by a
    tenth on new rows. Models that are a small part of the time stay.
    """
    cost = np.asarray(seconds)
    for model in sorted(np.flatnonzero(found.weights), key=lambda one: -cost[one]):
        kept = np.flatnonzero(found.weights)
        total = float(cost[kept].sum())
        if len(kept) < 2 or total <= QUICK or cost[model] < _SHARE * total or over():
            return found
        rest = fewer(found, predictions, kept[kept != model], y, task)
        if rest is not None and score(y, rest.predicted) >= score(y, found.predicted):
            found = rest
    return found


def fewer(found: Blend, predictions: list[Array], kept: NDArray[np.int64], y: NDArray[np.generic], task: Task) -> Blend | None:
    """The same kind of blend of the models `kept` (positions) alone: a linear layer is fitted anew. predictions: (n, k) of each
    of m models, y: (n,). None where that gives them no weight."""
    if found.combine == "raw":
        return _layer(predictions, kept, y, task)
    weights = np.zeros(len(predictions))
    weights[kept] = found.weights[kept] / found.weights[kept].sum()
    return Blend(weights, averaged(predictions, weights))


def select(
    predictions: list[Array],
    y: NDArray[np.generic],
    score: Score,
    *,
    seed: int,
    over: Callable[[], bool] = lambda: False,
) -> NDArray[np.float64]:
    """Weights that sum to 1 over `predictions` ((n, k) each); `score(y, p)`: more is better. Ends early when `over()`."""
    alone = np.array([score(y, p) for p in predictions])
    pool = np.argsort(-alone, kind="stable")[:TOP]
    weights = np.zeros(len(predictions))
    for rows in _samples(y, seed):
        chosen = _greedy([predictions[i][rows] for i in pool], y[rows], score, over)
        weights[pool] += chosen / chosen.sum()
        if over():
            break
    weights /= weights.sum()
    weights[weights < 0.02] = 0.0
    weights /= weights.sum()
    best = int(alone.argmax())
    if score(y, averaged(predictions, weights)) <= alone[best]:
        weights = np.zeros(len(predictions))
        weights[best] = 1.0
    return weights


def averaged(predictions: list[Array], weights: NDArray[np.float64]) -> Array:
    """(n, k) the weighted average of the predictions, (n, k) each, with a weight above zero. weights: (m,), summing to 1."""
    total = np.zeros_like(predictions[0])
    for p, w in zip(predictions, weights, strict=True):
        if w > 0:
            total += w * p
    return total


def _samples(y: NDArray[np.generic], seed: int) -> list[NDArray[np.int64]]:
    """All rows once (a sample of them on big tables); random two thirds, several times, where the rows are few."""
    n = len(y)
    draw = np.random.default_rng(seed)
    if n > _SMALL:
        return [np.arange(n) if n <= _LARGE else np.sort(draw.permutation(n)[:_LARGE])]
    return [np.sort(draw.permutation(n)[: max(2 * n // 3, 1)]) for _ in range(_BAGS)]


def _greedy(predictions: list[Array], y: NDArray[np.generic], score: Score, over: Callable[[], bool]) -> NDArray[np.float64]:
    counts = np.zeros(len(predictions))
    total = np.zeros_like(predictions[0])
    best_counts, best_score = counts, -np.inf
    for round_ in range(1, _ROUNDS + 1):
        scores = [score(y, (total + p) / round_) for p in predictions]
        pick = int(np.argmax(scores))
        counts[pick] += 1
        total += predictions[pick]
        if scores[pick] > best_score:
            best_counts, best_score = counts.copy(), scores[pick]
        if over():
            break
    return best_counts


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
