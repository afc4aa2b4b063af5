"""Greedy ensemble selection: which finished models, and how much of each, predict best together.

Caruana, Niculescu-Mizil, Crew, Ksikes, "Ensemble selection from libraries of models" (ICML 2004): with replacement,
starting from the best, on out-of-fold predictions. On small tables the same rows would choose and judge the ensemble,
so there the choice is bagged over halves of the rows and the round count is cut; and an ensemble that does not beat
its best member gives that member back.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Score = Callable[[NDArray[np.generic], Array], float]

_ROUNDS = 25
_SMALL = 5_000
_LARGE = 60_000
_BAGS = 8
TOP = 25
"""How many models, the best, an ensemble chooses from."""


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
    if score(y, blend(predictions, weights)) <= alone[best]:
        weights = np.zeros(len(predictions))
        weights[best] = 1.0
    return weights


def blend(predictions: list[Array], weights: NDArray[np.float64]) -> Array:
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
