"""Defines what the readers of all formats hand back."""

from dataclasses import dataclass
from pathlib import Path

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.schema import TableSchema


@dataclass(frozen=True)
class ReadTable:
    """A table that was read and stored as typed Parquet at `path`: `row_count` rows, `size_bytes` bytes of Parquet."""

    schema: TableSchema
    row_count: int
    size_bytes: int
    format: str
    """`csv`, `tsv`, `json`, `jsonl`, `parquet` or `xlsx`, with `.gz`, `.zip` or `.zst` for each layer around it."""
    findings: list[Finding]
    """What the reader decided on the way, and what it could not use."""
    path: Path
    sheet: str | None = None
    """The sheet of a workbook that was read."""
