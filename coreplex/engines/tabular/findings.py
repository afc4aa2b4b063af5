"""What the reader has to say about a file, the limits it keeps, and what it hands back."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from coreplex.engines.tabular.schema import TableSchema

Severity = Literal["low", "medium", "high"]


@dataclass(frozen=True)
class Note:
    """Something the user should know. It becomes a quality issue; `kind` is stable, `message` is for people."""

    kind: str
    severity: Severity
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    column: str | None = None
    affected_rows: int = 0


@dataclass(frozen=True)
class Limits:
    """Where the reader stops: sizes that no honest table has (docs/security.md#files)."""

    columns: int = 5_000
    rows: int = 50_000_000
    cells: int = 2_000_000_000
    line_bytes: int = 64 << 20
    name_length: int = 256
    block_bytes: int = 4 << 20
    """How much of a file is looked at together. What is read does not depend on it."""
    sample_rows: int = 20_000
    sample_cells: int = 2_000_000
    """Of wide tables fewer rows are held: cells as text take a few hundred bytes each until their types are known."""
    """The first rows, by which types are judged before all cells are read."""
    unpacked_bytes: int = 2 << 30
    """What may come out of a compressed file: four times the largest upload, as tables of text compress."""
    unpacked_ratio: int = 400
    """How often a compressed file may hold its own size: sparse tables reach 200, archives made to fill a disk 1,000."""
    ratio_free_bytes: int = 32 << 20
    """Up to here the ratio is of no interest."""


@dataclass(frozen=True)
class Reading:
    """A table that was read: its schema, its size, and what happened on the way."""

    schema: TableSchema
    row_count: int
    size_bytes: int
    format: str
    """`csv`, `tsv`, `json`, `jsonl`, `parquet` or `xlsx`, with `.gz`, `.zip` or `.zst` for each layer around it."""
    notes: list[Note]
    path: Path
    sheet: str | None = None
    """The sheet of a workbook that was read."""
