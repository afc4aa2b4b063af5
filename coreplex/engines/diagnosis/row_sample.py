"""Reads a sample of a table's rows with a known target, chosen so that time and memory do not grow with the table.

Evenly spread over the rows with a known target and kept in file order. A table too large to decode whole gives contiguous
runs of rows instead, evenly spread too: Parquet skips what lies between.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.schema import Column, TableSchema

CELLS = 4_000_000
"""Cells of the sample at most: 32 MB as numbers."""
MOST_ROWS, LEAST_ROWS = 20_000, 2_000
DECODED_CELLS = 60_000_000
"""A table of more cells is not decoded whole: a second or two of two threads."""
RUNS = 50


@dataclass(frozen=True)
class RowSample:
    """`frame`: (sampled rows, all columns), target known, in file order. `rows`: of the table. `whole`: none was left out."""

    frame: pl.DataFrame
    rows: int
    whole: bool


def read(table: Path, schema: TableSchema, target: Column) -> RowSample:
    """A sample of a Parquet table for one target, all columns: 20,000 rows at most, of wide tables 4,000,000 cells."""
    scan = pl.scan_parquet(table, glob=False).select(schema.names)
    rows: int = scan.select(pl.len()).collect().item()
    wanted = max(LEAST_ROWS, min(MOST_ROWS, CELLS // max(len(schema), 1)))
    if rows * len(schema) > DECODED_CELLS and rows > wanted:
        return RowSample(_runs(scan, rows, wanted).filter(_known(target)), rows, whole=False)
    labelled = scan.filter(_known(target))
    count: int = labelled.select(pl.len()).collect(engine="streaming").item()
    step = -(-count // wanted) if count else 1
    picked = labelled if step <= 1 else labelled.gather_every(step)
    return RowSample(picked.collect(engine="streaming"), rows, whole=step <= 1)


def _runs(scan: pl.LazyFrame, rows: int, wanted: int) -> pl.DataFrame:
    length = wanted // RUNS
    return pl.concat([scan.slice((rows - length) * run // (RUNS - 1), length).collect() for run in range(RUNS)])


def _known(target: Column) -> pl.Expr:
    known = pl.col(target.name).is_not_null()
    return known & pl.col(target.name).is_finite() if target.dtype.startswith("float") else known
