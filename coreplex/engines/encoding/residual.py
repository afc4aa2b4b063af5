"""A linear model under the trees: what is left of its errors is all that they have to learn.

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

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.steps import Floats
from coreplex.engines.tabular.schema import Column

_PENALTIES = (0.1, 1.0, 10.0, 100.0, 1_000.0)
_ROWS = 20_000
"""Rows that the ridge is fitted on at most: its weights are few."""
_WIDE = 400
"""Columns from which on one penalty must do: leave-one-out errors need all their products."""


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
        slopes, bias = _ridge(z[rows], y[rows], None if weights is None else weights[rows])
        made = cls(trees, dense, slopes, bias, z.mean(axis=0))
        return made, x, z @ slopes + bias

    def transform(self, frame: pl.DataFrame) -> tuple[Floats, Floats]:
        """The matrix for trees and the values of the ridge."""
        return self.trees.transform(frame), self.dense.transform(frame) @ self.weights + self.bias


def _ridge(z: Floats, y: Floats, weights: Floats | None) -> tuple[Floats, float]:
    # Imported here: the first model of a run does not wait for scikit-learn.
    from sklearn.linear_model import Ridge, RidgeCV

    scale = float(y.std()) or 1.0
    wide = z.shape[1] > _WIDE
    model = (Ridge(alpha=_PENALTIES[2], solver="lsqr") if wide else RidgeCV(alphas=_PENALTIES)).fit(z, y / scale, weights)
    return np.asarray(model.coef_, dtype=np.float64) * scale, float(model.intercept_) * scale
