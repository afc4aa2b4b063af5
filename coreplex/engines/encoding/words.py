"""Text as what a linear model of its words says: one score per class, or the value.

The model is trained outside, on the TF-IDF rows of all text columns at once (`sparse.SparseEncoder`); a step holds the weights of
its own column. Only buckets that two rows hit are kept, the most frequent ones where classes are many, so that the weights stay
within megabytes. Trigrams count where texts are short: names and titles are misspelled and inflected, and in a long text they are
ten times the words.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.encoding import tokens
from coreplex.engines.encoding.steps import Arrays, Context, Floats, State

_BUCKETS = 2**20
_MOST_CELLS = 4_000_000
"""Weights of one column: buckets × scores."""
_SHORT = 12.0
"""Words of a text on average up to which its trigrams count."""
_LOOKED_AT = 2_000


@dataclass(frozen=True)
class Words:
    kind: ClassVar[str] = "words"
    categorical: ClassVar[tuple[int, ...]] = ()
    column: str
    buckets: NDArray[np.int32]
    """(width,) in rising order: the buckets that count."""
    rarity: NDArray[np.float32]
    """(width,) inverse document frequency."""
    slopes: NDArray[np.float32]
    """(width, m); m = 0 until a model was trained."""
    trigrams: bool

    @property
    def names(self) -> Sequence[str]:
        return [f"{self.column}:score{i or ''}" for i in range(self.slopes.shape[1])]

    @classmethod
    def fit(cls, series: pl.Series, scores: int) -> tuple["Words", sparse.csr_array]:
        """The step without weights, and the TF-IDF rows to train them on. `scores`: how many there will be."""
        values = series.to_list()
        some = [len(tokens.words(value)) for value in values[:_LOOKED_AT] if value]
        trigrams = bool(some) and float(np.mean(some)) <= _SHORT
        counted = tokens.counts(values, _BUCKETS, trigrams=trigrams)
        frequency = np.bincount(counted.indices, minlength=_BUCKETS)
        known = np.flatnonzero(frequency >= 2)
        most = _MOST_CELLS // max(scores, 1)
        if len(known) > most:
            known = np.sort(known[np.argsort(-frequency[known], kind="stable")[:most]])
        rarity = tokens.rarity(frequency[known], len(values)).astype(np.float32)
        step = cls(series.name, known.astype(np.int32), rarity, np.zeros((len(known), 0), np.float32), trigrams)
        return step, step._weighted(counted)

    def weighted(self, series: pl.Series) -> sparse.csr_array:
        """(n, width) TF-IDF rows of length one; a missing value is an empty row."""
        return self._weighted(tokens.counts(series.to_list(), _BUCKETS, trigrams=self.trigrams))

    def _weighted(self, counted: sparse.csr_array) -> sparse.csr_array:
        places = np.searchsorted(self.buckets, counted.indices)
        found = self._ended[places] == counted.indices
        ends = np.concatenate([[0], np.cumsum(found)])[counted.indptr]
        kept = sparse.csr_array((counted.data[found], places[found], ends), shape=(counted.shape[0], len(self.buckets)))
        # Of the type of the weights: SciPy would copy them all to multiply one row of another.
        return tokens.weigh(kept, self.rarity).astype(np.float32)

    @cached_property
    def _ended(self) -> NDArray[np.int32]:
        """The buckets, and one that no token hits."""
        return np.append(self.buckets, np.int32(-1))

    def trained(self, slopes: NDArray[np.floating]) -> "Words":
        return replace(self, slopes=np.asarray(slopes, dtype=np.float32))

    def transform(self, series: pl.Series) -> Floats:
        return np.asarray(self.weighted(series) @ self.slopes, dtype=np.float64)

    def training(self, series: pl.Series, context: Context) -> Floats:
        raise ValueError("the scores of texts are what a model was trained for, not what one is trained on")

    def row(self) -> Callable[[Any], Sequence[float]]:
        def encode(value: str | None) -> Sequence[float]:
            counted = tokens.counts_of(value, _BUCKETS, trigrams=self.trigrams)
            row: list[float] = np.asarray(self._weighted(counted) @ self.slopes, dtype=np.float64)[0].tolist()
            return row

        return encode

    def state(self) -> tuple[State, Arrays]:
        return {"trigrams": self.trigrams}, {"buckets": self.buckets, "rarity": self.rarity, "slopes": self.slopes}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Words":
        buckets, rarity, slopes = arrays["buckets"].astype(np.int32), arrays["rarity"], arrays["slopes"]
        if buckets.ndim != 1 or np.any(np.diff(buckets) <= 0) or len(buckets) != len(rarity) or len(buckets) != len(slopes):
            raise ValueError(f"the arrays of text column {column!r} do not fit together")
        return cls(column, buckets, rarity.astype(np.float32), slopes.astype(np.float32), bool(state["trigrams"]))
