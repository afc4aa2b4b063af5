"""Reads a stored table (typed Parquet) as Polars frames, and its first rows for display."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from coreplex.engines.tabular.schema import TableSchema, no_column, spell
from coreplex.errors.tree import Invalid

PREVIEW_BLOCK = 50
CELL_CHARS = 1_000


def load(table: Path, schema: TableSchema, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The table as a frame in memory, rows in file order, columns in the order asked for. Raises Invalid for unknown
    names.
    """
    names = list(columns) if columns is not None else schema.names
    for name in names:
        if schema.get(name) is None:
            raise Invalid.field(no_column(name), "columns", name)
    return pl.read_parquet(table, columns=names, glob=False).select(names)


def preview(
    table: Path, schema: TableSchema, n: int = 20, read: Callable[[int], None] = lambda size: None
) -> list[dict[str, Any]]:
    """The first `n` rows as JSON-ready dictionaries, spelled as uploaded, long cells cut.

    `read(bytes)` is told how large every few rows are as JSON, and may raise to end it.
    """
    scan = pl.scan_parquet(table, glob=False)
    rows: list[dict[str, Any]] = []
    while len(rows) < n:
        block = cut(scan.slice(len(rows), min(PREVIEW_BLOCK, n - len(rows))), schema).collect()
        found = [{column.name: spell(column, row[column.name]) for column in schema} for row in block.iter_rows(named=True)]
        if not found:
            break
        read(len(orjson.dumps(found)))
        rows += found
    return rows


def cut(rows: pl.LazyFrame, schema: TableSchema) -> pl.LazyFrame:
    """Texts of at most CELL_CHARS characters, longer ones with their length. Cut before Python holds them: a text that
    a file has once may be the cell of every row.
    """
    texts = [pl.col(column.name) for column in schema if column.dtype == "string"]
    length = [text.str.len_chars() for text in texts]
    shown = [pl.format("{}… ({} characters)", text.str.head(CELL_CHARS), size) for text, size in zip(texts, length, strict=True)]
    return rows.with_columns(
        pl.when(size > CELL_CHARS).then(cut).otherwise(text).alias(text.meta.output_name())
        for text, size, cut in zip(texts, length, shown, strict=True)
    )
