"""Reads an uploaded table into the typed Parquet the server keeps: delimited text, JSON, Parquet, Excel, packed or not.

The one entry is `read_table`. It goes by the bytes of the file and then by its name, refuses what it cannot read
with a sentence that says what to do, and reports as findings whatever it had to decide. It streams: memory does not
grow with the file.
"""

import csv
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import delimited, parquet, workbook
from coreplex.engines.tabular.read.delimited import DelimitedTable
from coreplex.engines.tabular.read.dialect import Dialect, dialect_of_rows, holds_table, holds_values
from coreplex.engines.tabular.read.file_formats import CALLED, FileFormat, expected
from coreplex.engines.tabular.read.headers import renamed_finding
from coreplex.engines.tabular.read.interface import Limits, Overrides, ReadTable, row_group_size, unknown_column
from coreplex.engines.tabular.read.intermediate_csv import IntermediateCsv
from coreplex.engines.tabular.read.json_table import JsonTable
from coreplex.engines.tabular.read.unpacking import is_of_disk, unpack
from coreplex.engines.tabular.read.workbook import Sheet, Workbook
from coreplex.engines.tabular.read.worksheet import Worksheet
from coreplex.engines.tabular.schema import SET_BY_USER, Column, ColumnType, TableSchema
from coreplex.engines.tabular.types import column_types
from coreplex.engines.tabular.types.parse_rule import dtype_name
from coreplex.errors.tree import BadInput, Invalid, Message

_HEAD_LINES = 500


def read_table(
    source: Path,
    filename: str,
    destination: Path,
    *,
    overrides: Mapping[str, ColumnType] | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    everywhere: Sequence[str] = (),
    force: bool = False,
    left_out: Sequence[str] = (),
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    previous: TableSchema | None = None,
    sheet: str | None = None,
    scratch: Path | None = None,
) -> ReadTable:
    """Reads `source` (uploaded as `filename`) and writes typed Parquet to `destination`, rows in the order of the file.

    `overrides` sets the type of named columns, `missing` the texts and values that are missing in them
    (`vocabulary.missing_texts`), `everywhere` those of every column. A type that most of a column does not fit is
    refused unless `force`. `previous` is the schema of a stored table that is read again with other types: its
    spellings and formats are kept. `sheet` names one of a workbook, or is its number from 1; without it the first that
    holds a table is read. `left_out` are columns of Parquet that stay behind. `scratch` is a folder for what is unpacked.

    Raises BadInput (cannot be understood; names the line where it can), TooLarge (unpacks to too much) and Invalid (no
    rows, too large, a sheet or a column that is not there, a column that would be lost).
    """
    chosen = Overrides(
        dict(overrides or {}),
        {name: tuple(said) for name, said in (missing or {}).items()},
        tuple(everywhere),
        force,
        tuple(left_out),
    )
    with ExitStack() as stack:
        stack.enter_context(_longest_csv_field(limits.line_bytes))
        if scratch is None:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=destination.parent)))
        table = unpack(source, filename, scratch, limits)
        if sheet is not None and table.format != "xlsx":
            raise Invalid.field(
                Message("sheet_of_no_book", "Only an Excel workbook has sheets, and this file is none. Leave `sheet` out."),
                "sheet",
            )
        if table.format == "parquet":
            reading = parquet.read_parquet(table.path, destination, chosen, limits, previous)
        elif table.format == "json":
            reading = _read_json(table.path, table.filename, destination, chosen, limits, scratch)
        elif table.format == "xlsx":
            reading = _read_workbook(table.path, destination, chosen, limits, scratch, sheet)
        else:
            reading = _read_delimited(table.path, destination, chosen, limits)
    for name in (*chosen.types, *chosen.missing):
        if reading.schema.get(name) is None:
            raise Invalid.field(unknown_column(name, reading.schema.names), "overrides", name, "name")
    findings = [*table.findings, *_about_name(filename, table.filename, table.format, bool(table.packed)), *reading.findings]
    return replace(reading, format=".".join((reading.format, *reversed(table.packed))), findings=findings)


def _about_name(filename: str, inner: str, found: FileFormat, packed: bool) -> list[Finding]:
    """A word about a name that promised something else."""
    promised = expected(inner)
    if promised == found or (promised is None and found == "text" and "." not in inner):
        return []
    name = filename if not packed else inner
    message = f"The file is called {name[-80:]!r}, but its content is {CALLED[found]}; it was read as that."
    return [Finding("read_by_content", "low", message, evidence={"format": found})]


def _read_json(source: Path, filename: str, destination: Path, overrides: Overrides, limits: Limits, scratch: Path) -> ReadTable:
    records = JsonTable(source, filename, scratch, limits)
    given = Dialect(",", '"', len(records.names), tuple(records.names), 0, rows_only=True)
    reading = _read_delimited(records.path, destination, overrides, limits, given)
    return replace(reading, format=records.format, findings=[*records.findings, *reading.findings])


def _read_workbook(
    source: Path, destination: Path, overrides: Overrides, limits: Limits, scratch: Path, wanted: str | None
) -> ReadTable:
    with workbook.opened(source, limits) as book:
        order = [book.choose(wanted)] if wanted is not None else book.sheets
        read = [partial(_read_sheet, book, sheet, scratch / f"sheet{at}.csv", limits) for at, sheet in enumerate(order)]
        shown, hidden = ([one for sheet, one in zip(order, read, strict=True) if sheet.hidden is off] for off in (False, True))
        broken: list[Finding] = []
        cells = _first_table(shown, broken) or _first_table(hidden, broken)
    if cells is None:
        raise Invalid(_empty_sheets(order, wanted))
    table, sheet = cells.table, cells.sheet
    reading = _read_delimited(table.path, destination, overrides, limits, dialect_of_rows(_head(table.path)))
    findings = [*_about_sheets(book, sheet, wanted), *broken, *cells.findings(), *reading.findings]
    return replace(reading, format="xlsx", sheet=sheet.name, findings=findings)


