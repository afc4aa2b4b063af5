"""Words of texts counted once for all folds: tokens do not depend on a fold, only which of them count there and how much.

Trigrams count where texts are short: names and titles are misspelled and inflected, and in a long text they are ten times the
words. So they are in many columns of short texts, which are a long text in all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.encoding import tokens
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
