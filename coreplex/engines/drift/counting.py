"""Counts rows as callers sent them, and what was answered, in the bins of a layout.

A value is read as the model reads it, by the rules of the table's schema; whatever a row holds, it has a bin. The usual case,
a column of plain numbers or of known categories, is decided for all rows at once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coreplex.engines.drift.bins import LevelBins, NumberBins, Places
from coreplex.engines.drift.layout import CLASS, Counts, Feature, Layout, Part, values_of
from coreplex.engines.encoding.rows import ABSENT, matched, renamed
from coreplex.engines.encoding.values import domain, reader
from coreplex.engines.scoring.bundle import label_key
from coreplex.engines.tabular.schema import Column

Row = Mapping[str, Any]
Values = NDArray[np.float64]

_PLAIN = {int, float, NoneType}
_REMEMBERED = 10_000
"""Texts of a column whose meaning is remembered."""


class RowCounter:
    """Counts rows of one layout; made once, used by one thread at a time."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        inputs, self._answers = layout.parts[: len(layout.inputs)], layout.parts[len(layout.inputs) :]
        self._inputs = [(part, _reader(part.feature)) for part in inputs]
        self._taken = _taking([part.feature.name for part in inputs])

    def count(self, rows: Sequence[Row], outputs: Sequence[Mapping[str, Any] | None]) -> Counts:
        """(size,) counts of n rows and their answers. A row without any column of the layout is not counted."""
        vector = np.zeros(self.layout.size, dtype=np.int64)
        for (part, read), raw in zip(self._inputs, self._columns(rows), strict=False):
            _add(vector, part, read.places(raw))
        answers = [output for output in outputs if output is not None and "prediction" in output]
        if answers:
            for part in self._answers:
                _add(vector, part, _answered(part.feature, answers))
        return vector

    def named(self, rows: Sequence[Row]) -> list[Row]:
        """The rows with the layout's columns under their own names."""
        return [self._named(row) or row for row in rows]

    def read(self, rows: Sequence[Row], wanted: Collection[str] | None = None) -> Iterator[tuple[Feature, Values | None, Places]]:
        """Of each column, or those `wanted`, the (n,) values of `named` rows, None of categories, and the (n,) places of their
        bins."""
        for part, read in self._inputs:
            if wanted is not None and part.feature.name not in wanted:
                continue
            raw = [row.get(part.feature.name, ABSENT) for row in rows]
            if isinstance(read, _Numbers):
                values = read.values(raw)
                yield part.feature, values, read.bins.place(values)
            else:
                yield part.feature, None, read.places(raw)

    def values(self, rows: Sequence[Row]) -> dict[str, Values]:
        """By column the (n,) values of n rows, as a model can learn from them (`layout.values_of`)."""
        return {feature.name: values_of(feature, values, places) for feature, values, places in self.read(self.named(rows))}

    def _columns(self, rows: Sequence[Row]) -> Iterable[Sequence[Any]]:
        """The raw values of each column, of the rows that have any; nothing where none has."""
        try:
            return zip(*map(self._taken, rows), strict=True)
        except KeyError:  # not every row has every column under its own name
            there = [row for row in map(self._named, rows) if row is not None]
            return ([row.get(part.feature.name, ABSENT) for row in there] for part, _ in self._inputs if there)

    def _named(self, row: Row) -> Row | None:
        """The row with its columns under their own names; None where it has none of them."""
        names = self.layout.names
        if names <= row.keys():
            return row
        found = matched(row, names, names)
        if found:
            return renamed(row, found)
        return None if names.isdisjoint(row) else row


def _taking(names: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
    """Takes the columns out of a row. Raises KeyError where it has not all of them."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple(row[name] for name in names)


def _add(vector: Counts, part: Part, places: Places) -> None:
    size = part.feature.bins.size
    vector[part.begin : part.begin + size] += np.bincount(places, minlength=size)


def _reader(feature: Feature) -> "_Levels | _Numbers":
    bins, column = feature.bins, feature.column
    assert column is not None
    return _Levels(bins, column) if isinstance(bins, LevelBins) else _Numbers(bins, column)


class _Numbers:
    """Raw values as floats: numbers, moments in microseconds, lengths of texts; NaN for what is missing."""

    def __init__(self, bins: NumberBins, column: Column) -> None:
        self.bins, self._read, self._kind = bins, reader(column), domain(column)
        self._plain = self._kind == "number" and column.dtype != "bool" and not column.missing
        self._memory: dict[str, float] = {}

    def places(self, raw: Sequence[Any]) -> Places:
        """(n,) places of n raw values."""
        return self.bins.place(self.values(raw))

    def values(self, raw: Sequence[Any]) -> Values:
        """(n,) floats of n raw values."""
        if self._plain and set(map(type, raw)) <= _PLAIN:
            try:
                values = np.array(raw, dtype=np.float64)
            except OverflowError:  # a whole number beyond all floats
                return np.array(list(map(self._value, raw)))
            values[np.isinf(values)] = np.nan
            return values
        return np.array(list(map(self._value, raw)), dtype=np.float64)

    def _value(self, raw: Any) -> float:
        if type(raw) is not str:
            return self._slowly(raw)
        found = self._memory.get(raw)
        if found is None:
            found = self._slowly(raw)
            if len(self._memory) < _REMEMBERED and len(raw) < 100:
                self._memory[raw] = found
        return found

    def _slowly(self, raw: Any) -> float:
        value = _canonical(self._read, raw)
        if value is None:
            return float("nan")
        return float(len(value)) if self._kind == "text" else float(value)


class _Levels:
    """Raw values as places of categories."""

    def __init__(self, bins: LevelBins, column: Column) -> None:
        self.bins, self._read = bins, reader(column)
        self._memory = {level: place for level, place in bins.known.items() if level and self._read(level) == level}
        self._most = len(self._memory) + _REMEMBERED

    def places(self, raw: Sequence[Any]) -> Places:
        """(n,) places of n raw values."""
        memory = self._memory
        if set(map(type, raw)) == {str} and None not in (known := list(map(memory.get, raw))):
            return np.array(known, dtype=np.int64)
        return np.array([memory[one] if type(one) is str and one in memory else self._place(one) for one in raw], dtype=np.int64)

    def _place(self, raw: Any) -> int:
        place = int(self.bins.place([_canonical(self._read, raw)])[0])
        if type(raw) is str and len(self._memory) < self._most and len(raw) < 100:
            self._memory[raw] = place
        return place


def _canonical(read: Callable[[Any], Any], raw: Any) -> Any:
    """The canonical value; None for what cannot be read, as the model takes it."""
    try:
        return read(None if raw is ABSENT else raw)
    except (ValueError, TypeError, OverflowError, ArithmeticError):
        return None


def _answered(feature: Feature, answers: Sequence[Mapping[str, Any]]) -> Places:
    """The (n,) places of n outputs."""
    bins = feature.bins
    if feature.name == CLASS:
        assert isinstance(bins, LevelBins)
        return bins.place([label_key(one["prediction"]) for one in answers])
    assert isinstance(bins, NumberBins)
    label = feature.label
    values = [_score(one, label, feature.name) for one in answers]
    return bins.place(np.array(values, dtype=np.float64))


def _score(output: Mapping[str, Any], label: str | None, name: str) -> float:
    value = output.get(name) if label is None else (output.get("probabilities") or {}).get(label)
    return float(value) if isinstance(value, int | float) else float("nan")
