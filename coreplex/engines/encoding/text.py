"""Text: hashed words, word pairs and character trigrams, weighted by rarity, projected onto a few directions.

Hashing (CRC-32) needs no vocabulary, so the state is two arrays and a handful of numbers, and a word never seen is no
surprise. With a target there is also a ridge regression on the weighted words, one score per class or value; the
score a model is *trained* on comes from inner folds, so no row sees its own target. The projection is a truncated SVD
(latent semantic analysis, Deerwester 1990) of the TF-IDF matrix of at most 20,000 training rows. Length and the
shares of digits and capitals are added. A frame and a row run through the same code.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.encoding import tokens
from coreplex.engines.encoding.steps import Arrays, Context, EncodingKind, Floats, State

_SAMPLE = 20_000
_DAMPING = 1.0
_ITERATIONS = 30
_PRECISE, _NOTHING = 1e-8, 1e-300
_STATISTICS = ("length", "words", "digits", "capitals")
_DIGITS, _CAPITALS = string.digits.encode(), string.ascii_uppercase.encode()


@dataclass(frozen=True)
class Read:
    """Texts as numbers, before anything learned: counts (n, buckets), statistics (n, 4)."""

    counts: sparse.csr_array
    statistics: Floats


@dataclass(frozen=True)
class Text:
    """One column of texts as k topics, m scores of the target and 4 statistics."""

    kind: ClassVar[str] = "text"
    categorical: ClassVar[tuple[int, ...]] = ()
    column: str
    rarity: Floats
    """(buckets,) inverse document frequency."""
    directions: NDArray[np.float32]
    """(buckets, k) right singular vectors."""
    slopes: Floats
    """(buckets, m) ridge weights of the target, m = 0 without one."""
    centre: Floats
    scale: Floats
    """(k + m + 4,) how dense models see each output; zeros and ones for trees."""

    @property
    def names(self) -> Sequence[str]:
        """Of the k + m + 4 encoded columns."""
        found = [f"{self.column}:topic{i}" for i in range(self.directions.shape[1])]
        found += [f"{self.column}:target{i or ''}" for i in range(self.slopes.shape[1])]
        return [*found, *(f"{self.column}:{name}" for name in _STATISTICS)]

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "Text":
        """From (n,) texts, of at most 20,000 of them."""
        rows = _sampled(series.len(), context.seed)
        sample = series.gather(rows)
        counts = tokens.counts(sample.to_list(), buckets := 4096)
        frequency = np.bincount(counts.indices, minlength=buckets)
        rarity = tokens.rarity(frequency, counts.shape[0])
        weighted = tokens.weigh(counts, rarity)
        directions = _directions(weighted, _topics(context.kind, sample.len()), context.seed)
        target = np.zeros((len(rows), 0)) if context.target is None else context.target[rows]
        step = cls(series.name, rarity, directions, _ridge(weighted, target), np.zeros(1), np.ones(1))
        if context.kind == "tree":
            return replace(step, centre=np.zeros(len(step.names)), scale=np.ones(len(step.names)))
        outputs = step._raw(Read(counts, _all_statistics(sample.to_list())))
        scale = outputs.std(axis=0)
        return replace(step, centre=outputs.mean(axis=0), scale=np.where(scale > 1e-9, scale, 1.0))

    @cached_property
    def _projection(self) -> Floats:
        """(buckets, k + m) everything a weighted row is multiplied with."""
        return np.hstack([self.directions.astype(np.float64), self.slopes])

    @property
    def buckets(self) -> int:
        """How many buckets words are hashed to."""
        return len(self.rarity)

    def read(self, series: pl.Series) -> Read:
        """What every text step of so many buckets reads in these texts."""
        values = series.to_list()
        return Read(tokens.counts(values, self.buckets), _all_statistics(values))

    def encoded(self, read: Read) -> Floats:
        """`transform` of what was read of n texts: (n, k + m + 4)."""
        return (self._raw(read) - self.centre) / self.scale

    def _raw(self, read: Read) -> Floats:
        return np.hstack([tokens.weigh(read.counts, self.rarity) @ self._projection, read.statistics])

    def transform(self, series: pl.Series) -> Floats:
        """(n, k + m + 4) float64."""
        return self.encoded(self.read(series)) if len(series) else np.empty((0, len(self.names)))

    def training(self, series: pl.Series, context: Context) -> Floats:
        """(n, k + m + 4) float64, with the scores of the target out of inner folds."""
        read = self.read(series)
        block = self.encoded(read)
        if context.target is None or not self.slopes.shape[1]:
            return block
        rows = _sampled(series.len(), context.seed)
        weighted = tokens.weigh(read.counts[rows], self.rarity)
        target, folds = context.target[rows], context.folds[rows]
        place = slice(self.directions.shape[1], self.directions.shape[1] + self.slopes.shape[1])
        for fold in np.unique(folds):
            inside = folds == fold
            scores = weighted[inside] @ _ridge(weighted[~inside], target[~inside], target.mean(axis=0))
            block[rows[inside], place] = (scores - self.centre[place]) / self.scale[place]
        return block

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one text or None, to k + m + 4 floats."""

        def encode(value: str | None) -> Sequence[float]:
            read = Read(tokens.counts_of(value, self.buckets), _all_statistics([value]))
            row: list[float] = self.encoded(read)[0].tolist()
            return row

        return encode

    def state(self) -> tuple[State, Arrays]:
        """No JSON; the arrays of its fields."""
        arrays: Arrays = {
            "rarity": self.rarity,
            "directions": self.directions,
            "slopes": self.slopes,
            "centre": self.centre,
            "scale": self.scale,
        }
        return {}, arrays

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Text":
        """From what `state` returned; `ValueError` where arrays do not fit."""
        rarity, directions = arrays["rarity"].astype(np.float64), arrays["directions"].astype(np.float32)
        slopes = arrays["slopes"].astype(np.float64)
        centre, scale = arrays["centre"].astype(np.float64), arrays["scale"].astype(np.float64)
        width = directions.shape[1] + slopes.shape[1] + len(_STATISTICS)
        if not directions.shape[0] == slopes.shape[0] == len(rarity) or centre.shape != (width,) or scale.shape != (width,):
            raise ValueError(f"the arrays of text column {column!r} do not fit together")
        return cls(column, rarity, directions, slopes, centre, scale)


