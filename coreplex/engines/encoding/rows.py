"""Reading one row of JSON: a dictionary in, canonical values in a fixed order out, with a warning for everything odd.

The usual case (a number within the range of training, a category seen in training) is decided in a few tests inline;
all else takes the slow road, where there is time to find out what is wrong and to say it. Never raises, whatever the
row holds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

import polars as pl

from coreplex.engines.encoding.categories import Table
from coreplex.engines.encoding.datetime_features import DatetimeFeatures
from coreplex.engines.encoding.numbers import Amount, Raw, Scaled
from coreplex.engines.encoding.values import Canonical, Value, domain, reader
from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.engines.tabular.types.value_parser import means_missing, sentinel_values
from coreplex.errors.nearest import folded, hint

if TYPE_CHECKING:
    from coreplex.engines.encoding.encoder import Encoder


class Warning(TypedDict, total=False):
    """`row` for one row, `rows` (how many) for a frame.

    `kind`: missing_column, missing_value, extra_column, matched_column, unreadable_value, unseen_category, out_of_range.
    """

    row: int
    rows: int
    column: str
    kind: str
    message: str


Warnings = list[Warning]
ABSENT = object()
_EXTRA_SHOWN = 20
_MOST_EXTRA = 1000
"""Columns that a model does not know: in a row with many more no other spelling is looked for, which would take seconds."""
_COUNTED = {
    "missing_value": ("is missing, where training always saw one", "are missing, where training always saw one"),
    "unreadable_value": ("is no {noun} and is treated as a missing value", "are no {noun} and are treated as missing values"),
    "unseen_category": ("is a category that training never saw", "are categories that training never saw"),
    "out_of_range": ("lies outside the range that training saw", "lie outside the range that training saw"),
}
"""What is said of one odd value of a table, and of several, by their kind."""
NOUNS = {ColumnType.integer: "number", ColumnType.float: "number", ColumnType.datetime: "date or time"}
"""What a value that could not be read is not, where the name of the type is a programmer's."""


@dataclass(frozen=True)
class Known:
    """What training saw of one column."""

    column: Column
    low: float = 0.0
    high: float = 0.0
    levels: frozenset[str] | None = None

    @cached_property
    def means_missing(self) -> Callable[[Any], bool]:
        """Tells a value that says "missing" from one that could not be read."""
        return means_missing(self.column.dtype, self.column.format, self.column.missing)

    @property
    def hides_sentinel(self) -> bool:
        """True if a number within the range of training means "missing"."""
        values = sentinel_values("float64", self.column.format, self.column.missing or ())
        return any(isinstance(value, float) and self.low <= value <= self.high for value in values)

    def joined(self, other: "Known") -> "Known":
        """What both saw of the same column."""
        levels = self.levels if other.levels is None else other.levels | (self.levels or frozenset())
        return Known(self.column, min(self.low, other.low), max(self.high, other.high), levels)


