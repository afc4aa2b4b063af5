"""Reads uploaded Parquet into plain Parquet: its types are kept, made plain, or refused.

Also how a stored table is read again when the user sets other types. Row counts and column counts in the footer are
checked before anything is read, and the data is streamed: a small file may declare a hundred million rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import conversion
from coreplex.engines.tabular.read.block_observers import MOST_LABELS, ValueLabels
from coreplex.engines.tabular.read.headers import unique_names
from coreplex.engines.tabular.read.interface import EXAMPLES, Limits, Overrides, ReadTable, row_group_size, too_many_columns
from coreplex.engines.tabular.schema import SET_BY_USER, Column, ColumnType, TableSchema
from coreplex.engines.tabular.types import column_types, inference
from coreplex.engines.tabular.types.column_types import Decided
from coreplex.engines.tabular.types.numbers import CLOCK
from coreplex.engines.tabular.types.parse_rule import ParseRule, dtype_name
from coreplex.engines.tabular.types.value_parser import sentinel_values
from coreplex.errors.tree import BadInput, Invalid, Message

_SAMPLE = 50_000
_TEXTS = (ColumnType.categorical, ColumnType.text, ColumnType.id)
UNREADABLE = Message(
    "parquet_unreadable",
    "The file cannot be read as Parquet. It may be damaged or cut off, or two of its columns have one name; write it again and "
    "upload the new file.",
)


def read_parquet(
    source: Path, destination: Path, overrides: Overrides, limits: Limits, previous: TableSchema | None
) -> ReadTable:
    """Reads Parquet at `source` into plain Parquet at `destination`; `previous`: the schema of a stored table read
    again.

    Raises BadInput for damaged files and odd types, Invalid for empty and too large tables.
    """
    try:
        return _read(source, destination, overrides, limits, previous)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise BadInput(UNREADABLE) from error


@dataclass(frozen=True)
class _Source:
    """One column on its way from the file to the stored table."""

    written: str
    """Its name in the file."""
    name: str
    dtype: pl.DataType
    """In the file."""
    previous: Column | None
    """Of the stored table that is read again."""
    wanted: ColumnType | None
    """The type that a person set."""
    rule: ParseRule | None = None
    """Reads the column's text, where its storage must change for that type."""
    missing: tuple[str, ...] | None = None
    """`Column.missing`"""

    @property
    def labels(self) -> Mapping[str, str]:
        return self.previous.labels if self.previous else {}

    @property
    def as_text(self) -> bool:
        return self.wanted in _TEXTS

    @property
    def decided(self) -> bool:
        """True where the file or the stored table says what the column means: it is not judged by its values."""
        return self.previous is not None or isinstance(self.dtype, (pl.Categorical, pl.Enum))


def _read(source: Path, destination: Path, overrides: Overrides, limits: Limits, previous: TableSchema | None) -> ReadTable:
    scan = conversion.flattened(pl.scan_parquet(source, glob=False).drop(overrides.left_out, strict=False))
    stored = scan.collect_schema()
    rows = scan.select(pl.len()).collect().item()
    check_size(rows, len(stored), limits)
    names, findings = unique_names(list(stored), len(stored), limits)
    before = {column.name: column for column in previous or ()}
    columns = [
        _Source(old, new, dtype, before.get(new), overrides.types.get(new))
        for (old, dtype), new in zip(stored.items(), names, strict=True)
    ]
    table = scan.select(conversion.plain_type(one.written, one.name, one.dtype, text=one.as_text) for one in columns)
    plain = table.collect_schema()
    columns = [replace(one, rule=_new_rule(one, table, plain[one.name], overrides)) for one in columns]
    group_rows = row_group_size(table.head(1_000).collect())
    retyped = {one.name: one.rule for one in columns if one.rule}
    lost: dict[str, list[pl.Series]] = {name: [] for name in overrides.types if name in retyped}
    table = table.with_columns(_retype(one, one.rule, lost[one.name]) for one in columns if one.rule)
    types = table.collect_schema()
    columns = [replace(one, missing=_missing(one, types[one.name] == pl.String, overrides)) for one in columns]
    table = table.with_columns(_without(one, one.missing) for one in columns if one.missing)
    table.sink_parquet(destination, compression="snappy", row_group_size=group_rows, engine="streaming")
    schema = _schema(columns, destination, rows)
    kept = [(one.written, one.name, one.dtype) for one in columns if not (one.as_text and conversion.is_clock(one.dtype))]
    findings += [*conversion.changes(scan, kept), *_losses(destination, lost, retyped, overrides)]
    return ReadTable(schema, rows, "parquet", findings, destination)


