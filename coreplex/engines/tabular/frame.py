"""Stored tables as frames."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.tabular.schema import TableSchema, spell
from coreplex.errors import Invalid


def load(table: Path, schema: TableSchema, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table, or some of its columns, in memory, in the order asked for. Raises Invalid for unknown names."""
    names = list(columns) if columns is not None else schema.names
    for name in names:
        if schema.get(name) is None:
            raise Invalid.field(f"There is no column {name!r} in this table.", "columns", name)
    return pl.read_parquet(table, columns=names, glob=False).select(names)


def scan(table: Path) -> pl.LazyFrame:
    """The table, lazily."""
    return pl.scan_parquet(table, glob=False)


def preview(table: Path, n: int = 20, schema: TableSchema | None = None) -> list[dict[str, Any]]:
    """The first `n` rows as JSON-ready dictionaries, spelled as uploaded where `schema` is given."""
    rows = scan(table).head(n).collect()
    if schema is None:
        return rows.to_dicts()
    return [{column.name: spell(column, row[column.name]) for column in schema} for row in rows.iter_rows(named=True)]