@dataclass(frozen=True, eq=False)
class RowReader:
    """Made once per model (`of`), shared by all its encoders, whose inputs it produces in the order of `names`."""

    names: tuple[str, ...]
    known: tuple[Known, ...]
    accepted: frozenset[str]
    """Further columns that may come without a word: those the model was offered and did not use, and the target."""
    numbers: tuple[tuple[int, str, float, float], ...]
    levels: tuple[tuple[int, str, frozenset[str]], ...]
    others: tuple[tuple[int, str], ...]
    _readers: tuple[Callable[[Any], Value], ...]

    @classmethod
    def of(cls, encoders: Sequence["Encoder"], accepted: Iterable[str] = ()) -> "RowReader":
        """The reader for every column that one of the encoders uses."""
        found: dict[str, Known] = {}
        dropped: set[str] = set()
        for encoder in encoders:
            dropped.update(encoder.dropped)
            for column, step in zip(encoder.columns, encoder.steps, strict=True):
                known = _known(column, step)
                found[column.name] = known.joined(found[column.name]) if column.name in found else known
        return cls._compiled(list(found.values()), frozenset(accepted) | dropped | found.keys())

    @classmethod
    def _compiled(cls, found: list[Known], accepted: frozenset[str]) -> "RowReader":
        numbers, levels, others = [], [], []
        readers = tuple(reader(known.column) for known in found)
        for index, known in enumerate(found):
            name = known.column.name
            # Of a boolean 0.5 is no value, though it lies between those of training.
            if domain(known.column) == "number" and known.column.dtype != "bool" and not known.hides_sentinel:
                numbers.append((index, name, known.low, known.high))
            elif known.levels is not None:
                # Only levels that reading leaves as they are may skip the reading.
                stable = frozenset(level for level in known.levels if readers[index](level) == level)
                levels.append((index, name, stable))
            else:
                others.append((index, name))
        names = tuple(known.column.name for known in found)
        return cls(names, tuple(found), accepted, tuple(numbers), tuple(levels), tuple(others), readers)

    def read(self, row: Mapping[str, Any]) -> tuple[list[Value], Warnings]:
        """Canonical values in the order of `names`, and what was odd. A column spelled with other case, blanks or underscores is
        taken for the one that is missing, and said."""
        values, warnings = self.read_exactly(row)
        if warnings and (matched := self.matched(row)):
            values, warnings = self.read_exactly(renamed(row, matched))
            warnings += spelled_otherwise(matched)
        return values, warnings

    def matched(self, row: Mapping[str, Any]) -> dict[str, str]:
        """Column of the model → key of `row`, for columns that are missing from it under their own name."""
        return matched(row, self.names, self.accepted)

    def knows(self, row: Mapping[str, Any]) -> bool:
        """Whether the model was offered one column of `row`, at least under another spelling."""
        return not self.accepted.isdisjoint(row) or bool(self.matched(row))

    def read_exactly(self, row: Mapping[str, Any]) -> tuple[list[Value], Warnings]:
        """`read` for a row whose columns have their own names."""
        values: list[Value] = [None] * len(self.names)
        warnings: Warnings = []
        get = row.get
        for index, name, low, high in self.numbers:
            raw = get(name, ABSENT)
            if (type(raw) is float or type(raw) is int) and low <= raw <= high:
                values[index] = raw
            else:
                values[index] = self.read_value(index, raw, warnings)
        for index, name, levels in self.levels:
            raw = get(name, ABSENT)
            values[index] = raw if type(raw) is str and raw in levels else self.read_value(index, raw, warnings)
        for index, name in self.others:
            values[index] = self.read_value(index, get(name, ABSENT), warnings)
        if len(row) > len(values) or warnings:
            warnings += self.extra_columns(row)
        return values, warnings

    def check(self, frame: pl.DataFrame) -> Warnings:
        """What is odd about a whole frame, once per column and kind, with how many `rows` it concerns."""
        return self.told(frame.columns, self.oddities(frame, Canonical(frame)))

    def oddities(self, frame: pl.DataFrame, seen: Canonical) -> dict[tuple[str, str], int]:
        """How many values of each column of `frame` are odd, by column and kind. seen: its canonical values."""
        counts = {(name, kind): int(odd.sum()) for name, kind, odd in self.odd_values(frame, seen)}
        return {key: count for key, count in counts.items() if count}

    def odd_values(self, frame: pl.DataFrame, seen: Canonical) -> Iterator[tuple[str, str, pl.Series]]:
        """Column, kind and (n,) which of its values are odd in that way. seen: the canonical values of `frame`."""
        for known in self.known:
            name = known.column.name
            if name not in frame.columns:
                continue
            values, raw = seen.series(known.column), frame.get_column(name)
            there = values.is_not_null()
            unreadable = _unreadable(known, raw, ~there & raw.is_not_null())
            yield name, "unreadable_value", unreadable
            if not known.column.nullable:
                yield name, "missing_value", ~there & ~unreadable
            if known.levels is not None:
                yield name, "unseen_category", there & ~values.is_in(list(known.levels))
            elif domain(known.column) in ("number", "moment"):
                beyond = (values < known.low) | (values > known.high)
                yield name, "out_of_range", there & beyond.fill_null(value=False)

    def told(self, columns: Sequence[str], counts: Mapping[tuple[str, str], int]) -> Warnings:
        """The warnings of a table with these columns, of which `oddities` counted so many values."""
        warnings: Warnings = []
        for known in self.known:
            if known.column.name not in columns:
                warnings.append(_warning(known, "missing_column", "is not in the table; it is treated as missing values"))
            for kind, texts in _COUNTED.items():
                rows = counts.get((known.column.name, kind), 0)
                _counted(warnings, known, kind, rows, texts[rows > 1].format(noun=_noun(known)))
        return warnings + self.extra_columns(dict.fromkeys(columns))

    def read_value(self, index: int, raw: Any, warnings: Warnings) -> Value:
        """The canonical value of anything sent for column `index`; what is odd about it is added to `warnings`."""
        known, read = self.known[index], self._readers[index]
        if raw is ABSENT:
            warnings.append(_warning(known, "missing_column", "is not in the row; it is treated as a missing value"))
            return read(None)
        try:
            value = read(raw)
        except (ValueError, TypeError, OverflowError, ArithmeticError):
            value = read(None)
        if value is None or value != value:
            if not known.means_missing(raw):
                text = f"holds {shown(raw)}, which is no {_noun(known)}; it is treated as a missing value"
                warnings.append(_warning(known, "unreadable_value", text))
            elif not known.column.nullable:
                warnings.append(_warning(known, "missing_value", "holds no value, where training always saw one"))
        elif known.levels is not None:
            if value not in known.levels:
                text = f"holds {shown(value)}, which training never saw; it is treated as an unknown category"
                warnings.append(_warning(known, "unseen_category", text))
        elif not isinstance(value, str) and not known.low <= value <= known.high:
            warnings.append(_warning(known, "out_of_range", "lies outside the range that training saw"))
        return value

    def extra_columns(self, row: Mapping[str, Any]) -> Warnings:
        """A warning for each column of `row` that the model does not know, the first twenty."""
        extra = [name for name in row if name not in self.accepted]
        return [
            {
                "column": str(name)[:200],
                "kind": "extra_column",
                "message": f"Column {shown(name)} is no feature of the model and was ignored."
                f"{_meant(str(name)[:200], self.names)}",
            }
            for name in extra[:_EXTRA_SHOWN]
        ]