def _directions(weighted: sparse.csr_array, most: int, seed: int) -> NDArray[np.float32]:
    """(buckets, k) leading right singular vectors by randomised subspace iteration (Halko, Martinsson, Tropp 2011)."""
    rank = min(most, weighted.shape[0] - 1, weighted.shape[1] - 1)
    if rank < 1 or weighted.nnz == 0:
        return np.zeros((weighted.shape[1], 0), dtype=np.float32)
    guess = np.random.default_rng(seed).normal(size=(weighted.shape[1], min(rank + 8, weighted.shape[0])))
    basis = np.linalg.qr(weighted @ guess)[0]
    for _ in range(4):
        basis = np.linalg.qr(weighted @ np.linalg.qr(weighted.T @ basis)[0])[0]
    _, strength, vectors = np.linalg.svd((weighted.T @ basis).T, full_matrices=False)
    useful = vectors[:rank][strength[:rank] > 1e-9 * max(strength[0], 1e-300)]
    return np.ascontiguousarray(useful.T, dtype=np.float32)


def _ridge(weighted: sparse.csr_array, target: Floats, mean: Floats | None = None) -> Floats:
    """(buckets, m) weights of the words for each column of the target, measured from its mean.

    Conjugate gradients on the normal equations, all columns at once: the time is in reading the words, not in the columns.
    """
    residual = np.asarray(weighted.T @ (target - (target.mean(axis=0) if mean is None else mean)))
    found, direction = np.zeros_like(residual), residual
    size = (residual * residual).sum(axis=0)
    for _ in range(_ITERATIONS):
        curved = weighted.T @ (weighted @ direction) + _DAMPING * direction
        step = size / np.maximum((direction * curved).sum(axis=0), _NOTHING)
        found, residual = found + step * direction, residual - step * curved
        before, size = size, (residual * residual).sum(axis=0)
        if np.all(size <= _PRECISE * before.max(initial=_NOTHING)):
            break
        direction = residual + size / np.maximum(before, _NOTHING) * direction
    return found


def _sampled(rows: int, seed: int) -> NDArray[np.int64]:
    """The rows that topics and slopes are learned from."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:_SAMPLE])


def _topics(kind: EncodingKind, rows: int) -> int:
    """Few rows carry few topics; trees, which look at one at a time, want few as well."""
    return max(2, min(16 if kind == "tree" else 48, rows // 40))


def _all_statistics(values: Sequence[str | None]) -> Floats:
    return np.array([_statistics(value) for value in values]).reshape(len(values), -1)


def _statistics(value: str | None) -> tuple[float, float, float, float]:
    text = (value or "")[: tokens.LONGEST]
    size = max(len(text), 1)
    if text.isascii():
        letters = text.encode()
        digits, capitals = (len(letters) - len(letters.translate(None, those)) for those in (_DIGITS, _CAPITALS))
    else:
        digits, capitals = sum(map(str.isdigit, text)), sum(map(str.isupper, text))
    return float(len(text)), float(len(text.split())), digits / size, capitals / size