def check_size(rows: int, columns: int, limits: Limits) -> None:
    if not rows or not columns:
        raise Invalid(Message("table_empty", "The table is empty. Upload a table with at least one column and one row."))
    if columns > limits.columns:
        raise Invalid(too_many_columns(columns, limits.columns))
    if rows > limits.rows or rows * columns > limits.cells:
        raise Invalid(
            Message(
                "too_many_rows_of_table",
                "The table has {rows:,} rows; at most {most:,} rows and {cells:,} cells can be used.",
                rows=rows,
                most=limits.rows,
                cells=limits.cells,
            )
        )


def as_text(name: str, dtype: pl.DataType, labels: Mapping[str, str]) -> pl.Expr:
    """The column as its file spelled it."""
    column = pl.col(name)
    if dtype == pl.Boolean:
        column = pl.when(column).then(pl.lit("true")).when(~column).then(pl.lit("false"))
    elif isinstance(dtype, pl.Datetime):
        column = column.dt.to_string("iso:strict")
    else:
        column = column.cast(pl.String)
    return (column.replace(dict(labels)) if labels else column).alias(name)


def _missing(one: _Source, text: bool, overrides: Overrides) -> tuple[str, ...] | None:
    """`Column.missing` of one column. A file that has nulls says so: no word of its texts means anything else."""
    usual = one.previous.missing if one.previous else () if text else None
    return overrides.missing_of(one.name, "string" if text else "value", usual)


def _without(one: _Source, missing: tuple[str, ...]) -> pl.Expr:
    """The column without what means "missing" in it."""
    written = one.previous.format if one.previous else None

    def without(values: pl.Series) -> pl.Series:
        if values.dtype == pl.String:
            return values.set(values.str.strip_chars().is_in(sorted(missing)), None)
        gone = sentinel_values(dtype_name(values.dtype), written, missing)
        return values.set(values.is_in(pl.Series(gone, dtype=values.dtype, strict=False)), None) if gone else values

    return pl.col(one.name).map_batches(without, is_elementwise=True)


def _new_rule(one: _Source, table: pl.LazyFrame, dtype: pl.DataType, overrides: Overrides) -> ParseRule | None:
    """The rule that reads the column's text, where its storage must change."""
    if one.wanted is None or _stored_as(dtype, one.wanted):
        return None
    texts = table.select(as_text(one.name, dtype, one.labels)).head(_SAMPLE).collect().to_series()
    texts = inference.distinct(texts, overrides.texts(one.name))
    found = inference.infer(one.name, texts, inference.Conventions())
    rule = inference.forced(one.wanted, found.rule, texts)
    return replace(rule, missing=_missing(one, rule.kind == "string", overrides))


def _stored_as(dtype: pl.DataType, kind: ColumnType) -> bool:
    """True if the column's storage already suits the type."""
    if kind is ColumnType.id:
        return dtype.is_integer() or dtype == pl.String
    if kind in (ColumnType.categorical, ColumnType.text):
        return dtype == pl.String
    suits = {
        ColumnType.integer: dtype.is_integer(),
        ColumnType.float: dtype.is_float(),
        ColumnType.boolean: dtype == pl.Boolean,
        ColumnType.datetime: isinstance(dtype, (pl.Date, pl.Datetime)),
    }
    return suits[kind]


