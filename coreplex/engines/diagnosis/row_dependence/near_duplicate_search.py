"""Finds near-duplicate rows by nearest-neighbour distances: augmented, measured twice, rounded otherwise.

The nearest neighbour of a copy is far nearer than its tenth. Among independent rows that happens as well, the more often the
fewer dimensions they really have; how many, their farther neighbours say (Levina and Bickel, "Maximum likelihood
estimation of intrinsic dimension", NIPS 2004), and only what goes far beyond it counts.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from coreplex.engines.automl.splits.near_duplicates import FAR_APART, NearDuplicates
from coreplex.engines.tabular.schema import Column, ColumnType

_ASKED = 2_000
_TENTH, _FAR = 10, 20
"""Neighbours: up to which copies are looked for, and up to which the intrinsic dimension is estimated."""
_LEAST = 30
_BEYOND = 4
_RATIO = 0.15
_SHARE = 0.05
_DIMENSIONS = 3
_MOST_NUMBERS, _MOST_WORDS = 30, 30
_FEW = 10
_LARGEST_UNIT = 0.1


def find_near_duplicates(frame: pl.DataFrame, columns: Sequence[Column], seed: int) -> NearDuplicates | None:
    """The distance within which rows are near duplicates, with its columns; None where hardly any are, or where a
    chain of them joins more than a tenth of all rows.

    `frame`: n rows; of `columns` up to 30 continuous ones make the distance, up to 30 others must be equal. `seed`: of the 2,000
    rows asked at most.
    """
    numbers = [c.name for c in columns if _continuous(frame[c.name], c)][:_MOST_NUMBERS]
    if len(numbers) < _DIMENSIONS or frame.height <= _FAR:
        return None
    plain = (ColumnType.text, ColumnType.id, ColumnType.datetime)
    words = [c.name for c in columns if c.name not in numbers and c.type not in plain and not _continuous(frame[c.name], c)]
    spreads = tuple(_spread(frame[name]) for name in numbers)
    near = NearDuplicates(tuple(numbers), spreads, tuple(words[:_MOST_WORDS]), 0.0)
    radius = _radius(near, frame, seed)
    if radius is None:
        return None
    near = NearDuplicates(near.numbers, near.spreads, near.words, radius)
    sizes = np.bincount(near.units(frame))
    return near if sizes.max() <= max(_LARGEST_UNIT * frame.height, _TENTH) else None


def _continuous(values: pl.Series, column: Column) -> bool:
    """Whether a column is a number of more than ten values that is no key and no even counter."""
    if not values.dtype.is_numeric() or column.type is ColumnType.id or values.n_unique() <= _FEW:
        return False
    steps = np.diff(values.drop_nulls().cast(pl.Float64).to_numpy())
    return not (len(steps) and (steps == steps[0]).all())


def _spread(values: pl.Series) -> float:
    number = values.cast(pl.Float64).to_numpy()
    number = number[np.isfinite(number)]
    low, high = np.quantile(number, [0.1, 0.9])
    return float((high - low) / 2.56 or number.std() or 1.0)


def _radius(near: NearDuplicates, frame: pl.DataFrame, seed: int) -> float | None:
    """The greatest distance (in spreads) of a near duplicate; None where not many more rows have one than chance gives."""
    asked = np.random.default_rng(seed).permutation(frame.height)[:_ASKED]
    points = near.points(frame)
    nearest = _neighbours(points, asked, 1)[:, 0]
    around = _neighbours(points[:, :-1], asked, _FAR)
    typical, far = around[:, _TENTH - 1], around[:, -1]
    usable = (typical > 0) & (far < FAR_APART)
    if usable.sum() < _LEAST:
        return None
    between = np.log(far[usable, None] / around[usable, _TENTH - 1 : -1]).mean()
    by_chance = 1 - (1 - _RATIO ** (1 / max(between, 1e-9))) ** _TENTH
    close = usable & (nearest > 0) & (nearest < _RATIO * typical)
    if close.sum() < max(_SHARE, _BEYOND * by_chance) * len(asked):
        return None
    return float(min(1.5 * np.quantile(nearest[close], 0.98), 0.5 * np.quantile(typical[close], 0.05)))


def _neighbours(points: NDArray[np.float64], asked: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """(asked, count): Chebyshev distances to the nearest other points, ascending."""
    return np.asarray(cKDTree(points).query(points[asked], k=range(2, min(count, len(points) - 1) + 2), p=np.inf)[0])
