"""Gives rows of one period the values of another, where no weights can: values that went missing, and values never seen before.

What is replaced is answered anew, so that the effect is that of the model and not of rows that happen to look alike.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from coreplex.engines.metric_change.column import Column

NOISE_FROM = 1.1
"""The variance of later numbers, in that of earlier ones, above which noise may have been added."""
UNLIKE = 0.01
"""The p-value of a Kolmogorov-Smirnov test below which numbers with noise are not as the later ones."""
Row = Mapping[str, Any]
Values = Mapping[str, Sequence[Any]]
"""By column, the value of each of n rows."""


def with_values(rows: Sequence[Row], values: Values) -> list[dict[str, Any]]:
    """The rows with some columns replaced."""
    return [{**row, **{name: column[number] for name, column in values.items()}} for number, row in enumerate(rows)]


def masks(
    columns: Sequence[Column], draw: np.random.Generator, by_value: frozenset[str] = frozenset()
) -> dict[str, NDArray[np.bool_]]:
    """By column, of which rows of the earlier period its value must go for it to be missing as often as later.

    Each row takes the pattern of a row of the later period, so that columns which go together stay together. Of columns in
    `by_value` what goes depends on the value: each group comes as often, of all rows, as later.
    """
    if not columns:
        return {}
    rows, later = len(columns[0].before.places), len(columns[0].after.places)
    partner, luck = draw.integers(0, later, rows), draw.random(rows)
    found = {}
    for column in columns:
        if column.feature.name in by_value:
            found[column.feature.name] = luck < _lost(column)
            continue
        before, after = column.missing_shares
        kept = (after - before) / max((1.0 - before) * after, 1e-12)
        found[column.feature.name] = column.missing[1][partner] & (luck < kept)
    return found


def _lost(column: Column) -> NDArray[np.float64]:
    """(n,) chance of each earlier row that its value has gone; 0 where it was missing already."""
    (codes, _), (first, second) = column.codes, column.counts
    kept = second / len(column.after.places) / np.maximum(first / len(codes), 1e-12)
    return np.where(codes >= 0, np.maximum(1.0 - kept, 0.0)[codes], 0.0)


def masked(rows: Sequence[Row], gone: Mapping[str, NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """The rows without the values that are gone."""
    return [{**row, **{name: None for name, one in gone.items() if one[number]}} for number, row in enumerate(rows)]


def moved(column: Column, draw: np.random.Generator) -> list[Any]:
    """The n values of the earlier rows as the later period would have them: numbers of the same rank; of categories as many as
    can be stay as they are."""
    return _given(column, _by_group if column.before.values is None else _by_rank, draw)


def moved_otherwise(column: Column, draw: np.random.Generator) -> list[list[Any]]:
    """The other ways in which numbers may have become the later ones: rows at random say the same, or there is noise.

    By themselves they do not tell which it was (of normal numbers another unit and noise look alike), what comes of it does.
    """
    if column.feature.kind != "number":
        return []
    noise = noisy(column, draw)
    return [_given(column, _by_chance, draw), *([noise] if noise else [])]


def noisy(column: Column, draw: np.random.Generator) -> list[Any] | None:
    """The n values of the earlier rows with normal noise that gives them mean and variance of the later ones; None where that
    does not make them alike."""
    assert column.before.values is not None
    assert column.after.values is not None
    there, later = ~np.isnan(column.before.values), column.after.values[~np.isnan(column.after.values)]
    if not there.any() or not len(later):
        return None
    first = column.before.values[there]
    with np.errstate(over="ignore", invalid="ignore"):
        further, more = later.mean() - first.mean(), later.var() - first.var()
    if not np.isfinite([further, more]).all() or more <= (NOISE_FROM - 1.0) * first.var():
        return None
    numbers = column.before.values + further + draw.normal(0.0, np.sqrt(more), len(there))
    if stats.ks_2samp(numbers[there], later).pvalue < UNLIKE:
        return None
    return [new if was else old for old, new, was in zip(column.before.raw, numbers.tolist(), there.tolist(), strict=True)]


Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Rows of the earlier period, and rows of the later one whose values they take."""


def _given(column: Column, pairs: Callable[[Column, np.random.Generator], Pairs], draw: np.random.Generator) -> list[Any]:
    found = list(column.before.raw)
    if all((codes >= 0).any() for codes in column.codes):
        for row, partner in np.stack(pairs(column, draw), axis=1).tolist():
            found[row] = column.after.raw[partner]
    return found


def _by_rank(column: Column, draw: np.random.Generator) -> Pairs:
    assert column.before.values is not None
    assert column.after.values is not None
    there, later = (np.flatnonzero(codes >= 0) for codes in column.codes)
    order = there[np.lexsort((draw.random(len(there)), column.before.values[there]))]
    partners = later[np.argsort(column.after.values[later], kind="stable")]
    ranks = ((np.arange(len(order)) + 0.5) / len(order) * len(partners)).astype(np.int64)
    return order, partners[ranks]


def _by_chance(column: Column, draw: np.random.Generator) -> Pairs:
    """Rows at random, of whatever value, get values of the one group that has become the most frequent (Huber 1964)."""
    codes, after = column.codes
    first, second = (counts / max(int(counts.sum()), 1) for counts in column.counts)
    most = int(np.argmax(second - first))
    odds = (second[most] - first[most]) / max(1.0 - first[most], 1e-12)
    rows = np.flatnonzero((codes >= 0) & (codes != most) & (draw.random(len(codes)) < odds))
    return rows, draw.choice(np.flatnonzero(after == most), len(rows))


def _by_group(column: Column, draw: np.random.Generator) -> Pairs:
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
