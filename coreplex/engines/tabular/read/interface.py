"""Defines what the readers of all formats take and hand back: sizes, what a person says of columns, the table read.

`Limits` are what no honest table has (docs/security.md). `Overrides` refuse what would lose too much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from coreplex.engines.tabular.findings import Finding, Severity
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema, no_column
from coreplex.engines.tabular.types import vocabulary
from coreplex.errors.nearest import hint
from coreplex.errors.tree import Invalid, Message

if TYPE_CHECKING:  # an idle web process imports this, and no Polars
    import polars as pl

MOST_LOST = 0.5
"""The share of a column's values that may be lost to a type; beyond it a person must say `force`."""
EXAMPLES = 5
_GROUP_ROWS = 250_000
_GROUP_BYTES = 16 << 20


@dataclass(frozen=True)
class Limits:
    """Counts of columns, rows and cells; the rest in the unit that its name says."""

    columns: int = 5_000
    rows: int = 50_000_000
    cells: int = 2_000_000_000
    line_bytes: int = 64 << 20
    """The longest record, and so the longest cell."""
    name_length: int = 256
    """Characters of a column name; what is longer is cut."""
    block_bytes: int = 4 << 20
    """How much of a file is looked at together. What is read does not depend on it."""
    sample_rows: int = 20_000
    """The first rows, by which types are judged before all cells are read."""
    sample_cells: int = 2_000_000
    """Of wide tables fewer rows are held: cells as text take a few hundred bytes each until their types are known."""
    unpacked_bytes: int = 2 << 30
    """What may come out of a compressed file: four times the largest upload, as tables of text compress."""
    unpacked_ratio: int = 400
    """How often a compressed file may hold its own size: sparse tables reach 200, archives made to fill a disk 1,000."""
    ratio_free_bytes: int = 32 << 20
    """Up to here the ratio is of no interest."""


@dataclass(frozen=True)
class Overrides:
    """What a person says: `types`: column → type. `missing`: column → texts missing in it. `everywhere`: texts missing
    in all.

    `force`: read so even where most of a column is lost. `left_out`: columns that stay behind, of Parquet.
    """

    types: Mapping[str, ColumnType] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    everywhere: tuple[str, ...] = ()
    force: bool = False
    left_out: tuple[str, ...] = ()

    def texts(self, name: str) -> tuple[str, ...]:
        """Every text said to be missing in a column."""
        return (*self.missing.get(name, ()), *self.everywhere)

    def missing_of(self, name: str, kind: str, usual: tuple[str, ...] | None) -> tuple[str, ...] | None:
        """`Column.missing` of a column read as that kind of rule, where `usual` was found to be usual in it."""
        own = self.missing.get(name, usual)
        return _with(own, self.everywhere, text=kind == "string") if self.everywhere else own

    def loss_finding(self, name: str, kind: str, lost: int, kept: int, examples: Sequence[str]) -> Finding:
        """The finding about values that did not fit an ordered type. Raises Invalid when they are most of the column."""
        shown = ", ".join(map(repr, examples[:EXAMPLES]))
        if not self.force and lost > MOST_LOST * (lost + kept):
            raise Invalid.field(
                _would_lose(name, kind, lost, lost + kept, examples[:EXAMPLES]),
                "overrides",
                name,
                "type",
            )
        severity: Severity = "medium" if kept else "high"
        message = f"{lost:,} cells of {name!r} are no {kind} and were taken as missing: {shown}."
        return Finding("mixed_types", severity, message, evidence={"examples": list(examples)}, column=name, affected_rows=lost)


def with_missing(column: Column, values: Sequence[str]) -> tuple[str, ...]:
    """`Column.missing` of the column when these are missing in it, too."""
    return _with(column.missing, values, text=column.dtype == "string")


def _with(own: tuple[str, ...] | None, more: Sequence[str], *, text: bool) -> tuple[str, ...]:
    bare = sorted(vocabulary.SIGNS) if text else ()
    return tuple(dict.fromkeys([*(bare if own is None else own), *more]))


def unknown_column(name: str, names: Sequence[str]) -> Message:
    """The sentence about a column that is not there; it names the nearest one."""
    return no_column(name).then(hint(name, names))


def too_many_columns(columns: int, most: int) -> Message:
    return Message("too_many_columns", "The table has {columns} columns; at most {most} can be used.", columns=columns, most=most)


def _would_lose(name: str, kind: str, lost: int, present: int, examples: Sequence[str]) -> Message:
    if lost == present:
        return Message(
            "type_would_lose_all",
            "Column {column!r} read as {kind} would lose all of its values, such as {examples!r}. Choose another type, or say "
            "force: true.",
            column=name,
            kind=kind,
            examples=list(examples),
        )
    return Message(
        "type_would_lose_most",
        "Column {column!r} read as {kind} would lose {lost:,} of its {values:,} values, such as {examples!r}. Choose another "
        "type, or say force: true.",
        column=name,
        kind=kind,
        lost=lost,
        values=present,
        examples=list(examples),
    )


@dataclass(frozen=True)
class ReadTable:
    """A table that was read and stored as typed Parquet at `path`: `row_count` rows."""

    schema: TableSchema
    row_count: int
    format: str
    """`csv`, `tsv`, `json`, `jsonl`, `parquet` or `xlsx`, with `.gz`, `.zip` or `.zst` for each layer around it."""
    findings: list[Finding]
    """What the reader decided on the way, and what it could not use."""
    path: Path
    sheet: str | None = None
    """The sheet of a workbook that was read."""


def row_group_size(sample: "pl.DataFrame") -> int:
    """Rows per Parquet row group, judged by first rows of the table: at most 250,000, at least 1,000, about 16 MiB in
    memory.
    """
    per_row = sample.estimated_size() / max(sample.height, 1)
    return int(min(_GROUP_ROWS, max(1_000, _GROUP_BYTES / max(per_row, 1.0))))
