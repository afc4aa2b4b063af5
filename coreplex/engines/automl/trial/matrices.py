"""The encoded sides of every fold: learned on its training rows only, kept while they fit in memory, made again when
not.

This is where leakage would come in, and so the one place where a frame is encoded for training.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.automl.data.task import Task, spread
from coreplex.engines.automl.families.base import AnyEncoder, Array, Sample
from coreplex.engines.automl.families.family import Encoding
from coreplex.engines.automl.splits.folds import Fold
from coreplex.engines.automl.trial.costs import Costs, Memory
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.residual import ResidualEncoder
from coreplex.engines.encoding.sparse import SparseEncoder
from coreplex.engines.encoding.vocabulary import Counted, counted

_DENSE_ROWS = 100_000
"""Linear models and networks learn little from more rows, and their one-hot matrix is many times the table."""
_PROBE_ROWS = 500
_COUNTED = 0.5
"""The share of the bytes for matrices that counted words may take."""


@dataclass(frozen=True)
class EncodedFold:
    """One fold, encoded. `valid` is None for a fit on all rows."""

    encoder: AnyEncoder
    train: Sample
    valid: Sample | None
    asked: int
    """How many training rows were asked for, which rare classes may exceed by a few."""
    whole: int
    """How many there are in the fold."""

    def sampled(self, rows: int, seed: int, *, classification: bool) -> "EncodedFold":
        """With at most so many of the training rows; what judges stays."""
        one = self.train
        if rows >= self.asked:
            return self
        kept = spread(one.y, rows, seed, classification=classification)
        weights, start = (None if part is None else part[kept] for part in (one.weights, one.start))
        return replace(self, train=Sample(one.x[kept], one.y[kept], weights, one.categorical, start), asked=rows)

    @property
    def nbytes(self) -> int:
        """Bytes of its matrices."""
        return sum(_nbytes(side.x) for side in (self.train, self.valid) if side)


class Matrices:
    """Encodes folds on demand, different ones on several threads at a time.

    `balance`: weigh the classes of the training rows alike, never those that judge.
    """

    def __init__(self, task: Task, *, balance: bool = False, memory: Memory | None = None) -> None:
        self.task = task
        self.balance = balance
        self.memory = memory or Memory()
        self._kept: dict[tuple[Encoding, int], EncodedFold] = {}
        self._encoders: dict[tuple[Encoding, int, int], AnyEncoder] = {}
        self._lock = threading.Lock()

    def has(self, encoding: Encoding, rows: int) -> bool:
        """Whether every fold is encoded already, with so many training rows or all that there are."""
        return all(
            (kept := self._kept.get((encoding, number))) is not None and kept.asked >= self._most(encoding, fold.train, rows)
            for number, fold in enumerate(self.task.plan.folds)
        )

    def fold(self, encoding: Encoding, number: int, rows: int | None = None, costs: Costs | None = None) -> EncodedFold:
        """Fold `number` of the plan, the copies after the folds, with at most `rows` training rows: of a matrix that is kept,
        or newly encoded ones.

        `costs` learns what encoding for trees takes.
        """
        plan = self.task.plan
        fold = (*plan.folds, *plan.final_folds)[number]
        wanted = self._most(encoding, fold.train, rows)
        kept = self._kept.get((encoding, number))
        if kept is None or kept.asked < wanted:
            began = time.perf_counter()
            kept = self._keep(encoding, number, self._encode(encoding, fold.train, fold, wanted, self.task.seed + number))
            if costs is not None and encoding == "tree":
                costs.encoded(wanted, len(fold.valid), time.perf_counter() - began)
        return kept.sampled(wanted, self.task.seed, classification=self.task.classification)

    def everything(self, encoding: Encoding, rows: int | None = None) -> EncodedFold:
        """All rows as training rows, or at most so many of them."""
        everything = np.arange(len(self.task.y))
        return self._encode(encoding, everything, None, self._most(encoding, everything, rows), self.task.seed)

    def _keep(self, encoding: Encoding, number: int, sides: EncodedFold) -> EncodedFold:
        """The fold again, for the next candidate where there is room for it."""
        with self._lock:
            # One encoder object per fold and rows, so that the members of an ensemble share it.
            sides = replace(sides, encoder=self._encoders.setdefault((encoding, number, sides.asked), sides.encoder))
            others = sum(kept.nbytes for key, kept in self._kept.items() if key != (encoding, number))
            if "_words" in vars(self):
                others += sum(one.nbytes for one in self._words.values())
            if others + sides.nbytes <= self.memory.matrices:
                self._kept[encoding, number] = sides
            return sides

    def _most(self, encoding: Encoding, rows: NDArray[np.int64], wanted: int | None) -> int:
        most = len(rows) if wanted is None else min(wanted, len(rows))
        if encoding in ("dense", "residual") and most > _PROBE_ROWS:
            return min(most, self._dense_rows)
        return min(most, _DENSE_ROWS) if encoding == "sparse" else most

    def prepare(self, encoding: Encoding) -> None:
        """Do what is done once for all folds: count the words."""
        if encoding == "sparse":
            _ = self._words

    @cached_property
    def _words(self) -> Mapping[str, Counted]:
        return counted(self.task.frame, self.task.texts, int(_COUNTED * self.memory.matrices))

    def _counted(self, rows: NDArray[np.int64]) -> dict[str, Counted]:
        return {name: one.rows(rows) for name, one in self._words.items()}

    @cached_property
    def _dense_rows(self) -> int:
        """Training rows that a dense matrix of this table may have: its width is seen on a few."""
        task = self.task
        few = spread(task.y, _PROBE_ROWS, task.seed, classification=task.classification)
        probe = Encoder.fit(task.frame[few], task.encoded, task.y[few], kind="dense", task=task.kind)
        return min(self.memory.dense_rows(probe.width), _DENSE_ROWS)

    def _encode(self, encoding: Encoding, rows: NDArray[np.int64], fold: Fold | None, most: int, seed: int) -> EncodedFold:
        task, whole = self.task, len(rows)
        rows = rows[spread(task.y[rows], most, seed, classification=task.classification)]
        frame = _take(task.frame, rows)
        weights, y = weights_of(task, rows, balance=self.balance), task.y[rows]
        encoder: AnyEncoder
        start = None
        if encoding == "sparse":
            known = self._counted(rows)
            encoder, x = SparseEncoder.fit_transform(frame, task.columns, y, task=task.kind, seed=seed, counted=known)
        elif encoding == "residual":
            encoder, x, start = ResidualEncoder.fit_transform(frame, task.encoded, y, weights, seed=seed)
        else:
            encoder, x = Encoder.fit_transform(frame, task.encoded, y, kind=encoding, task=task.kind, seed=seed)
        train = Sample(x, y, weights, encoder.categorical, start)
        if fold is None:
            return EncodedFold(encoder, train, None, most, whole)
        own = task.weights[fold.valid] if task.weights is not None else None
        seen = _take(task.frame, fold.valid)
        if isinstance(encoder, ResidualEncoder):
            judged, start = encoder.transform(seen)
        elif isinstance(encoder, SparseEncoder):
            judged = encoder.transform(seen, self._counted(fold.valid))
        else:
            judged = encoder.transform(seen)
        return EncodedFold(encoder, train, Sample(judged, task.y[fold.valid], own, encoder.categorical, start), most, whole)


def weights_of(task: Task, rows: NDArray[np.int64], *, balance: bool) -> Array | None:
    """(m,) what each of m rows counts in training: its own weight, and with `balance` as much as makes the classes weigh alike.
    None: all alike."""
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
