"""Converts types that are not stored as they come (most of them of Parquet) into plainer ones, and reports it.

A time with a zone is an instant, and instants are kept in UTC: they stay comparable across zones and in the hour
that clocks are set back. What is lost is the local clock, so a column that should tell noon from midnight is better
uploaded without a zone.
"""

from collections.abc import Iterable, Iterator, Mapping

import polars as pl
from polars import selectors

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.headers import is_pattern
from coreplex.engines.tabular.types.dates import ENDS
from coreplex.errors.tree import BadInput, Message

_SURE_DIGITS = 15
"""As many decimal digits as every float keeps."""


def flattened(table: pl.LazyFrame) -> pl.LazyFrame:
    """The table with a column for each field of its structs, `address.city`, one level deep."""
    stored = table.collect_schema()
    if not any(isinstance(dtype, pl.Struct) for dtype in stored.values()):
        return table
    return table.select(part for name, dtype in stored.items() for part in _fields(name, dtype))


def _fields(name: str, dtype: pl.DataType) -> list[pl.Expr]:
    if not isinstance(dtype, pl.Struct) or not dtype.fields:
        return [exactly(name)]
    # By number: the name of a field may be a pattern, too.
    numbered = exactly(name).struct.rename_fields([str(number) for number in range(len(dtype.fields))])
    return [numbered.struct.field(str(number)).alias(f"{name}.{field.name}") for number, field in enumerate(dtype.fields)]


def exactly(name: str) -> pl.Expr:
    """The column of a file that has this very name, also where Polars would read a pattern."""
    return selectors.by_name(name).as_expr() if is_pattern(name) else pl.col(name)


def plain_type(old: str, new: str, dtype: pl.DataType, *, text: bool = False) -> pl.Expr:
    """The column in a plain type: no NaN beside null, times as UTC microseconds, decimals as floats, lists as JSON
    text. Days and moments outside the years 1 to 9999 are null.

    Durations and times of day are numbers of seconds; times are texts where `text` is ordered.
    """
    column = exactly(old).alias(new)
    if isinstance(dtype, pl.Float16):
        return column.cast(pl.Float32).fill_nan(None)
    if isinstance(dtype, (pl.Float32, pl.Float64)):
        return column.fill_nan(None)
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return _moment(old, dtype).alias(new)
    if isinstance(dtype, (pl.Decimal, pl.Int128)):
        return column.cast(pl.Float64)
    if isinstance(dtype, pl.Duration):
        return column.dt.total_microseconds().cast(pl.Float64) / 1e6
    if isinstance(dtype, pl.Time) and not text:
        return (column.cast(pl.Int64).cast(pl.Float64) / 1e9).round(6)
    if isinstance(dtype, pl.Binary):
        return column.map_batches(_decoded, return_dtype=pl.String(), is_elementwise=True)
    if isinstance(dtype, _NESTED):
        # Only structs can be encoded, so the value is the one field of one: {"a":…}
        encoded = pl.struct(exactly(old).alias("a")).struct.json_encode().str.slice(5).str.head(-1)
        return pl.when(exactly(old).is_not_null()).then(encoded).alias(new)
    if isinstance(dtype, pl.Time):
        return column.dt.to_string("%H:%M:%S%.f")
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        return column.cast(pl.String).str.strip_chars()
    if dtype.is_integer() or dtype == pl.Boolean:
        return column
    raise BadInput(
        Message(
            "column_of_structures",
            "Column {column!r} holds {kind}, which is no single value. Split it into plain columns and upload again.",
            column=old,
            kind=str(dtype),
        )
    )


_NESTED = (pl.List, pl.Array, pl.Struct)


def _moment(name: str, dtype: pl.DataType) -> pl.Expr:
    """Days, or UTC microseconds without a zone; null outside the years 1 to 9999."""
    within = pl.when(_is_named(name, dtype)).then(_in_utc_clock(name, dtype))
    return within.cast(pl.Datetime("us")) if isinstance(dtype, pl.Datetime) else within


def _is_named(name: str, dtype: pl.DataType) -> pl.Expr:
    """Whether a day or moment lies in the years 1 to 9999."""
    first, last = ENDS[dtype.base_type()]
    plain = dtype
    if isinstance(dtype, pl.Datetime):
        if dtype.time_unit == "ns":  # from 1677 to 2262
            return pl.lit(value=True)
        plain = pl.Datetime(dtype.time_unit)
    return _in_utc_clock(name, dtype).is_between(pl.lit(first, dtype=plain), pl.lit(last, dtype=plain))


def _in_utc_clock(name: str, dtype: pl.DataType) -> pl.Expr:
    zone = isinstance(dtype, pl.Datetime) and dtype.time_zone
    return exactly(name).dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else exactly(name)


def is_clock(dtype: pl.DataType) -> bool:
    """True for types that are kept as a number of seconds: durations and times of day."""
    return isinstance(dtype, (pl.Time, pl.Duration))


def _decoded(values: pl.Series) -> pl.Series:
    """Bytes as the text they are (older writers do not mark it), or as hexadecimal digits."""
    try:
        return values.cast(pl.String).str.strip_chars()
    except pl.exceptions.ComputeError:
        return pl.Series(values.name, [None if value is None else _text(value) for value in values], dtype=pl.String)


def _text(value: bytes) -> str:
    try:
        return value.decode().strip()
    except UnicodeDecodeError:
        return value.hex()


