"""Reading many rows of JSON at once: column by column, with the same values and warnings as `RowReader.read` of each row.

What is usual (a number within the range of training, a category seen in training) is found by array operations. Every other value
goes through the reader's own slow path, once per distinct value and column.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.encoding.rows import ABSENT, RowReader, Warnings, in_row, renamed, spelled_otherwise
from coreplex.engines.encoding.values import Canonical, Value, domain, polars_type
from coreplex.engines.tabular.schema import Column

Rows = Sequence[Mapping[str, Any]]
_NUMBERS = frozenset((float, int))
_SCALARS = frozenset((str, bool, int, float, type(None), type(ABSENT)))


class Batch(Canonical):
    """Canonical columns that were read already; what an encoder asks for is there."""

    def __init__(self, columns: Mapping[str, pl.Series], height: int) -> None:
        super().__init__(pl.DataFrame(), keep=True)
        self.height = height
        self._columns = columns

    def series(self, column: Column) -> pl.Series:
        """(n,) the canonical values of a column."""
        return self._columns[column.name]


def read_batch(reader: RowReader, rows: Rows) -> tuple[Batch, Warnings]:
    """The canonical columns of `rows`, and what was odd in row order, each warning with its `row`. Never raises."""
    said: dict[int, Warnings] = {}
    whole = _whole(reader, rows)
    if whole is None:
        rows, spelled = _matched(reader, rows)
        cells: Sequence[Sequence[Any]] = [[row.get(name, ABSENT) for row in rows] for name in reader.names]
    else:
        cells, spelled = whole, {}
    columns: dict[str, pl.Series] = {}
    for index, name, low, high in reader.numbers:
        values = _floats(cells[index])
        unusual = np.flatnonzero(~((values >= low) & (values <= high))).tolist()
        for place, value in _read(reader, index, cells[index], unusual, said):
            values[place] = np.nan if value is None else value
        columns[name] = pl.Series(name, values)
    for index, name, levels in reader.levels:
        raws = list(cells[index])
        unusual = [place for place, raw in enumerate(raws) if type(raw) is not str or raw not in levels]
        columns[name] = _series(reader, index, raws, unusual, said)
    for index, name in reader.others:
        columns[name] = _series(reader, index, list(cells[index]), range(len(rows)), said)
    if whole is None:
        _extra_columns(reader, rows, said)
    for place, warnings in spelled.items():
        said.setdefault(place, []).extend(in_row(warnings, place))
    return Batch(columns, len(rows)), [warning for place in sorted(said) for warning in said[place]]


def _whole(reader: RowReader, rows: Rows) -> Sequence[Sequence[Any]] | None:
    """The cells column by column where every row has all columns of the reader and none that it would speak of; else None."""
    names = reader.names
    if len(names) < 2:
        return None
    others = any(len(row) != len(names) for row in rows)
    if others and not all(map(reader.accepted.issuperset, set(map(tuple, rows)))):
        return None
    try:
        return list(zip(*map(itemgetter(*names), rows), strict=True))
    except KeyError:
        return None


def _matched(reader: RowReader, rows: Rows) -> tuple[Rows, dict[int, Warnings]]:
    """The rows with columns under the names they stand for (`RowReader.matched`), decided once per distinct set of keys."""
    known: dict[tuple[str, ...], dict[str, str]] = {}
    spelled: dict[int, Warnings] = {}
    found = list(rows)
    for place, row in enumerate(rows):
        keys = tuple(row)
        matched = known.get(keys)
        if matched is None:
            matched = known[keys] = reader.matched(row)
        if matched:
            found[place] = renamed(row, matched)
            spelled[place] = spelled_otherwise(matched)
    return found, spelled


def _floats(raws: Sequence[Any]) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """(n,) the plain numbers, NaN for everything else."""
    try:
        if _NUMBERS.issuperset(map(type, raws)):
            return np.array(raws, dtype=np.float64)
        return np.array([raw if type(raw) in _NUMBERS else np.nan for raw in raws], dtype=np.float64)
    except OverflowError:  # an integer beyond float64
        return np.full(len(raws), np.nan)


def _series(reader: RowReader, index: int, raws: list[Any], unusual: Iterable[int], said: dict[int, Warnings]) -> pl.Series:
    column = reader.known[index].column
    for place, value in _read(reader, index, raws, unusual, said):
        raws[place] = value
    dtype = polars_type(domain(column))
    try:
        return pl.Series(column.name, raws, dtype=dtype)
    except UnicodeEncodeError:  # half a surrogate pair, which Polars cannot hold
        whole = [raw if raw is None else raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for raw in raws]
        return pl.Series(column.name, whole, dtype=dtype)


def _read(
    reader: RowReader, index: int, raws: Sequence[Any], unusual: Iterable[int], said: dict[int, Warnings]
) -> list[tuple[int, Value]]:
    """(place, canonical value) of the unusual ones; their warnings are added to `said`."""
    known: dict[tuple[type, Any], tuple[Value, Warnings]] = {}
    found = []
    for place in unusual:
        raw = raws[place]
        key = (type(raw), raw) if type(raw) in _SCALARS else None
        if key is not None and key in known:
            value, warnings = known[key]
        else:
            warnings = []
            value = reader.read_value(index, raw, warnings)
            if key is not None:
                known[key] = value, warnings
        found.append((place, value))
        if warnings:
            said.setdefault(place, []).extend(in_row(warnings, place))
    return found


def _extra_columns(reader: RowReader, rows: Rows, said: dict[int, Warnings]) -> None:
    """Columns the model does not know, once per distinct set of keys, as `RowReader.read` says them."""
    width = len(reader.names)
    known: dict[tuple[str, ...], Warnings] = {}
    for place, row in enumerate(rows):
        if len(row) <= width and place not in said:
            continue
        keys = tuple(row)
        if keys not in known:
            known[keys] = reader.extra_columns(row)
        if known[keys]:
            said.setdefault(place, []).extend(in_row(known[keys], place))
