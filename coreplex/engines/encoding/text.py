"""Text: hashed words, word pairs and character trigrams, weighted by rarity, projected onto a few directions.

Hashing (CRC-32) needs no vocabulary, so the state is two arrays and a handful of numbers, and a word never seen is no
surprise. With a target there is also a ridge regression on the weighted words, one score per class or value; the
score a model is *trained* on comes from inner folds, so no row sees its own target. The projection is a truncated SVD
(latent semantic analysis, Deerwester 1990) of the TF-IDF matrix of at most 20,000 training rows. Length and the
shares of digits and capitals are added. A frame and a row run through the same code.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import lsqr

from coreplex.engines.encoding.steps import Arrays, Context, Floats, Kind, State

_WORD = re.compile(r"\w+")
_LONGEST = 5_000
"""Characters read of one value: what stands later changes the meaning of a table cell rarely, and the time always."""
_SAMPLE = 20_000
_DAMPING = 1.0
_ITERATIONS = 30
_STATISTICS = ("length", "words", "digits", "capitals")


@dataclass(frozen=True)
class Text:
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
        found = [f"{self.column}:topic{i}" for i in range(self.directions.shape[1])]
        found += [f"{self.column}:target{i or ''}" for i in range(self.slopes.shape[1])]
        return [*found, *(f"{self.column}:{name}" for name in _STATISTICS)]

    @classmethod
    def fit(cls, series: pl.Series, context: Context) -> "Text":
        rows = _sampled(series.len(), context.seed)
        sample = series.gather(rows)
        counts = _counts(sample.to_list(), buckets := 4096)
        frequency = np.bincount(counts.indices, minlength=buckets)
        rarity = np.log((1.0 + counts.shape[0]) / (1.0 + frequency)) + 1.0
        rarity[frequency < 2] = 0.0
        weighted = _weigh(counts, rarity)
        directions = _directions(weighted, _topics(context.kind, sample.len()), context.seed)
        target = np.zeros((len(rows), 0)) if context.target is None else context.target[rows]
        step = cls(series.name, rarity, directions, _ridge(weighted, target), np.zeros(1), np.ones(1))
        outputs = step._raw(sample.to_list(), counts)
        if context.kind == "tree":
            return replace(step, centre=np.zeros(outputs.shape[1]), scale=np.ones(outputs.shape[1]))
        scale = outputs.std(axis=0)
        return replace(step, centre=outputs.mean(axis=0), scale=np.where(scale > 1e-9, scale, 1.0))

    @cached_property
    def _projection(self) -> Floats:
        """(buckets, k + m) everything a weighted row is multiplied with."""
        return np.hstack([self.directions.astype(np.float64), self.slopes])

    def _raw(self, values: Sequence[str | None], counts: sparse.csr_array | None = None) -> Floats:
        counts = _counts(values, len(self.rarity)) if counts is None else counts
        weighted = _weigh(counts, self.rarity)
        found = weighted @ self._projection
        return np.hstack([found, np.array([_statistics(value) for value in values]).reshape(len(values), -1)])

    def transform(self, series: pl.Series) -> Floats:
        values = series.to_list()
        if not values:
            return np.empty((0, len(self.names)))
        return (self._raw(values) - self.centre) / self.scale

    def training(self, series: pl.Series, context: Context) -> Floats:
        block = self.transform(series)
        if context.target is None or not self.slopes.shape[1]:
            return block
        rows = _sampled(series.len(), context.seed)
        weighted = _weigh(_counts(series.gather(rows).to_list(), len(self.rarity)), self.rarity)
        target, folds = context.target[rows], context.folds[rows]
        place = slice(self.directions.shape[1], self.directions.shape[1] + self.slopes.shape[1])
        for fold in np.unique(folds):
            inside = folds == fold
            scores = weighted[inside] @ _ridge(weighted[~inside], target[~inside], target.mean(axis=0))
            block[rows[inside], place] = (scores - self.centre[place]) / self.scale[place]
        return block

    def row(self) -> Callable[[Any], Sequence[float]]:
        def encode(value: str | None) -> Sequence[float]:
            row: list[float] = ((self._raw([value]) - self.centre) / self.scale)[0].tolist()
            return row

        return encode

    def state(self) -> tuple[State, Arrays]:
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
        rarity, directions = arrays["rarity"].astype(np.float64), arrays["directions"].astype(np.float32)
        slopes = arrays["slopes"].astype(np.float64)
        centre, scale = arrays["centre"].astype(np.float64), arrays["scale"].astype(np.float64)
        width = directions.shape[1] + slopes.shape[1] + len(_STATISTICS)
        if not directions.shape[0] == slopes.shape[0] == len(rarity) or centre.shape != (width,) or scale.shape != (width,):
            raise ValueError(f"the arrays of text column {column!r} do not fit together")
        return cls(column, rarity, directions, slopes, centre, scale)


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


def _ridge(weighted: sparse.csr_array, target: Floats, mean: Floats | None = None) -> Floats:
    """(buckets, m) weights of the words for each column of the target, measured from its mean."""
    centred = target - (target.mean(axis=0) if mean is None else mean)
    found = [lsqr(weighted, column, damp=_DAMPING, iter_lim=_ITERATIONS)[0] for column in centred.T]
    return np.column_stack(found) if found else np.zeros((weighted.shape[1], 0))


def _sampled(rows: int, seed: int) -> NDArray[np.int64]:
    """The rows that topics and slopes are learned from."""
    return np.sort(np.random.default_rng(seed).permutation(rows)[:_SAMPLE])


def _topics(kind: Kind, rows: int) -> int:
    """Few rows carry few topics; trees, which look at one at a time, want few as well."""
    return max(2, min(16 if kind == "tree" else 48, rows // 40))


def _statistics(value: str | None) -> tuple[float, float, float, float]:
    text = (value or "")[:_LONGEST]
    size = max(len(text), 1)
    digits = sum(map(str.isdigit, text)) / size
    return float(len(text)), float(len(text.split())), digits, sum(map(str.isupper, text)) / size