def _read_sheet(book: Workbook, sheet: Sheet, path: Path, limits: Limits) -> Worksheet:
    cells = Worksheet(book, sheet, IntermediateCsv(path, limits))
    cells.read()
    return cells


def _first_table(sheets: Iterable[Callable[[], Worksheet]], broken: list[Finding]) -> Worksheet | None:
    """The first sheet that holds a table; where none does for sure, the first that holds anything. Reads no more than
    needed.

    A sheet that cannot be read is refused, unless an earlier one holds something: then `broken` says so.
    """
    first = None
    for read in sheets:
        try:
            cells = read()
        except (*workbook.BROKEN, BadInput) as error:
            if first is None or is_of_disk(error):
                raise
            message = "A later sheet of the workbook is damaged and was passed over. If it holds the table, save the book again."
            broken.append(Finding("damaged_sheet", "medium", message))
            break
        head = _head(cells.table.path) if cells.table.rows else ""
        if not holds_values(head):
            continue
        if cells.table.rows > _COVER_ROWS or holds_table(head):
            return cells
        first = first or cells
    return first


_COVER_ROWS = 40
"""Longer sheets are no cover page."""


def _empty_sheets(sheets: list[Sheet], wanted: str | None) -> Message:
    if wanted is not None:
        return Message("sheet_empty", "The sheet {sheet!r} is empty. Name one that holds a table.", sheet=sheets[0].name)
    return Message(
        "workbook_empty",
        "The workbook has no sheet with a value in it. Upload one with a line of names and at least one row.",
    )


def _about_sheets(book: Workbook, read: Sheet, wanted: str | None) -> list[Finding]:
    others = [sheet.name for sheet in book.sheets if sheet is not read]
    if wanted is not None or not others:
        return []
    shown = ", ".join(map(repr, others[:10])) + ("…" if len(others) > 10 else "")
    message = f"Of the workbook, the sheet {read.name!r} was read. To read another, upload again and name it as `sheet`: {shown}."
    return [Finding("sheet_chosen", "low", message, evidence={"sheet": read.name, "others": others[:100]})]


def _head(path: Path) -> str:
    with path.open(encoding="utf-8", newline="") as file:
        return "".join(islice(file, _HEAD_LINES))


def _read_delimited(
    source: Path, destination: Path, overrides: Overrides, limits: Limits, given: Dialect | None = None
) -> ReadTable:
    stored = delimited.read_delimited(source, destination, overrides, limits, given)
    typed = dict(zip(stored.names, stored.rules, strict=True))
    strings = [name for name, rule in typed.items() if rule.is_text]
    # What has a unit was measured; it counts no rows.
    bare = {name: rule.kind for name, rule in typed.items() if not rule.unit}
    integers, floats = ([name for name, found in bare.items() if found == kind] for kind in ("integer", "float"))
    decided = column_types.decide_types(
        destination, strings, integers, floats, stored.rows, dict(zip(stored.names, stored.nulls, strict=True))
    )
    columns = tuple(
        Column(
            name=name,
            type=overrides.types.get(name) or (decided[name].type if name in decided else ColumnType(rule.kind)),
            dtype=dtype_name(rule.dtype),
            nullable=stored.nulls[index] > 0,
            labels=stored.spellings.labels(index),
            format=decided[name].form if rule.is_text else rule.format,
            reason=SET_BY_USER if name in overrides.types else decided[name].reason if name in decided else None,
            original_name=stored.written[index] if stored.written[index] != name else None,
            missing=rule.missing,
        )
        for index, (name, rule) in enumerate(typed.items())
    )
    schema, left = _without_nameless(TableSchema(columns), stored, destination, overrides)
    findings = [*(finding for finding in stored.findings if not left or finding.kind != "renamed_columns"), *left]
    written = "tsv" if stored.separator == "\t" else "csv"
    return ReadTable(schema, stored.rows, written, findings, destination)


def _without_nameless(
    schema: TableSchema, stored: DelimitedTable, table: Path, overrides: Overrides
) -> tuple[TableSchema, list[Finding]]:
    """The columns but those without a name and without a value: separators at the ends of lines make such."""
    facts = zip(stored.names, stored.written, stored.nulls, strict=True)
    empty = [name for name, written, nulls in facts if not written.strip() and nulls == stored.rows]
    empty = [name for name in empty if name not in overrides.types and name not in overrides.missing]
    if not empty or not any(stored.written):
        return schema, []
    kept = TableSchema(tuple(column for column in schema.columns if column.name not in empty))
    fewer, scan = table.with_suffix(".fewer"), pl.scan_parquet(table, glob=False).select(kept.names)
    scan.sink_parquet(fewer, compression="snappy", row_group_size=row_group_size(scan.head(1_000).collect()), engine="streaming")
    fewer.replace(table)
    message = f"{len(empty)} columns without a name and without a value were left out."
    written = {column.name: column.original_name or column.name for column in kept.columns}
    others = {name: before for name, before in written.items() if before.strip() != name}
    return kept, [Finding("nameless_columns", "low", message, evidence={"columns": len(empty)}), *renamed_finding(others)]


@contextmanager
def _longest_csv_field(characters: int) -> Iterator[None]:
    """Inside, `csv.reader` reads fields of up to so many characters; its default is 131,072, and a cell may be a whole
    record.
    """
    before = csv.field_size_limit(characters)
    try:
        yield
    finally:
        csv.field_size_limit(before)
