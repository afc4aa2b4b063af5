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
    """Where the reader stops: sizes that no honest table has (reliability V22)."""

    columns: int = 5_000
    rows: int = 50_000_000
    cells: int = 2_000_000_000
    line_bytes: int = 64 << 20
    name_length: int = 256
    block_bytes: int = 4 << 20
    """How much of a file is looked at together. What is read does not depend on it."""
    sample_rows: int = 20_000
    """The first rows, by which types are judged before all cells are read."""


@dataclass(frozen=True)
class Reading:
    """A table that was read: its schema, its size, and what happened on the way."""

    schema: TableSchema
    row_count: int
    size_bytes: int
    format: Literal["csv", "parquet"]
    notes: list[Note]
    path: Path
