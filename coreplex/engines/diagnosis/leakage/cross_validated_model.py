"""Cross-validated score of a small LightGBM model over many columns at once: with columns that may leak, and without them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.detector_input import DetectorInput
from coreplex.engines.diagnosis.leakage.univariate import Codes, EncodedTarget, Floats, UnivariateScore, variance_explained
from coreplex.engines.import_boosters import lightgbm
from coreplex.engines.tabular.schema import Column, ColumnType

ROWS, COLUMNS, FOLDS = 4_000, 60, 3
CLASSES = 10
"""Of more classes only the rows of the commonest are looked at."""
TREES, LEAST_ROUNDS = 120, 20
SETTINGS = {"verbosity": -1, "num_threads": 1, "learning_rate": 0.1, "num_leaves": 15, "min_data_in_leaf": 5, "seed": 0}


def cross_validate(data: DetectorInput, columns: Sequence[Column]) -> UnivariateScore:
    """Out-of-fold skill and score of LightGBM on up to `ROWS` rows and the first `COLUMNS` of these columns, texts apart.

    Of more than `CLASSES` classes only rows of the commonest are used. Without usable columns, those of the mean.
    """
    target = data.target
    able = np.flatnonzero(target.codes < CLASSES) if data.classification else np.arange(target.rows)
    rows = np.sort(np.random.default_rng(0).permutation(able)[:ROWS])
    usable = [column for column in columns if column.type is not ColumnType.text][:COLUMNS]
    truth = target.responses[0][rows]
    predictions = np.broadcast_to(truth.mean(axis=0), truth.shape)
    if usable:
        matrix = np.column_stack([_numbers(data.frame.get_column(column.name))[rows] for column in usable])
        predictions = _out_of_fold(matrix, target, rows)
    return UnivariateScore(variance_explained(truth, predictions), target.score(predictions, rows=rows))


def _out_of_fold(matrix: Floats, target: EncodedTarget, rows: Codes) -> Floats:
    """Out-of-fold predictions (rows, k) of the first response, from a matrix (rows, columns); `rows`: their numbers."""
    truth = target.responses[0][rows]
    predictions = np.zeros_like(truth)
    classes = len(np.unique(target.codes[rows])) if target.classification else 1
    settings: dict[str, Any] = dict(SETTINGS)
    if classes > 1:
        settings |= {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
    wanted = target.codes[rows] if target.classification else truth[:, 0]
    rounds = max(TREES // max(classes - 1, 2), LEAST_ROUNDS)
    folds = np.random.default_rng(0).permutation(len(rows)) % FOLDS
    for fold in range(FOLDS):
        inside = folds != fold
        found = lightgbm.train(settings, lightgbm.Dataset(matrix[inside], wanted[inside]), rounds).predict(matrix[~inside])
        found = np.column_stack((1 - found, found)) if classes == 2 else found.reshape(len(found), -1)
        predictions[~inside, : found.shape[1]] = found
    return predictions


def _numbers(values: pl.Series) -> Floats:
    """(n,) floats, NaN where missing; categories by their number."""
    if values.dtype in (pl.String, pl.Boolean):
        return values.rank("dense").cast(pl.Float64).to_numpy()
    return values.to_physical().cast(pl.Float64).to_numpy()
