"""Reading uploaded Parquet: its types are kept, made plain, or refused.

Also how a stored table is read again when the user orders other types. Row counts and column counts in the footer are
checked before anything is read, and the data is streamed: a small file may declare a hundred million rows.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import conversion
from coreplex.engines.tabular.read.column_names import unique_names
from coreplex.engines.tabular.read.limits import Limits
from coreplex.engines.tabular.read.overrides import EXAMPLES, Overrides
from coreplex.engines.tabular.read.result import ReadTable
from coreplex.engines.tabular.read.value_labels import MOST, ValueLabels
from coreplex.engines.tabular.schema import SET_BY_USER, Column, ColumnType, TableSchema
from coreplex.engines.tabular.types import column_types, inference
from coreplex.engines.tabular.types.dtype_names import dtype_name, row_group_size
from coreplex.engines.tabular.types.numbers import CLOCK
from coreplex.engines.tabular.types.parse_rule import ParseRule
from coreplex.engines.tabular.types.value_parser import sentinel_values
from coreplex.errors.tree import BadInput, Invalid

_SAMPLE = 50_000
_TEXTS = (ColumnType.categorical, ColumnType.text, ColumnType.id)
_UNREADABLE = "The file cannot be read as Parquet. It may be damaged or cut off; write it again and upload the new file."


def read_parquet(source: Path, destination: Path, orders: Overrides, limits: Limits, previous: TableSchema | None) -> ReadTable:
    """Reads Parquet into plain Parquet. Raises BadInput for damaged files and odd types, Invalid for empty tables."""
    try:
        return _read(source, destination, orders, limits, previous)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise BadInput(_UNREADABLE) from error


def _read(source: Path, destination: Path, orders: Overrides, limits: Limits, previous: TableSchema | None) -> ReadTable:
    scan = conversion.flattened(pl.scan_parquet(source, glob=False))
    stored = scan.collect_schema()
    rows = scan.select(pl.len()).collect().item()
    _check_size(rows, len(stored), limits)
    names, findings = unique_names(list(stored), len(stored), limits)
    columns = [(old, new, dtype) for (old, dtype), new in zip(stored.items(), names, strict=True)]
    base = {column.name: column for column in previous} if previous else {}
    texts = {name for name, kind in orders.types.items() if kind in _TEXTS}
    table = scan.select(conversion.plain_type(*column, text=column[1] in texts) for column in columns)
    rules = _ordered_rules(table, orders, base)
    group_rows = row_group_size(table.head(1_000).collect())
    lost: dict[str, list[pl.Series]] = {name: [] for name in rules}
    table = table.with_columns(_retype(name, rule, base.get(name), lost[name]) for name, rule in rules.items())
    types = table.collect_schema()
    missing = {name: _missing(name, dtype == pl.String, orders, base) for name, dtype in types.items()}
    table = table.with_columns(_without(name, said, base.get(name)) for name, said in missing.items() if said)
    table.sink_parquet(destination, compression="snappy", row_group_size=group_rows, engine="streaming")
    schema = _schema(destination, list(stored), stored, names, orders.types, rules, base, rows, missing)
    findings += conversion.changes(scan, [one for one in columns if not (one[1] in texts and conversion.is_clock(one[2]))])
    findings += _losses(destination, lost, rules, orders)
    return ReadTable(schema, rows, destination.stat().st_size, "parquet", findings, destination)


def _check_size(rows: int, columns: int, limits: Limits) -> None:
    if not rows or not columns:
        raise Invalid("The table is empty. Upload a table with at least one column and one row.")
    if columns > limits.columns:
        raise Invalid(f"The table has {columns} columns; at most {limits.columns} can be used.")
    if rows > limits.rows or rows * columns > limits.cells:
        raise Invalid(f"The table has {rows:,} rows; at most {limits.rows:,} rows and {limits.cells:,} cells can be used.")


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


def _missing(name: str, text: bool, orders: Overrides, base: Mapping[str, Column]) -> tuple[str, ...] | None:
    """`Column.missing` of one column. A file that has nulls says so: no word of its texts means anything else."""
    usual = base[name].missing if name in base else () if text else None
    return orders.missing_of(name, "string" if text else "value", usual)


def _without(name: str, missing: tuple[str, ...], base: Column | None) -> pl.Expr:
    """The column without what means "missing" in it."""

    def without(values: pl.Series) -> pl.Series:
        if values.dtype == pl.String:
            return values.set(values.str.strip_chars().is_in(sorted(missing)), None)
        gone = sentinel_values(dtype_name(values.dtype), base.format if base else None, missing)
        return values.set(values.is_in(pl.Series(gone, dtype=values.dtype, strict=False)), None) if gone else values

    return pl.col(name).map_batches(without, is_elementwise=True)


def _ordered_rules(table: pl.LazyFrame, orders: Overrides, base: Mapping[str, Column]) -> dict[str, ParseRule]:
    """For the columns whose storage must change: the rule that reads their text."""
    schema = table.collect_schema()
    rules: dict[str, ParseRule] = {}
    for name, kind in orders.types.items():
        dtype = schema.get(name)
        if dtype is None or _stored_as(dtype, kind):
            continue
        labels = base[name].labels if name in base else {}
        texts = table.select(as_text(name, dtype, labels)).head(_SAMPLE).collect().to_series()
        texts = inference.distinct(texts, orders.texts(name))
        found = inference.infer(name, texts, inference.Conventions())
        rule = inference.forced(kind, found.rule, texts)
        rules[name] = replace(rule, missing=_missing(name, rule.kind == "string", orders, base))
    return rules


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


def _retype(name: str, rule: ParseRule, base: Column | None, lost: list[pl.Series]) -> pl.Expr:
    """The column read again by the rule; `lost` gets the texts that do not fit."""

    def read_again(values: pl.Series) -> pl.Series:
        text = values.to_frame(name).select(as_text(name, values.dtype, base.labels if base else {})).to_series()
        typed, left = rule.read(text)
        if left is not None:
            lost.append(left)
        return typed.alias(name)

    return pl.col(name).map_batches(read_again, return_dtype=rule.dtype, is_elementwise=True)


def _schema(
    destination: Path,
    written: list[str],
    stored: Mapping[str, pl.DataType],
    names: list[str],
    overrides: Mapping[str, ColumnType],
    rules: Mapping[str, ParseRule],
    base: Mapping[str, Column],
    rows: int,
    missing: Mapping[str, tuple[str, ...] | None],
) -> TableSchema:
    scan = pl.scan_parquet(destination)
    types = scan.collect_schema()
    categories = {new for old, new in zip(written, names, strict=True) if isinstance(stored[old], (pl.Categorical, pl.Enum))}
    clocks = {new for old, new in zip(written, names, strict=True) if conversion.is_clock(stored[old]) and types[new].is_float()}
    fresh = [name for name in names if name not in base and name not in categories | clocks]
    nulls = scan.null_count().collect(engine="streaming").row(0, named=True)
    decided = column_types.decide_types(
        destination,
        [name for name in fresh if types[name] == pl.String],
        [name for name in fresh if types[name].is_integer()],
        [name for name in fresh if types[name].is_float()],
        rows,
        nulls,
    )
    columns = []
    for old, name in zip(written, names, strict=True):
        column = base.get(name) or Column(name, _type_of(types[name]), dtype_name(types[name]))
        if name in clocks:
            column = replace(column, format=CLOCK.code)
        column = replace(column, nullable=nulls[name] > 0, missing=missing[name])
        if name in decided:
            found = decided[name]
            column = replace(column, type=found.type, reason=found.reason, format=found.form)
        if name in rules:
            labels = _labels(destination, name, rules[name], base.get(name))
            column = replace(column, dtype=dtype_name(types[name]), format=rules[name].format, labels=labels)
        if name in overrides:
            column = column.with_type(overrides[name], SET_BY_USER)
        columns.append(replace(column, original_name=old if old != name else column.original_name))
    return TableSchema(tuple(columns))


def _type_of(dtype: pl.DataType) -> ColumnType:
    if dtype == pl.Boolean:
        return ColumnType.boolean
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return ColumnType.datetime
    if dtype.is_integer():
        return ColumnType.integer
    return ColumnType.float if dtype.is_float() else ColumnType.categorical


def _labels(destination: Path, name: str, rule: ParseRule, base: Column | None) -> dict[str, str]:
    """Old spellings that still mean something under the new type."""
    if rule.kind == "string" or base is None:
        return {}
    spellings = ValueLabels([rule])
    spellings.update(0, pl.Series(list(base.labels.values()), dtype=pl.String))
    return spellings.labels(0) if len(base.labels) <= MOST else {}


def _losses(
    destination: Path, lost: Mapping[str, list[pl.Series]], rules: Mapping[str, ParseRule], orders: Overrides
) -> list[Finding]:
    """Cells that did not fit a type the user ordered."""
    kept = pl.scan_parquet(destination, glob=False).select(pl.col(name).count() for name in lost if lost[name])
    counts = kept.collect(engine="streaming").to_dicts()[0] if any(lost.values()) else {}
    return [
        orders.loss_finding(
            name,
            rules[name].kind,
            sum(left.len() for left in lost[name]),
            count,
            pl.concat(lost[name]).unique(maintain_order=True).head(EXAMPLES).str.head(200).to_list(),
        )
        for name, count in counts.items()
    ]
