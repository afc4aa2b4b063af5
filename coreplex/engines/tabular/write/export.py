"""Writes a stored table as CSV, Parquet or XLSX for people: spelled as uploaded, formulas escaped, streamed."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import polars as pl

from coreplex.engines.tabular.schema import Column, TableSchema
from coreplex.engines.tabular.write.formula_escape import escaped, escaped_column
from coreplex.errors.tree import Invalid, Message

ExportFormat = Literal["csv", "parquet", "xlsx"]
SHEET_ROWS = 1_048_575
SHEET_COLUMNS = 16_384
_CELL_LETTERS = 32_767
_BATCH = 20_000
_EXACT_INTEGER = 2**53


def export(table: Path, schema: TableSchema, format: ExportFormat, destination: Path) -> None:
    """Writes `table` to `destination`. Raises Invalid for an unknown format and for tables too large for a sheet."""
    if format == "parquet":
        _scan(table, schema).sink_parquet(destination, compression="zstd", engine="streaming")
    elif format == "csv":
        written = _scan(table, schema).select(_as_written(column) for column in schema)
        names = {column.name: escaped(column.name) for column in schema}
        written.rename(names).sink_csv(destination, engine="streaming", batch_size=8192)
    elif format == "xlsx":
        _sheet(table, schema, destination)
    else:
        raise Invalid.field(Message("unknown_format", "The format must be csv, parquet or xlsx."), "format")


def _scan(table: Path, schema: TableSchema) -> pl.LazyFrame:
    return pl.scan_parquet(table, glob=False).select(schema.names)


def _as_written(column: Column) -> pl.Expr:
    """Text is made harmless, yes and no and dates get their old spelling, numbers stay numbers."""
    values = pl.col(column.name)
    if column.dtype == "string":
        return escaped_column(column.name)
    if column.dtype == "bool":
        labels = {key: escaped(label) for key, label in column.labels.items()}
        yes, no = (pl.lit(labels.get(key, key)) for key in ("true", "false"))
        return pl.when(values).then(yes).when(~values).then(no).alias(column.name)
    if column.dtype in ("date", "datetime"):
        return _moment(column)
    return values


def _moment(column: Column) -> pl.Expr:
    """In the file's own pattern, unless it lost an offset; ISO otherwise."""
    values = pl.col(column.name)
    if column.format and "%#z" not in column.format:
        return values.dt.strftime(column.format)
    return values.dt.to_string("iso:strict" if column.dtype == "datetime" else "%Y-%m-%d")


def _sheet(table: Path, schema: TableSchema, destination: Path) -> None:
    from xlsxwriter import Workbook

    scan = _scan(table, schema)
    rows: int = scan.select(pl.len()).collect().item()
    if rows > SHEET_ROWS or len(schema) > SHEET_COLUMNS:
        raise Invalid.field(
            (
                Message(
                    "table_too_large_for_sheet",
                    "A sheet holds {sheet_rows:,} rows and {sheet_columns:,} columns; this table has {rows:,} and "
                    "{columns:,}. Take csv or parquet.",
                    sheet_rows=SHEET_ROWS,
                    sheet_columns=SHEET_COLUMNS,
                    rows=rows,
                    columns=len(schema),
                )
            ),
            "format",
        )
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(str(destination), {**options, "in_memory": False, "tmpdir": str(destination.parent)}) as book:
        sheet = book.add_worksheet("data")
        for position, name in enumerate(schema.names):
            sheet.write_string(0, position, escaped(name)[:_CELL_LETTERS])
        for number, row in enumerate(_rows(scan, schema), start=1):
            for position, value in enumerate(row):
                _write(sheet, number, position, value)


def _rows(scan: pl.LazyFrame, schema: TableSchema) -> Iterator[tuple[Any, ...]]:
    written = scan.select(_as_written(column) for column in schema)
    for batch in written.collect_batches(chunk_size=_BATCH, maintain_order=True, engine="streaming"):
        yield from batch.iter_rows()


class _Exact(float):
    """Written with all its digits: xlsxwriter's own 16 would change the last one."""

    def __format__(self, _: str) -> str:
        return repr(float(self))


def _write(sheet: Any, row: int, position: int, value: Any) -> None:
    """Numbers as numbers, unless a sheet cannot hold them exactly; everything else as text, which is harmless by now."""
    if value is None:
        return
    if isinstance(value, float) and math.isfinite(value):
        sheet.write_number(row, position, _Exact(value))
    elif isinstance(value, int) and abs(value) <= _EXACT_INTEGER:
        sheet.write_number(row, position, value)
    else:
        text = value if isinstance(value, str) else escaped(str(value))
        sheet.write_string(row, position, text[:_CELL_LETTERS])
