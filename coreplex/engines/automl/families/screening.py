"""Leaves out the columns of a sparse matrix that the target hardly depends on, each looked at alone (sure independence screening,
Fan, Lv 2008), by the training rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.automl.families.base import Array, Problem, Sample

_NOTHING = 1e-12
_STRONGEST = 0.5
"""The least that the strongest column counts."""
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """train: with the columns that passed, multiplied by shrinkage (kept,); kept: which they are."""

    train: Sample
    kept: NDArray[np.int64]
    shrinkage: Weights

    def widened(self, slopes: Weights, width: int) -> Weights:
        """The slopes of all columns."""
        whole = np.zeros((width, slopes.shape[1]), np.float32)
        whole[self.kept] = slopes * self.shrinkage[:, None]
        return whole


def screening(train: Sample, problem: Problem) -> Callable[[float], Part]:
    """What gives the columns on which the target depends by more than so many standard errors, all for 0. They are shrunk by what
    of it may be chance, to 1 - (least / z)², as an empirical Bayes estimate would be; the strongest stays in any case."""
    width, z = train.x.shape[1], cache(lambda: _dependence(train, problem))

    def screened(least: float) -> Part:
        if not least:
            return Part(train, np.arange(width), np.ones(width, np.float32))
        shrinkage = (1.0 - (least / np.maximum(z(), least)) ** 2).astype(np.float32)
        strongest = np.argmax(z())
        shrinkage[strongest] = max(shrinkage[strongest], _STRONGEST)
        kept = np.flatnonzero(shrinkage)
        x = sparse.csr_array(train.x)[:, kept] @ sparse.diags_array(shrinkage[kept])
        return Part(replace(train, x=sparse.csr_array(x)), kept, shrinkage[kept])

    return screened


def _dependence(train: Sample, problem: Problem) -> Array:
    """(width,) the score statistic of each column alone, in standard errors; of several classes the greatest."""
    x, weights = sparse.csr_array(train.x), relative_weights(train)
    y = np.asarray(train.y, dtype=np.float64)[:, None]
    if problem.kind == "multiclass":
        y = np.equal(y, np.arange(problem.outputs)).astype(np.float64)
    centred = y - np.average(y, axis=0, weights=weights)
    # Vectors of the type of the matrix: SciPy would copy it to multiply it by others.
    sums, first = (x.T @ side.astype(np.float32) for side in (weights[:, None] * centred, weights))
    second = x.power(2).T @ (weights * weights).astype(np.float32)
    variance = np.maximum(second - first * first / x.shape[0], _NOTHING)[:, None] * (centred * centred).mean(axis=0)
    return np.asarray(np.abs(sums / np.sqrt(np.maximum(variance, _NOTHING))).max(axis=1), dtype=np.float64)


def relative_weights(train: Sample) -> Array:
    """(n,) the weights, one on average."""
    return np.ones(len(train.y)) if train.weights is None else np.asarray(train.weights / train.weights.mean())