@lru_cache(maxsize=1_024)
def _meant(name: str, names: tuple[str, ...]) -> str:
    """`hint`, remembered: whoever sends a column in vain sends it with every row."""
    found = hint(name, names)
    return f" {found}" if found is not None else ""


def matched(row: Mapping[str, Any], names: Iterable[str], accepted: frozenset[str]) -> dict[str, str]:
    """Column → key of `row`, for the `names` that are missing from it under their own spelling; `accepted` keys are no such."""
    if len(row) > _MOST_EXTRA + 10 * len(accepted):
        return {}
    extra = _unique((folded(key), key) for key in row if isinstance(key, str) and key not in accepted)
    if not extra:
        return {}
    missing = _unique((folded(name), name) for name in names if name not in row)
    return {name: extra[form] for form, name in missing.items() if form in extra}


def renamed(row: Mapping[str, Any], matched: Mapping[str, str]) -> dict[str, Any]:
    """The row with the keys of `RowReader.matched` under the names they stand for."""
    names = {key: name for name, key in matched.items()}
    return {names.get(key, key): value for key, value in row.items()}


def spelled_otherwise(matched: Mapping[str, str]) -> Warnings:
    """A warning for each column that came under another spelling."""
    return [
        {"column": name[:200], "kind": "matched_column", "message": f"Column {shown(key)} was taken for {shown(name)}."}
        for name, key in matched.items()
    ]


def in_row(warnings: Warnings, place: int) -> list[Warning]:
    """The warnings of one row with its number."""
    return [{**warning, "row": place} for warning in warnings]


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Form → name, without the forms that several names have."""
    found: dict[str, list[str]] = {}
    for form, name in pairs:
        found.setdefault(form, []).append(name)
    return {form: names[0] for form, names in found.items() if len(names) == 1}


def _known(column: Column, step: Any) -> Known:
    if isinstance(step, Raw | Scaled | Amount | DatetimeFeatures):
        return Known(column, step.low, step.high)
    if isinstance(step, Table):
        return Known(column, levels=frozenset(level for level in step.levels if level is not None))
    return Known(column)


def _warning(known: Known, kind: str, message: str) -> Warning:
    name = known.column.name
    return {"column": name, "kind": kind, "message": f"Column {shown(name)} {message}."}


def _unreadable(known: Known, raw: pl.Series, lost: pl.Series) -> pl.Series:
    """(n,) which of the values that are lost say something, and do not say that they are missing."""
    if not lost.any():
        return lost
    values = raw.filter(lost)
    if values.dtype.is_nested() or values.dtype == pl.Object:
        said = pl.Series([not known.means_missing(one) for one in values.to_list()], dtype=pl.Boolean)
    else:
        distinct = values.unique()
        meaning = pl.Series([not known.means_missing(one) for one in distinct.to_list()], dtype=pl.Boolean)
        said = values.replace_strict(distinct, meaning, return_dtype=pl.Boolean)
    return lost.scatter(lost.arg_true(), said)


def _noun(known: Known) -> str:
    return NOUNS.get(known.column.type, known.column.type)


def _counted(warnings: Warnings, known: Known, kind: str, rows: int, text: str) -> None:
    if rows:
        message = f"{rows:,} value{'s' if rows > 1 else ''} of column {shown(known.column.name)} {text}."
        warnings.append({"column": known.column.name, "kind": kind, "rows": rows, "message": message})


_KINDS: Mapping[type, str] = {dict: "an object", list: "a list", type(None): "null"}


def shown(value: Any) -> str:
    """A value in a message: quoted, and short whatever was sent."""
    if not isinstance(value, str | int | float | bool):
        return _KINDS.get(type(value)) or f"a value of type {type(value).__name__}"
    try:
        text = str(value)
    except ValueError:  # an integer with more digits than Python prints
        text = "a very long number"
    return f"“{text if len(text) <= 60 else text[:57] + '…'}”"
