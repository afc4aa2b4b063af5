"""Canonical values: one meaning per cell, whether it comes from a column of a frame or from one row of JSON.

Every encoder step works on canonical values only, which is why a row and a frame cannot disagree:

    number   (integer, float, boolean)   float, NaN where missing or not finite
    category (categorical, id)           str or None
    moment   (datetime)                  int, microseconds since 1970-01-01 UTC, or None
    text     (text)                      str or None

Refuses to guess: what the rules of the table's schema (`tabular.cells`) cannot read is missing here, and `rows.py`
says so.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import polars as pl

from coreplex.engines.tabular.schema import Column, ColumnType
from coreplex.engines.tabular.types import vocabulary
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.value_parser import parser, sentinel_values

Domain = Literal["number", "category", "moment", "text"]
Value = float | int | str | None

_DOMAINS: Mapping[ColumnType, Domain] = {
    ColumnType.integer: "number",
    ColumnType.float: "number",
    ColumnType.boolean: "number",
    ColumnType.categorical: "category",
    ColumnType.id: "category",
    ColumnType.datetime: "moment",
    ColumnType.text: "text",
}
_POLARS: Mapping[Domain, Any] = {"number": pl.Float64, "category": pl.String, "moment": pl.Int64, "text": pl.String}
_PLAIN = r"^-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?$"
"""A number that is written as a program would: no code with zeros in front, no more digits than a float keeps."""
_BLANKS = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
"""What `str.strip` takes away, which is a little more than Polars does."""
_DERIVED_ROWS = 20_000
"""Counted words are many times the texts."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (naive on purpose: canonical moments are UTC without a zone)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = ((end - _EPOCH) // _MICROSECOND for end in (datetime.min, datetime.max))  # noqa: DTZ901


def domain(column: Column) -> Domain:
    """What kind of canonical value a column holds. An e-mail address is read by its domain, a category."""
    return "category" if _is_mail(column) else _DOMAINS[column.type]


def _is_mail(column: Column) -> bool:
    return column.type is ColumnType.text and column.format == "email"


def polars_type(kind: Domain) -> Any:
    """The Polars type of a canonical series."""
    return _POLARS[kind]


def number(value: Any) -> float:
    """A float, NaN for anything that is no finite number."""
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return result if math.isfinite(result) else math.nan


def label(value: Any) -> str | None:
    """The text of a category: `3.0` and `3` are one category, as they are one number."""
    if value is None or isinstance(value, str):
        return value.strip() if value else None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def moment(value: Any) -> int | None:
    """Microseconds since 1970 in UTC; a naive time is taken as UTC."""
    if isinstance(value, datetime):
        try:
            naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        except (OverflowError, ValueError):
            return None
        return (naive - _EPOCH) // _MICROSECOND
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day) - _EPOCH) // _MICROSECOND  # noqa: DTZ001
    return None


def reader(column: Column) -> Callable[[Any], Value]:
    """The function from any raw value of `column` (text of a file, JSON, typed) to its canonical value. Never raises."""
    kind = domain(column)
    if kind == "number":
        # A fraction is welcome where training saw whole numbers only: the model can use it.
        parse = parser("bool" if column.dtype == "bool" else "float64", column.format, column.missing)
        if column.missing or column.dtype == "bool":
            return lambda raw: number(parse(raw))
        return lambda raw: number(raw) if type(raw) is int or type(raw) is float else number(parse(raw))
    parse = parser(column.dtype, column.format, column.missing)
    if kind == "moment":
        return lambda raw: moment(parse(raw))
    if _is_mail(column):
        return lambda raw: _mail_domain(label(parse(raw)))
    return lambda raw: label(parse(label(raw) if isinstance(raw, float) else raw))


def _mail_domain(address: str | None) -> str | None:
    """The domain of an e-mail address: `example.org` of `Ann@Example.org`; None without an address."""
    return address.rpartition("@")[2].lower() or None if address else None


