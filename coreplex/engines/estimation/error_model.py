"""How wrong a model of numbers is about a row, learned from its out-of-fold errors.

As DLE does (direct loss estimation, NannyML 0.13.1): boosted trees predict the absolute error of a row, others its squared error,
from the columns and the prediction. Columns are read as they are for drift (`coreplex.engines.drift.layout`), which needs none of
the model's own encoders.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.scoring.lightgbm import LightGbm

Array = NDArray[np.float64]

MOST_ROWS, MOST_CELLS, MOST_COLUMNS = 20_000, 1_000_000, 100
LEAST_SAMPLE = 2_000
_ROUNDS = 100
_SETTINGS = {"learning_rate": 0.1, "num_leaves": 31, "min_data_in_leaf": 20, "verbosity": -1, "deterministic": True}


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """`columns`: names, in the order of the matrix it reads, the prediction last. `absolute_deviation`, `squared_deviation`: how
    much the errors of single rows differ (standard deviation out-of-fold)."""

    columns: tuple[str, ...]
    absolute: LightGbm
    squared: LightGbm
    absolute_deviation: float
    squared_deviation: float

    @classmethod
    def fit(cls, columns: Sequence[str], values: Array, p: Array, y: Array, *, seed: int = 0, threads: int = 1) -> "ErrorModel":
        """From (n, c) values of the columns (`layout.table_values`), (n,) out-of-fold predictions and (n,) values."""
        error = np.abs(y - p)
        matrix = np.column_stack([values, p])
        absolute, squared = (_fitted(matrix, target, seed, threads) for target in (error, np.square(error)))
        return cls(tuple(columns), absolute, squared, float(error.std()), float(np.square(error).std()))

    def errors(self, values: Array, p: Array) -> tuple[Array, Array]:
        """(n,) expected absolute and (n,) expected squared errors, none below 0, of (n, c) values and (n,) predictions."""
        matrix = np.column_stack([values, p])
        return np.maximum(self.absolute.raw(matrix)[:, 0], 0.0), np.maximum(self.squared.raw(matrix)[:, 0], 0.0)

    def head(self) -> dict[str, Any]:
        """All but the trees, JSON-ready."""
        return {
            "columns": list(self.columns),
            "absolute_deviation": self.absolute_deviation,
            "squared_deviation": self.squared_deviation,
        }


def sample(rows: int, columns: int, seed: int = 0) -> NDArray[np.int64]:
    """Positions of the rows that errors are learned from: all, or so many that it takes no longer than a second or two."""
    most = max(min(MOST_ROWS, MOST_CELLS // max(columns, 1)), LEAST_SAMPLE)
    return np.arange(rows) if rows <= most else np.sort(np.random.default_rng(seed).permutation(rows)[:most])


def _fitted(matrix: Array, target: Array, seed: int, threads: int) -> LightGbm:
    # Imported where it is used: a process that estimates reads trees and never trains.
    from coreplex.engines.import_boosters import lightgbm as lgb

    settings = {**_SETTINGS, "objective": "regression", "seed": seed, "num_threads": threads, "force_col_wise": True}
    data = lgb.Dataset(matrix, label=target, params={"verbosity": -1, "num_threads": threads, "force_col_wise": True})
    return LightGbm.of(lgb.train(settings, data, num_boost_round=_ROUNDS))
