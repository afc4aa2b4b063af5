"""Encodes a text as the scores of a linear model of its words: one per class, or one for a number.

Words are counted once for all folds: tokens do not depend on a fold, only which of them count there and how much. Trigrams count
where texts are short: names and titles are misspelled and inflected, and in a long text they are ten times the words. So they are
in many columns of short texts, which are a long text in all.

The model is trained outside, on the TF-IDF rows of all text columns at once (`sparse.SparseEncoder`); a step holds the weights of
its own column. Only buckets that two rows hit are kept, the most frequent ones where classes are many, so that the weights stay
within megabytes.
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
from coreplex.engines.encoding.values import Canonical
from coreplex.engines.tabular.schema import Column

BUCKETS = 2**20
_SHORT = 12.0
"""Words of a text on average up to which its trigrams count."""
_MANY = 10
"""So many columns of short texts are a long text in all."""
_LOOKED_AT = 2_000
_BYTES = 32
"""What a bucket that a row hits takes while it is counted: twice the number and the place, when parts are put together."""
_HITS, _TRIGRAM_HITS = 0.4, 1.4
"""Buckets that a character hits on average: of words and their pairs, and with trigrams."""


@dataclass(frozen=True)
class Counted:
    """counts: (n, m) float32, how often a row hits each bucket that two rows hit; buckets: (m,) which these are, rising."""

    buckets: NDArray[np.int32]
    counts: sparse.csr_array
    trigrams: bool

    @classmethod
    def of(cls, series: pl.Series, *, texts: int = 1) -> "Counted":
        """`texts`: how many columns of them the table has."""
        values = series.to_list()
        trigrams = has_trigrams(values, texts)
        whole = tokens.counts(values, BUCKETS, trigrams=trigrams)
        frequency = np.bincount(whole.indices, minlength=BUCKETS)
        buckets = np.flatnonzero(frequency >= 2).astype(np.int32)
        places = np.full(BUCKETS, -1, dtype=np.int32)
        places[buckets] = np.arange(len(buckets))
        places = places[whole.indices]
        found = places >= 0
        ends = np.concatenate([[0], np.cumsum(found)])[whole.indptr].astype(np.int32)
        kept = (whole.data[found].astype(np.float32), places[found], ends)
        return cls(buckets, sparse.csr_array(kept, shape=(len(values), len(buckets))), trigrams)

    def rows(self, rows: NDArray[np.int64]) -> "Counted":
        """Of these rows (positions) only."""
        return replace(self, counts=self.counts[rows]) if len(rows) < self.counts.shape[0] else self

    @property
    def nbytes(self) -> int:
        """Bytes of its arrays."""
        return int(self.counts.data.nbytes + self.counts.indices.nbytes + self.counts.indptr.nbytes + self.buckets.nbytes)


def has_trigrams(values: Sequence[str | None], texts: int) -> bool:
    """Whether the trigrams of the words count as well, in a column beside others of `texts` in all."""
    if texts > _MANY:
        return False
    some = [len(tokens.words(value)) for value in values[:_LOOKED_AT] if value]
    return bool(some) and float(np.mean(some)) <= _SHORT


def counted(frame: pl.DataFrame, texts: Sequence[Column], most: int) -> dict[str, Counted]:
    """These columns of texts by name, as far as counting them takes at most so many bytes."""
    seen, found = Canonical(frame), dict[str, Counted]()
    for column in texts:
        series = seen.series(column)
        hits = _TRIGRAM_HITS if has_trigrams(series.head(_LOOKED_AT).to_list(), len(texts)) else _HITS
        letters = int(series.str.len_chars().clip(0, tokens.LONGEST).sum())
        if _BYTES * hits * letters <= most:
            one = Counted.of(series, texts=len(texts))
            found[column.name], most = one, most - one.nbytes
    return found


_MOST_CELLS = 4_000_000
"""Weights of one column: buckets × scores."""


@dataclass(frozen=True)
class Vocabulary:
    """One column of texts as m scores of a linear model of its words; `width` buckets of words count."""

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
        """Of the m scores."""
        return [f"{self.column}:score{i or ''}" for i in range(self.slopes.shape[1])]

    @classmethod
    def fit(cls, column: str, counted: Counted, scores: int) -> tuple["Vocabulary", sparse.csr_array]:
        """The step without weights, and the (n, width) TF-IDF rows to train them on. `scores`: how many there will be."""
        frequency = np.bincount(counted.counts.indices, minlength=len(counted.buckets))
        known = np.flatnonzero(frequency >= 2)
        most = _MOST_CELLS // max(scores, 1)
        if len(known) > most:
            known = np.sort(known[np.argsort(-frequency[known], kind="stable")[:most]])
        rarity = tokens.rarity(frequency[known], counted.counts.shape[0]).astype(np.float32)
        step = cls(column, counted.buckets[known], rarity, np.zeros((len(known), 0), np.float32), counted.trigrams)
        return step, step.tfidf_counted(counted)

    def tfidf(self, series: pl.Series) -> sparse.csr_array:
        """(n, width) TF-IDF rows of length one; a missing value is an empty row."""
        counted = tokens.counts(series.to_list(), BUCKETS, trigrams=self.trigrams)
        return self._weighted(counted, self._places(counted.indices))

    def tfidf_counted(self, counted: Counted) -> sparse.csr_array:
        """`tfidf` (n, width) of texts that were counted already, among others that the step was learned from."""
        return self._weighted(counted.counts, self._places(counted.buckets)[counted.counts.indices])

    def _places(self, buckets: NDArray[np.int32]) -> NDArray[np.int32]:
        """Where buckets stand among those that count, -1 for others."""
        places = np.searchsorted(self.buckets, buckets)
        return np.where(self._ended[places] == buckets, places, -1).astype(np.int32)

    def _weighted(self, counted: sparse.csr_array, places: NDArray[np.int32]) -> sparse.csr_array:
        found = places >= 0
        ends = np.concatenate([[0], np.cumsum(found)])[counted.indptr].astype(np.int32)
        kept = sparse.csr_array((counted.data[found], places[found], ends), shape=(counted.shape[0], len(self.buckets)))
        # Of the type of the weights: SciPy would copy them all to multiply one row of another.
        return tokens.weigh(kept, self.rarity).astype(np.float32)

    @cached_property
    def _ended(self) -> NDArray[np.int32]:
        """The buckets, and one that no token hits."""
        return np.append(self.buckets, np.int32(-1))

    def trained(self, slopes: NDArray[np.floating]) -> "Vocabulary":
        """The same with weights. slopes: (width, m)."""
        return replace(self, slopes=np.asarray(slopes, dtype=np.float32))

    def transform(self, series: pl.Series) -> Floats:
        """(n, m) float64: what the words of each text add to the scores."""
        return np.asarray(self.tfidf(series) @ self.slopes, dtype=np.float64)

    def training(self, series: pl.Series, context: Context) -> Floats:
        """Not possible: raises `ValueError`."""
        raise ValueError("the scores of texts are what a model was trained for, not what one is trained on")

    def row(self) -> Callable[[Any], Sequence[float]]:
        """A function of one text or None, to m floats."""

        def encode(value: str | None) -> Sequence[float]:
            counted = tokens.counts_of(value, BUCKETS, trigrams=self.trigrams)
            weighted = self._weighted(counted, self._places(counted.indices))
            row: list[float] = np.asarray(weighted @ self.slopes, dtype=np.float64)[0].tolist()
            return row

        return encode

    def state(self) -> tuple[State, Arrays]:
        """Whether trigrams count; the arrays of its fields."""
        return {"trigrams": self.trigrams}, {"buckets": self.buckets, "rarity": self.rarity, "slopes": self.slopes}

    @classmethod
    def from_state(cls, column: str, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> "Vocabulary":
        """From what `state` returned; `ValueError` where arrays do not fit together."""
        buckets, rarity, slopes = arrays["buckets"].astype(np.int32), arrays["rarity"], arrays["slopes"]
        if buckets.ndim != 1 or np.any(np.diff(buckets) <= 0) or len(buckets) != len(rarity) or len(buckets) != len(slopes):
            raise ValueError(f"the arrays of text column {column!r} do not fit together")
        return cls(column, buckets, rarity.astype(np.float32), slopes.astype(np.float32), bool(state["trigrams"]))
