"""Gives rows of one period the values of another, where no weights can: values that went missing, and values never seen before.

What is replaced is answered anew, so that the effect is that of the model and not of rows that happen to look alike.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.metric_change.column import Column

Row = Mapping[str, Any]
Values = Mapping[str, Sequence[Any]]
"""By column, the value of each of n rows."""


def with_values(rows: Sequence[Row], values: Values) -> list[dict[str, Any]]:
    """The rows with some columns replaced."""
    return [{**row, **{name: column[number] for name, column in values.items()}} for number, row in enumerate(rows)]


def masks(columns: Sequence[Column], draw: np.random.Generator) -> dict[str, NDArray[np.bool_]]:
    """By column, of which rows of the earlier period its value must go for it to be missing as often as later.

    Each row takes the pattern of a row of the later period, so that columns which go together stay together.
    """
    if not columns:
        return {}
    rows, later = len(columns[0].before.places), len(columns[0].after.places)
    partner, luck = draw.integers(0, later, rows), draw.random(rows)
    found = {}
    for column in columns:
        before, after = column.missing_shares
        kept = (after - before) / max((1.0 - before) * after, 1e-12)
        found[column.feature.name] = column.missing[1][partner] & (luck < kept)
    return found


def masked(rows: Sequence[Row], gone: Mapping[str, NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """The rows without the values that are gone."""
    return [{**row, **{name: None for name, one in gone.items() if one[number]}} for number, row in enumerate(rows)]


def moved(column: Column, draw: np.random.Generator) -> list[Any]:
    """The n values of the earlier rows as the later period would have them: numbers of the same rank; of categories as many as
    can be stay as they are."""
    found = list(column.before.raw)
    there, later = (np.flatnonzero(codes >= 0) for codes in column.codes)
    if not len(there) or not len(later):
        return found
    rows, partners = _by_level(column, draw) if column.before.values is None else _by_rank(column, there, later, draw)
    for row, partner in zip(rows.tolist(), partners.tolist(), strict=True):
        found[row] = column.after.raw[partner]
    return found


Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows of the earlier period, and rows of the later one whose values they take."""


def _by_rank(column: Column, there: NDArray[np.int64], later: NDArray[np.int64], draw: np.random.Generator) -> Pairs:
    assert column.before.values is not None
    assert column.after.values is not None
    order = there[np.lexsort((draw.random(len(there)), column.before.values[there]))]
    partners = later[np.argsort(column.after.values[later], kind="stable")]
    ranks = ((np.arange(len(order)) + 0.5) / len(order) * len(partners)).astype(np.int64)
    return order, partners[ranks]


def _by_level(column: Column, draw: np.random.Generator) -> Pairs:
    """Rows of groups that have become rarer, at random, get values of groups that have become more frequent."""
    codes, after = column.codes
    first, second = column.counts
    shares = first / max(int(first.sum()), 1), second / max(int(second.sum()), 1)
    leaving, arriving = np.maximum(shares[0] - shares[1], 0.0), np.maximum(shares[1] - shares[0], 0.0)
    odds = np.divide(leaving, shares[0], out=np.zeros_like(leaving), where=shares[0] > 0)
    rows = np.flatnonzero((codes >= 0) & (draw.random(len(codes)) < odds[codes]))
    if not len(rows):
        return rows, rows
    weights = np.where(after >= 0, (arriving / np.maximum(second, 1))[after], 0.0)
    return rows, draw.choice(len(after), len(rows), p=weights / weights.sum())
