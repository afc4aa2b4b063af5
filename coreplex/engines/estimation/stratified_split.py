"""Rows held back at random, of each of two sides as many as its share, ten times over."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]

_SHARE = 10
_SEED = 42


def stratified_splits(hit: NDArray[np.bool_], count: int) -> Iterator[tuple[Places, Places]]:
    """`count` times the places of the rows that are learned from, and of the tenth that is held back.

    The draws are those of scikit-learn's `StratifiedShuffleSplit(count, test_size=0.1, random_state=42)`, as NannyML has them, so
    that both decide on the same rows; without scikit-learn, which takes most of a second to load.
    """
    draw = np.random.RandomState(_SEED)  # whose draws stay the same for ever
    sides = [np.flatnonzero(~hit), np.flatnonzero(hit)]
    sizes, held_back = np.array([len(side) for side in sides]), -(-len(hit) // _SHARE)
    for _ in range(count):
        learned = _divided(len(hit) - held_back, sizes, draw)
        tested = _divided(held_back, sizes - learned, draw)
        mixed = [side[draw.permutation(len(side))] for side in sides]
        first = np.concatenate([side[:n] for side, n in zip(mixed, learned, strict=True)])
        second = np.concatenate([side[n : n + m] for side, n, m in zip(mixed, learned, tested, strict=True)])
        yield draw.permutation(first), draw.permutation(second)


def _divided(total: int, sizes: Places, draw: np.random.RandomState) -> Places:
    """`total` in whole numbers in proportion to `sizes`, by largest remainders; which of equal ones is drawn."""
    exact = sizes / sizes.sum() * total
    found = np.floor(exact)
    left, remainders = int(total - found.sum()), exact - found
    for remainder in np.unique(remainders)[::-1]:
        if left <= 0:
            break
        alike = np.flatnonzero(remainders == remainder)
        found[draw.choice(alike, size=min(len(alike), left), replace=False)] += 1
        left -= len(alike)
    return found.astype(np.int64)