def _retype(one: _Source, rule: ParseRule, lost: list[pl.Series]) -> pl.Expr:
    """The column read again by the rule; `lost` gets the texts that do not fit."""

    def read_again(values: pl.Series) -> pl.Series:
        text = values.to_frame(one.name).select(as_text(one.name, values.dtype, one.labels)).to_series()
        typed, left = rule.read(text)
        if left is not None:
            lost.append(left)
        return typed.alias(one.name)

    return pl.col(one.name).map_batches(read_again, return_dtype=rule.dtype, is_elementwise=True)


def _schema(sources: Sequence[_Source], destination: Path, rows: int) -> TableSchema:
    """The schema of the stored table: what was decided before is kept, the rest is judged by its values."""
    scan = pl.scan_parquet(destination)
    types = scan.collect_schema()
    nulls = scan.null_count().collect(engine="streaming").row(0, named=True)
    fresh = {one.name: types[one.name] for one in sources if not (one.decided or _is_clock(one, types[one.name]))}
    decided = column_types.decide_types(
        destination,
        [name for name, dtype in fresh.items() if dtype == pl.String],
        [name for name, dtype in fresh.items() if dtype.is_integer()],
        [name for name, dtype in fresh.items() if dtype.is_float()],
        rows,
        nulls,
    )
    return TableSchema(tuple(_column(one, types[one.name], nulls[one.name] > 0, decided.get(one.name)) for one in sources))


def _column(one: _Source, dtype: pl.DataType, nullable: bool, decided: Decided | None) -> Column:
    column = one.previous or Column(one.name, type_of(dtype), dtype_name(dtype))
    if _is_clock(one, dtype):
        column = replace(column, format=CLOCK.code)
    if decided:
        column = replace(column, type=decided.type, reason=decided.reason, format=decided.form)
    if one.rule:
        column = replace(column, dtype=dtype_name(dtype), format=one.rule.format, labels=_labels(one.rule, one.previous))
    if one.wanted:
        column = column.with_type(one.wanted, SET_BY_USER)
    name = one.written if one.written != one.name else column.original_name
    return replace(column, nullable=nullable, missing=one.missing, original_name=name)


def _is_clock(one: _Source, dtype: pl.DataType) -> bool:
    """True for durations and times of day, stored as seconds."""
    return conversion.is_clock(one.dtype) and dtype.is_float()


def type_of(dtype: pl.DataType) -> ColumnType:
    if dtype == pl.Boolean:
        return ColumnType.boolean
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return ColumnType.datetime
    if dtype.is_integer():
        return ColumnType.integer
    return ColumnType.float if dtype.is_float() else ColumnType.categorical


def _labels(rule: ParseRule, previous: Column | None) -> dict[str, str]:
    """Old spellings that still mean something under the new type."""
    if rule.kind == "string" or previous is None:
        return {}
    spellings = ValueLabels([rule])
    spellings.update(0, pl.Series(list(previous.labels.values()), dtype=pl.String))
    return spellings.labels(0) if len(previous.labels) <= MOST_LABELS else {}


def _losses(
    destination: Path, lost: Mapping[str, list[pl.Series]], retyped: Mapping[str, ParseRule], overrides: Overrides
) -> list[Finding]:
    """Cells that did not fit a type the user set."""
    kept = pl.scan_parquet(destination, glob=False).select(pl.col(name).count() for name in lost if lost[name])
    counts = kept.collect(engine="streaming").to_dicts()[0] if any(lost.values()) else {}
    return [
        overrides.loss_finding(
            name,
            retyped[name].kind,
            sum(left.len() for left in lost[name]),
            count,
            pl.concat(lost[name]).unique(maintain_order=True).head(EXAMPLES).str.head(200).to_list(),
        )
        for name, count in counts.items()
    ]
