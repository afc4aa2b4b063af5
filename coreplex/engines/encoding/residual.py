"""Encodes for boosting that starts from a ridge regression: the trees learn what it leaves over.

Trees add up steps, so a sum of columns, a difference of two or a drift beyond the range of training costs them thousands of
leaves, where a linear model needs one weight each. Ridge regression of the dense columns, its penalty by leave-one-out error,
fitted on the training rows of a fold; its values are what boosting starts from. For squared errors of a number only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse.linalg import lsqr

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.tabular.schema import Column

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1_000.0)
_ROWS = 20_000
"""Rows that the ridge is fitted on at most: its weights are few."""
_WIDE = 1_000
"""Columns from which on one penalty and some iterations must do: leave-one-out errors need all products of columns."""
_ITERATIONS = 40


@dataclass(frozen=True)
class ResidualEncoder:
    """`trees` and `dense` encode the same columns; weights: (dense.width,), bias and centre are those of the ridge."""

    trees: Encoder
    dense: Encoder
    weights: Floats
    bias: float
    centre: Floats

    @property
    def categorical(self) -> tuple[int, ...]:
        """Indices of encoded columns of the trees that hold codes of categories."""
        return self.trees.categorical

    @classmethod
    def fit_transform(
        cls, frame: pl.DataFrame, columns: Sequence[Column], target: NDArray[Any], weights: Floats | None, *, seed: int
    ) -> tuple["ResidualEncoder", Floats, Floats]:
        """The encoder, the matrix for trees (n, width) and the values of the ridge (n,), where boosting starts."""
        trees, x = Encoder.fit_transform(frame, columns, target, kind="tree", task="regression", seed=seed)
        dense, z = Encoder.fit_transform(frame, columns, target, kind="dense", task="regression", seed=seed)
        y = np.asarray(target, dtype=np.float64)
        rows = np.sort(np.random.default_rng(seed).permutation(len(y))[:_ROWS])
        slopes, bias = ridge(z[rows], y[rows], None if weights is None else weights[rows])
        made = cls(trees, dense, slopes, bias, z.mean(axis=0))
        return made, x, z @ slopes + bias

    def transform(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        """(n, width) the matrix for trees, and (n,) the values of the ridge."""
        return self.trees.transform(frame), self.dense.transform(frame) @ self.weights + self.bias


def ridge(z: Floats, y: Floats, weights: Floats | None) -> tuple[Floats, float]:
    """Weights (width,) and bias with the penalty of the least leave-one-out error, from one eigendecomposition. z: (n, width);
    y: (n,); weights: (n,) of the rows, or None.

    Without scikit-learn, whose loading costs more than the fit.
    """
    counted = np.ones(len(y)) if weights is None else weights / weights.mean()
    centre, mean, roots = np.average(z, axis=0, weights=counted), float(np.average(y, weights=counted)), np.sqrt(counted)
    x, target = (z - centre) * roots[:, None], (y - mean) * roots
    if z.shape[1] > _WIDE:
        slopes = lsqr(x, target, damp=float(np.sqrt(PENALTIES[2])), iter_lim=_ITERATIONS)[0]
        return slopes, mean - float(centre @ slopes)
    values, vectors = np.linalg.eigh(x.T @ x)
    turned = x @ vectors
    inner, squares = turned.T @ target, turned * turned
    best, least = inner, np.inf
    for penalty in PENALTIES:
        found = inner / (values + penalty)
        own = squares @ (1.0 / (values + penalty)) + counted / counted.sum()
        error = float(np.mean(((target - turned @ found) / np.maximum(1.0 - own, 1e-6)) ** 2))
        if error < least:
            best, least = found, error
    slopes = vectors @ best
    return slopes, mean - float(centre @ slopes)
