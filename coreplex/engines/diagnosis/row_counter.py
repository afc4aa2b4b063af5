"""A target that is the place of its row in the file: a row counter, or what rises as evenly as one."""

import numpy as np
import polars as pl

LEAST_ROWS = 30
_EVEN, _MOST = 0.5, 0.95
"""A step is even within this share of the usual one; so many steps must be. Cells between which rows were left out are not."""


def step(values: pl.Series) -> float | None:
    """By how much numbers in file order rise, or fall, from row to row where they count the rows; None where they do not.

    Random numbers that a file was sorted by have uneven steps: of uniform ones, one in three is even by this measure.
    """
    if not values.dtype.is_numeric():
        return None
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy()
    if len(numbers) < LEAST_ROWS or not np.isfinite(numbers).all():
        return None
    steps = np.diff(numbers)
    usual = float(np.median(steps))
    even = np.abs(steps - usual) <= _EVEN * abs(usual)
    return usual if usual != 0.0 and even.mean() >= _MOST and len(np.unique(numbers)) == len(numbers) else None
