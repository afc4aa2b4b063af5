"""Text: hashed words, word pairs and character trigrams, weighted by rarity, projected onto a few directions.

Hashing (CRC-32) needs no vocabulary, so the state is two arrays and a handful of numbers, and a word never seen is no
surprise. The projection is a truncated SVD (latent semantic analysis, Deerwester 1990) of the TF-IDF matrix of at
most 20,000 training rows. Length and the shares of digits and capitals are added. A frame and a row run through the
same code.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.encoding.steps import Arrays, Context, Floats, State

_WORD = re.compile(r"\w+")
_LONGEST = 5_000
"""Characters read of one value: what stands later changes the meaning of a table cell rarely, and the time always."""
_SAMPLE = 20_000
_STATISTICS = ("length", "words", "digits", "capitals")


@dataclass(frozen=True)
class Text:
    kind: ClassVar[str] = "text"
    categorical: ClassVar[bool] = False
    column: str
    rarity: Floats
    """(buckets,) inverse document frequency."""
    directions: NDArray[np.float32]
    """(buckets, k) right singular vectors."""
    centre: Floats
    scale: Floats
    """(k + 4,) how dense models see each output; zeros and ones for trees."""

    @property
    def names(self) -> Sequence[str]:
        found = [f"{self.column}:topic{i}" for i in range(self.directions.shape[1])]
        return [*found, *(f"{self.column}:{name}" for name in _STATISTICS)]

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "Text":
        sample = series if series.len() <= _SAMPLE else series.sample(_SAMPLE, seed=context.seed)
        buckets = 4096 if context.kind == "tree" else 8192
        counts = _counts(sample.to_list(), buckets)
        frequency = np.bincount(counts.indices, minlength=buckets)
        rarity = np.log((1.0 + counts.shape[0]) / (1.0 + frequency)) + 1.0
        rarity[frequency < 2] = 0.0
        weighted = _weigh(counts, rarity)
        directions = _directions(weighted, 16 if context.kind == "tree" else 48, context.seed)
        step = cls(series.name, rarity, directions, np.zeros(0), np.ones(0))
        outputs = step._raw(sample.to_list(), counts)
        if context.kind == "tree":
            return cls(series.name, rarity, directions, np.zeros(outputs.shape[1]), np.ones(outputs.shape[1]))
        scale = outputs.std(axis=0)
        return cls(series.name, rarity, directions, outputs.mean(axis=0), np.where(scale > 1e-9, scale, 1.0))

    def _raw(self, values: Sequence[str | None], counts: sparse.csr_array | None = None) -> Floats:
        counts = _counts(values, len(self.rarity)) if counts is None else counts
        topics = _weigh(counts, self.rarity) @ self.directions.astype(np.float64)
        return np.hstack([topics, np.array([_statistics(value) for value in values]).reshape(len(values), -1)])

    def transform(self, series: pl.Series) -> Floats:
        values = series.to_list()
        if not values:
            return np.empty((0, len(self.names)))
        return (self._raw(values) - self.centre) / self.scale

    def training(self, series: pl.Series, context: Context) -> Floats:
        return self.transform(series)

    def row(self) -> Callable[[Any], Sequence[float]]:
        def encode(value: str | None) -> Sequence[float]:
            row: list[float] = ((self._raw([value]) - self.centre) / self.scale)[0].tolist()
            return row

        return encode

    def state(self) -> tuple[State, Arrays]:
        arrays: Arrays = {"rarity": self.rarity, "directions": self.directions, "centre": self.centre, "scale": self.scale}
        return {}, arrays

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Text":
        rarity, directions = arrays["rarity"].astype(np.float64), arrays["directions"].astype(np.float32)
        centre, scale = arrays["centre"].astype(np.float64), arrays["scale"].astype(np.float64)
        width = directions.shape[1] + len(_STATISTICS)
        if directions.shape[0] != len(rarity) or centre.shape != (width,) or scale.shape != (width,):
            raise ValueError(f"the arrays of text column {column!r} do not fit together")
        return cls(column, rarity, directions, centre, scale)


def tokens(value: str) -> Iterable[str]:
    """Words, pairs of neighbouring words, and the trigrams of each word with its borders."""
    words = _WORD.findall(value[:_LONGEST].lower())
    yield from words
    for left, right in itertools.pairwise(words):
        yield f"{left} {right}"
    for word in words:
        marked = f"<{word[:24]}>"
        for start in range(len(marked) - 2):
            yield "#" + marked[start : start + 3]


def _counts(values: Sequence[str | None], buckets: int) -> sparse.csr_array:
    """(n, buckets) how often each bucket is hit; a missing value is an empty row."""
    starts, places = [0], list[int]()
    for value in values:
        if value:
            places.extend(crc32(token.encode("utf-8", "replace")) % buckets for token in tokens(value))
        starts.append(len(places))
    data = np.ones(len(places))
    matrix = sparse.csr_array((data, np.array(places, dtype=np.int32), starts), shape=(len(values), buckets))
    matrix.sum_duplicates()
    return matrix


def _weigh(counts: sparse.csr_array, rarity: Floats) -> sparse.csr_array:
    """TF-IDF with damped counts, each row of length one."""
    data = (1.0 + np.log(counts.data)) * rarity[counts.indices]
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    length = np.sqrt(np.bincount(rows, data * data, minlength=counts.shape[0]))
    data = data / np.where(length > 0, length, 1.0)[rows]
    return sparse.csr_array((data, counts.indices, counts.indptr), shape=counts.shape)


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


def _statistics(value: str | None) -> tuple[float, float, float, float]:
    text = (value or "")[:_LONGEST]
    size = max(len(text), 1)
    digits = sum(map(str.isdigit, text)) / size
    return float(len(text)), float(len(text.split())), digits, sum(map(str.isupper, text)) / size
