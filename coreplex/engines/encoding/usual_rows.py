"""Reading and encoding rows of JSON that hold nothing odd, all of them together: column by column instead of value by value.

A row in which something is to be said, or to be looked at twice, is left to the reader.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from types import NoneType
from typing import Any

import numpy as np

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.encoding.rows import RowReader, Warnings
from coreplex.engines.encoding.steps import Floats

_TEXT = {str}
_NUMBERS = {int, float, NoneType}
_EXACT = float(1 << 53)
"""Whole numbers below are the same as floats."""
Row = Mapping[str, Any]


class UsualRows:
    """Rows of one model, for its encoders."""

    def __init__(self, reader: RowReader, encoders: Sequence[Encoder]) -> None:
        self._reader = reader
        names = [name for _, name, _, _ in reader.numbers]
        self._numbers = _picked(names)
        self._low, self._high = (np.array([one[side] for one in reader.numbers]) for side in (2, 3))
        self._usual: Sequence[Any] = self._low.tolist()
        """Numbers for a row that has none."""
        self._silent = np.array([_means_nothing(reader, index) for index, *_ in reader.numbers])
        """Of which numbers nothing is said where they are null."""
        self._levels = [(itemgetter(name), seen, next(iter(seen))) for _, name, seen in reader.levels]
        self._others = [(itemgetter(name), index) for index, name in reader.others]
        order = [*names, *(name for _, name, _ in reader.levels), *(name for _, name in reader.others)]
        self._encode = [encoder.compile_columns(order, len(names)) for encoder in encoders]

    @classmethod
    def of(cls, reader: RowReader, encoders: Sequence[Encoder]) -> "UsualRows | None":
        """None for a model without numbers, or with ranges in which whole numbers are no floats."""
        exact = all(-_EXACT < low <= high < _EXACT for _, _, low, high in reader.numbers)
        seen = all(levels for _, _, levels in reader.levels)
        return cls(reader, encoders) if reader.numbers and exact and seen else None

    def encoded(self, rows: Sequence[Row]) -> tuple[list[Floats], set[int]] | None:
        """One (n, width) matrix per encoder, and the rows that are odd: what stands in their place is not theirs.

        None where rows have other columns than the model, which is for the reader as well.
        """
        reader, odd = self._reader, set[int]()
        if set(map(len, rows)) != {len(reader.names)} and not all(map(reader.accepted.issuperset, rows)):
            return None
        try:
            numbers = self._read_numbers(list(map(self._numbers, rows)), odd)
            levels = [_read_level(list(map(pick, rows)), seen, usual, odd) for pick, seen, usual in self._levels]
            others = [
                [self._read_other(index, raw, place, odd) for place, raw in enumerate(map(pick, rows))]
                for pick, index in self._others
            ]
        except (KeyError, OverflowError):
            return None
        return [encode(numbers, levels + others) for encode in self._encode], odd

    def _read_numbers(self, values: list[Sequence[Any]], odd: set[int]) -> Floats:
        """(n, m) the numbers of each row, NaN for null."""
        kinds = set(map(type, chain.from_iterable(values)))
        if not kinds <= _NUMBERS:
            odd.update(place for place, row in enumerate(values) if not _NUMBERS.issuperset(map(type, row)))
            for place in odd:
                values[place] = self._usual
        found = np.array(values, dtype=np.float64)
        beyond = ~((found >= self._low) & (found <= self._high))
        if NoneType in kinds:
            unknown = np.isnan(found)
            if unknown.sum() == sum(row.count(None) for place, row in enumerate(values) if place not in odd):
                beyond &= ~(unknown & self._silent)
        odd.update(np.flatnonzero(beyond.any(axis=1)).tolist())
        return found

    def _read_other(self, index: int, raw: Any, place: int, odd: set[int]) -> Any:
        said: Warnings = []
        value = self._reader.read_value(index, raw, said)
        if said:
            odd.add(place)
        return value


def _read_level(values: list[Any], seen: frozenset[str], usual: str, odd: set[int]) -> list[Any]:
    if set(map(type, values)) == _TEXT and seen.issuperset(values):
        return values
    strange = [place for place, value in enumerate(values) if type(value) is not str or value not in seen]
    odd.update(strange)
    for place in strange:
        values[place] = usual
    return values


def _means_nothing(reader: RowReader, index: int) -> bool:
    """Whether a null of this column is a number that is not known, of which nothing is said."""
    said: Warnings = []
    value = reader.read_value(index, None, said)
    return isinstance(value, float) and value != value and not said


def _picked(names: Sequence[str]) -> Callable[[Row], Sequence[Any]]:
    """The values of these columns. Raises KeyError where one is not there."""
    return itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)
