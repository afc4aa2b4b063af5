"""Appends rows that came as JSON to a stored table: what a deployment was asked, with what was true in the end.

A value is read as one of a request is (`tabular.types.value_parser`), so that what a model was asked and what the next one learns
from cannot disagree. A column that a row does not name is missing in it, one that the table does not have is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from coreplex.engines.tabular.schema import Column, TableSchema
from coreplex.engines.tabular.types.value_parser import parse_value
from coreplex.errors.nearest import folded

AT_ONCE = 20_000
Row = Mapping[str, Any]


def append(table: Path, schema: TableSchema, rows: Path, target: str, destination: Path, scratch: Path) -> tuple[int, int]:
    """Write a table and the rows of a file below it, both of the table's columns; how many were appended and were left out.

    rows: JSON, one `{"inputs": {…}, "outcome": …}` a line; the outcome is the value of the column `target`, and a row is left out
    whose outcome is none that the column can hold.
    """
    stored = pl.scan_parquet(table, glob=False).collect_schema()
    parts, appended, left_out = [table], 0, 0
    with rows.open("rb") as lines:
        while some := [_named(orjson.loads(line), target) for line in islice(lines, AT_ONCE)]:
            frame = _frame(some, schema, stored)
            known = frame.filter(pl.col(target).is_not_null())
            appended, left_out = appended + known.height, left_out + frame.height - known.height
            if known.height:
                parts.append(scratch / f"{len(parts):06d}.parquet")
                known.write_parquet(parts[-1])
    pl.scan_parquet(parts, glob=False).sink_parquet(destination, engine="streaming")
    return appended, left_out


def _named(line: Mapping[str, Any], target: str) -> Row:
    inputs = line["inputs"] if isinstance(line["inputs"], Mapping) else {}
    said = line["outcome"]
    # A program says the class 1 as 1.0, too: as text that would be a class of its own.
    return {**inputs, target: int(said) if isinstance(said, float) and said.is_integer() else said}


def _frame(rows: Sequence[Row], schema: TableSchema, stored: Mapping[str, pl.DataType]) -> pl.DataFrame:
    otherwise = _spelled_otherwise(rows, schema)
    return pl.DataFrame(
        [pl.Series(one.name, list(_values(one, rows, otherwise)), dtype=stored[one.name], strict=False) for one in schema]
    )


def _spelled_otherwise(rows: Sequence[Row], schema: TableSchema) -> Mapping[str, Sequence[str]]:
    """By column the names in the rows that are meant to be it: others than its own, and no column's."""
    known, found = {folded(name): name for name in schema.names}, dict[str, list[str]]()
    for name in {name for row in rows for name in row} - set(schema.names):
        if (meant := known.get(folded(name))) is not None:
            found.setdefault(meant, []).append(name)
    return found


def _values(column: Column, rows: Sequence[Row], otherwise: Mapping[str, Sequence[str]]) -> Iterator[Any]:
    names = (column.name, *otherwise.get(column.name, ()))
    for row in rows:
        name = next((name for name in names if name in row), None)
        yield None if name is None else parse_value(column, row[name])
