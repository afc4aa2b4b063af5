"""Texts as hashed tokens: words, pairs of neighbouring words, and the trigrams of each word with its borders, counted per row.

Hashing (CRC-32) needs no vocabulary, so that a word never seen is no surprise and a model holds numbers only. What repeats, which
is most of any text, is hashed once.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from coreplex.engines.encoding.steps import Floats

_WORD = re.compile(r"\w+")
_ASCII = bytes(ord(letter.lower()) if _WORD.match(letter) else ord(" ") for letter in map(chr, range(128))) + bytes(128)
"""For `bytes.translate`: small letters, blanks between words."""
LONGEST = 5_000
"""Characters read of one value: what stands later changes the meaning of a table cell rarely, and the time always."""
_ROWS = 4_096
"""Rows counted at a time: the list of all tokens is many times the matrix."""
_LONGEST_WORD = 24
_FEW_PAIRS = 100
"""Up to here pairs are hashed one by one: of the words of one row that is the quicker way."""
_TRIGRAMS = 65_536
"""Trigrams whose hash is remembered: those of some languages."""
Hashes = NDArray[np.uint32]


def words(value: str) -> list[str]:
    """The words of a text in small letters, in order; of its first 5,000 characters."""
    text = value[:LONGEST]
    if text.isascii():  # the same, several times as fast
        return text.encode().translate(_ASCII).decode().split()
    return _WORD.findall(text.lower())


def counts(values: Sequence[str | None], buckets: int, *, trigrams: bool = True) -> sparse.csr_array:
    """(n, buckets) how often each bucket is hit; a missing value is an empty row."""
    parts = [_counted(values[at : at + _ROWS], buckets, trigrams) for at in range(0, len(values), _ROWS)]
    if not parts:
        return sparse.csr_array((0, buckets))
    return parts[0] if len(parts) == 1 else sparse.csr_array(sparse.vstack(parts))


@lru_cache(maxsize=256)
def counts_of(value: str | None, buckets: int, *, trigrams: bool = True) -> sparse.csr_array:
    """`counts` of one value, (1, buckets), remembered: the fold copies of a model ask for the same row one after the other."""
    return counts([value], buckets, trigrams=trigrams)


def weigh(counted: sparse.csr_array, rarity: NDArray[np.floating]) -> sparse.csr_array:
    """(n, buckets) TF-IDF with damped counts, each row of length one. counted: (n, buckets); rarity: (buckets,)."""
    data = (1.0 + np.log(counted.data, dtype=np.float64)) * rarity[counted.indices]
    rows = np.repeat(np.arange(counted.shape[0]), np.diff(counted.indptr))
    length = np.sqrt(np.bincount(rows, data * data, minlength=counted.shape[0]))
    data = data / np.where(length > 0, length, 1.0)[rows]
    return sparse.csr_array((data, counted.indices, counted.indptr), shape=counted.shape)


def rarity(frequency: NDArray[np.integer], rows: int) -> Floats:
    """(buckets,) smoothed inverse document frequency; `frequency`: in how many of all `rows` each stands. Zero for what stands
    in fewer than two rows."""
    found = np.log((1.0 + rows) / (1.0 + frequency)) + 1.0
    return np.where(frequency < 2, 0.0, found)


def _counted(values: Sequence[str | None], buckets: int, trigrams: bool) -> sparse.csr_array:
    flat: list[str] = []
    ends = []
    for value in values:
        if value:
            flat += words(value)
        ends.append(len(flat))
    rows = np.repeat(np.arange(len(values)), np.diff(ends, prepend=0))
    places, owners = _hashed(flat, rows, trigrams)
    cells, hits = np.unique(owners * buckets + places % np.uint32(buckets), return_counts=True)
    starts = np.searchsorted(cells, np.arange(len(values) + 1) * buckets)
    made = (hits.astype(np.float64), (cells % buckets).astype(np.int32), starts)
    return sparse.csr_array(made, shape=(len(values), buckets))


def _hashed(flat: list[str], rows: NDArray[np.int64], trigrams: bool) -> tuple[Hashes, NDArray[np.int64]]:
    """The hash of every token and its row. `flat`: the words of all rows, one after the other."""
    number = {word: place for place, word in enumerate(dict.fromkeys(flat))}
    spelled = [word.encode("utf-8", "replace") for word in number]
    own = np.array([crc32(word) for word in spelled], dtype=np.uint32)
    codes = np.fromiter(map(number.__getitem__, flat), dtype=np.int64, count=len(flat))
    neighbours = np.flatnonzero(rows[1:] == rows[:-1])
    pairs = _pairs(codes[neighbours], codes[neighbours + 1], own, spelled)
    found, owners = [own[codes], pairs], [rows, rows[neighbours]]
    if trigrams:
        inside = [_trigrams(word) for word in number]
        sizes = np.array([len(part) for part in inside], dtype=np.int64)
        starts, taken = np.cumsum(sizes) - sizes, sizes[codes]
        offsets = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
        table = np.array([one for part in inside for one in part], dtype=np.uint32)
        found.append(table[np.repeat(starts[codes], taken) + offsets])
        owners.append(np.repeat(rows, taken))
    return np.concatenate(found), np.concatenate(owners)


def _pairs(left: NDArray[np.int64], right: NDArray[np.int64], own: Hashes, spelled: list[bytes]) -> Hashes:
    """CRC-32 of "left right": of " right", and that of "left" carried over as many bytes, which is linear over GF(2)."""
    after = [b" " + word for word in spelled]
    if len(left) <= _FEW_PAIRS:
        hashes, both = own.tolist(), zip(left.tolist(), right.tolist(), strict=True)
        return np.array([crc32(after[second], hashes[first]) for first, second in both], dtype=np.uint32)
    sizes, places = np.unique([len(word) for word in after], return_inverse=True)
    tables = np.array([_carried(size) for size in sizes.tolist()])
    found, before, size = np.array([crc32(word) for word in after], dtype=np.uint32)[right], own[left], places[right]
    for byte in range(4):
        found ^= tables[size, byte, (before >> np.uint32(8 * byte)) & np.uint32(255)]
    return found


@lru_cache(maxsize=256)
def _carried(size: int) -> Hashes:
    """(4, 256): what a CRC-32 with this value of this byte becomes after `size` zero bytes, apart from what zero becomes."""
    zeros, table = bytes(size), np.zeros((4, 256), dtype=np.uint32)
    nothing = crc32(zeros)
    for bit in range(8):
        one = np.array([crc32(zeros, 1 << (8 * byte + bit)) ^ nothing for byte in range(4)], dtype=np.uint32)
        table[:, 1 << bit : 2 << bit] = table[:, : 1 << bit] ^ one[:, None]
    return table


def _trigrams(word: str) -> list[int]:
    marked = f"<{word[:_LONGEST_WORD]}>"
    return [_trigram(marked[at : at + 3]) for at in range(len(marked) - 2)]


@lru_cache(maxsize=_TRIGRAMS)
def _trigram(letters: str) -> int:
    return crc32(f"#{letters}".encode("utf-8", "replace"))
