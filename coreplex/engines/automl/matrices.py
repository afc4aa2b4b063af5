"""The encoded sides of every fold: learned on its training rows only, kept while they fit in memory, made again when
not.

This is where leakage would come in, and so the one place where a frame is encoded for training.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.automl.folds import Fold
from coreplex.engines.automl.learners.base import Array, Sample
from coreplex.engines.automl.task import Task
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.sparse import SparseEncoder

Encoding = Literal["tree", "dense", "sparse"]
_BUDGET_BYTES = 160 * 2**20
_DENSE_ROWS = 100_000
"""Linear models and networks learn little from more rows, and their one-hot matrix is many times the table."""


@dataclass(frozen=True)
class Sides:
    """One fold, encoded. `valid` is None for a fit on all rows."""

    encoder: Encoder | SparseEncoder
    train: Sample
    valid: Sample | None

    @property
    def nbytes(self) -> int:
        return sum(_nbytes(side.x) for side in (self.train, self.valid) if side)


class Matrices:
    """Encodes folds on demand. `balance`: weigh the classes of the training rows alike, never those that judge."""

    def __init__(self, task: Task, *, balance: bool = False) -> None:
        self.task = task
        self.balance = balance
        self._kept: dict[tuple[Encoding, int], Sides] = {}
        self._encoders: dict[tuple[Encoding, int], Encoder | SparseEncoder] = {}

    def fold(self, encoding: Encoding, number: int) -> Sides:
        """Fold `number` of the plan."""
        key = (encoding, number)
        if key not in self._kept:
            fold = self.task.plan.folds[number]
            sides = self._encode(encoding, fold.train, fold, self.task.seed + number)
            # One encoder object per fold, so that the members of an ensemble share it.
            sides = replace(sides, encoder=self._encoders.setdefault(key, sides.encoder))
            if sum(s.nbytes for s in self._kept.values()) + sides.nbytes > _BUDGET_BYTES:
                return sides
            self._kept[key] = sides
        return self._kept[key]

    def everything(self, encoding: Encoding) -> Sides:
        """All rows as training rows."""
        return self._encode(encoding, np.arange(len(self.task.y)), None, self.task.seed)

    def _encode(self, encoding: Encoding, rows: NDArray[np.int64], fold: Fold | None, seed: int) -> Sides:
        task = self.task
        if encoding != "tree" and len(rows) > _DENSE_ROWS:
            rows = np.sort(np.random.default_rng(seed).choice(rows, _DENSE_ROWS, replace=False))
        frame = _take(task.frame, rows)
        encoder: Encoder | SparseEncoder
        if encoding == "sparse":
            encoder, x = SparseEncoder.fit_transform(frame, task.columns, task.y[rows], task=task.kind, seed=seed)
        else:
            encoder, x = Encoder.fit_transform(frame, task.columns, task.y[rows], kind=encoding, task=task.kind, seed=seed)
        weights = weights_of(task, rows, balance=self.balance)
        train = Sample(x, task.y[rows], weights, encoder.categorical)
        if fold is None:
            return Sides(encoder, train, None)
        own = task.weights[fold.valid] if task.weights is not None else None
        judged = encoder.transform(_take(task.frame, fold.valid))
        return Sides(encoder, train, Sample(judged, task.y[fold.valid], own, encoder.categorical))


def weights_of(task: Task, rows: NDArray[np.int64], *, balance: bool) -> Array | None:
    """What each row counts in training: its own weight, and with `balance` as much as makes the classes weigh alike."""
    own = task.weights[rows] if task.weights is not None else None
    if not balance or not task.classification:
        return own
    y = task.y[rows].astype(np.int64)
    counts = np.bincount(y, minlength=task.outputs)
    balanced = len(y) / (np.count_nonzero(counts) * np.maximum(counts, 1))[y]
    return np.asarray(balanced if own is None else balanced * own, dtype=np.float64)


def _nbytes(x: Any) -> int:
    return int(x.data.nbytes + x.indices.nbytes + x.indptr.nbytes) if sparse.issparse(x) else int(x.nbytes)


def _take(frame: pl.DataFrame, rows: NDArray[np.int64]) -> pl.DataFrame:
    return frame[rows] if len(rows) < frame.height else frame