def changes(table: pl.LazyFrame, columns: Iterable[tuple[str, str, pl.DataType]]) -> list[Finding]:
    """A finding for each column (old name, new name, type) whose values are not kept just as they were."""
    columns = list(columns)
    findings = [_finding(new, str(dtype), said) for _, new, dtype in columns if (said := _change_of(new, dtype))]
    nested = [new for _, new, dtype in columns if isinstance(dtype, _NESTED)]
    more = (*_rounded(table, columns), *_nameless(table, columns), *_trimmed(table, columns))
    return [*findings, *([json_text(nested)] if nested else []), *more]


def json_text(names: list[str]) -> Finding:
    """The finding about columns whose values are lists, or objects in objects."""
    shown = ", ".join(map(repr, names[:5]))
    message = f"Lists, and objects in objects, were kept as JSON text in {len(names)} of the columns: {shown}."
    return Finding("json_text", "low", message, evidence={"columns": names[:100]})


def trimmed_finding(cells: Mapping[str, int], example: str | None = None) -> Finding:
    """The finding of a table; `cells`: trimmed cells by column name."""
    columns = ", ".join(map(repr, list(cells)[:3])) + ("…" if len(cells) > 3 else "")
    shown = f", such as {example[:40]!r}" if example else ""
    message = f"Blanks before or after the texts of {columns}{shown} were left out: they are no part of a category or class."
    return Finding(
        "trimmed_blanks",
        "low",
        message,
        evidence={"cells": dict(list(cells.items())[:100])},
        affected_rows=max(cells.values()),
    )


def offset_lost(name: str, pattern: str) -> Finding:
    """The finding about a column of text times with offsets from UTC, read by this pattern."""
    return _finding(name, pattern, _in_utc(name, "have offsets from UTC"))


def in_seconds(name: str) -> Finding:
    """The finding about a column of durations or times of day, kept as seconds."""
    return _finding(name, "time", _seconds(name))


def _seconds(name: str) -> str:
    return (
        f"The durations or times of day of {name!r} were kept as numbers of seconds. If they are neither, set the type to "
        "categorical."
    )


def _in_utc(name: str, are: str) -> str:
    return (
        f"The times of {name!r} {are} and were kept in UTC, so their hours and days read differently. Upload them without a "
        "time zone to keep the local clock."
    )


def _change_of(name: str, dtype: pl.DataType) -> str | None:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone not in (None, "UTC"):
        return _in_utc(name, f"are on the clock of {dtype.time_zone}")
    if is_clock(dtype):
        return _seconds(name)
    return None


def _finding(name: str, written: str, message: str, cells: int = 0) -> Finding:
    return Finding(
        "converted_type", "medium" if cells else "low", message, evidence={"type": written}, column=name, affected_rows=cells
    )


def _rounded(table: pl.LazyFrame, columns: list[tuple[str, str, pl.DataType]]) -> Iterator[Finding]:
    """Numbers with more digits than a float holds. Most decimals are prices, and lose nothing."""
    wide = [(old, new, dtype) for old, new, dtype in columns if isinstance(dtype, (pl.Decimal, pl.Int128))]
    if not wide:
        return
    counts = table.select(_loses(old, dtype).sum().alias(old) for old, _, dtype in wide).collect(engine="streaming").row(0)
    for (_, new, dtype), cells in zip(wide, counts, strict=True):
        if cells:
            message = (
                f"Numbers of {new!r} with more than {_SURE_DIGITS} digits were rounded to what a float holds: {cells:,}. "
                "Upload the column as text if the digits are a key."
            )
            yield _finding(new, str(dtype), message, cells)


def _nameless(table: pl.LazyFrame, columns: list[tuple[str, str, pl.DataType]]) -> Iterator[Finding]:
    """Days and moments outside the years 1 to 9999: most are mistakes, such as milliseconds taken for seconds."""
    moments = [(old, new, dtype) for old, new, dtype in columns if isinstance(dtype, (pl.Date, pl.Datetime))]
    if not moments:
        return
    counts = table.select((~_is_named(old, dtype)).sum().alias(old) for old, _, dtype in moments).collect(engine="streaming")
    for (_, new, dtype), cells in zip(moments, counts.row(0), strict=True):
        if cells:
            message = f"Times of {new!r} outside the years 1 to 9999 were read as missing: {cells:,}."
            yield _finding(new, str(dtype), message, cells)


def _trimmed(table: pl.LazyFrame, columns: list[tuple[str, str, pl.DataType]]) -> list[Finding]:
    texts = {new: exactly(old).cast(pl.String) for old, new, dtype in columns if isinstance(dtype, (pl.String, pl.Categorical))}
    asked = [(text.str.strip_chars() != text).sum().alias(name) for name, text in texts.items()]
    counts = table.select(asked).collect(engine="streaming").row(0, named=True) if asked else {}
    cells = {name: count for name, count in counts.items() if count}
    return [trimmed_finding(cells)] if cells else []


def _loses(name: str, dtype: pl.DataType) -> pl.Expr:
    column = exactly(name)
    digits = column.cast(pl.String).str.replace_all("[-.]", "").str.strip_chars("0").str.len_chars()
    return (digits > _SURE_DIGITS) & column.cast(pl.Float64).cast(dtype, strict=False).ne_missing(column)