class Canonical:
    """A frame seen through a schema. With `keep`, what was read once is kept for the next encoder of the same model."""

    def __init__(self, frame: pl.DataFrame, *, keep: bool = False) -> None:
        self.frame = frame
        self.height = frame.height
        self._places = {name: index for index, name in enumerate(frame.columns)}
        self._keep = keep
        self._kept: dict[tuple[object, ...], pl.Series] = {}
        self._derived: dict[tuple[object, ...], Any] = {}

    def derived(self, column: Column, what: object, make: Callable[[pl.Series], Any]) -> Any:
        """What `make` finds in one column, `what` being its name: where columns are kept, made once for all encoders."""
        if not self._keep or self.height > _DERIVED_ROWS:
            return make(self.series(column))
        key = *_key(column), what
        if key not in self._derived:
            self._derived[key] = make(self.series(column))
        return self._derived[key]

    def series(self, column: Column) -> pl.Series:
        """The canonical values of one column; a column that is not there is missing everywhere."""
        key = _key(column)
        found = self._kept.get(key)
        if found is None:
            place = self._places.get(column.name)
            found = _absent(column, self.height) if place is None else canonical_series(self.frame.to_series(place), column)
            if self._keep:
                self._kept[key] = found
        return found


def _key(column: Column) -> tuple[object, ...]:
    return column.name, column.type.value, column.dtype, column.format, column.missing


def _absent(column: Column, rows: int) -> pl.Series:
    return pl.Series(column.name, [None], dtype=_POLARS[domain(column)]).new_from_index(0, rows)


def canonical_series(series: pl.Series, column: Column) -> pl.Series:
    """The canonical values of one series, of whatever type it came."""
    kind = domain(column)
    if kind == "number" and (series.dtype.is_numeric() or series.dtype == pl.Boolean):
        floats = series.cast(pl.Float64)
        good = floats.is_in([0.0, 1.0]) if column.dtype == "bool" else floats.is_finite()
        if column.missing:
            good &= ~floats.is_in(sentinel_values("bool" if column.dtype == "bool" else "float64", column.format, column.missing))
        return floats if good.all() else floats.set(~good, None)
    if kind == "moment" and series.dtype in (pl.Date, pl.Datetime):
        moments = _epoch(series.cast(pl.Date) if column.dtype == "date" else series)
        marked = [moment(value) for value in sentinel_values(column.dtype, column.format, column.missing or ())]
        return moments.set(moments.is_in(marked), None) if marked else moments
    return _mapped(series, column, kind)


def _epoch(series: pl.Series) -> pl.Series:
    if getattr(series.dtype, "time_zone", None):
        series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    moments = series.cast(pl.Datetime("us")).to_physical()
    return moments.set((moments < _FIRST) | (moments > _LAST), None)


def _mapped(series: pl.Series, column: Column, kind: Domain) -> pl.Series:
    """Each distinct value goes once through the very function that reads JSON rows."""
    read = reader(column)
    if isinstance(series.dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
    if series.dtype.is_nested() or series.dtype == pl.Object:
        return pl.Series(column.name, [read(value) for value in series.to_list()], dtype=_POLARS[kind])
    if kind == "number" and series.dtype == pl.String and _reads_plainly(column):
        return _numbers(series, column)
    distinct = series.unique()
    if distinct.dtype == pl.String and column.dtype == "string" and not _is_mail(column):
        meaning = _texts(distinct, column)
    else:
        meaning = pl.Series([_nan_to_none(read(value)) for value in distinct.to_list()], dtype=_POLARS[kind])
    if distinct.dtype == meaning.dtype and distinct.equals(meaning, null_equal=True):
        return series
    return series.replace_strict(distinct, meaning, return_dtype=_POLARS[kind])


def _reads_plainly(column: Column) -> bool:
    """Whether plain digits with a decimal point mean what they say, whatever else is written among the column's numbers."""
    written = NumberFormat.of(column.format)
    return column.dtype != "bool" and written.decimal == "." and written.thousands != "."


def _numbers(series: pl.Series, column: Column) -> pl.Series:
    """Texts as numbers: plain ones all at once, the distinct others by `reader`."""
    plain = series.str.contains(_PLAIN).fill_null(value=False)
    values = canonical_series(series.set(~plain, None).cast(pl.Float64), column)
    odd = series.filter(~plain).unique()
    if odd.is_empty():
        return values
    read = reader(column)
    meaning = pl.Series([_nan_to_none(read(value)) for value in odd.to_list()], dtype=pl.Float64)
    others = series.set(plain, None).replace_strict(odd, meaning, default=None, return_dtype=pl.Float64)
    return values.zip_with(plain, others)


def _texts(values: pl.Series, column: Column) -> pl.Series:
    """What `reader` makes of texts, all at once."""
    texts = values.str.strip_chars(_BLANKS)
    return texts.set(texts.is_in(list(vocabulary.missing_texts("string", column.missing))), None)


def _nan_to_none(value: Value) -> Value:
    return None if isinstance(value, float) and value != value else value
