"""Profiles a stored table: what is in each column, which columns go together, which rows repeat.

Every byte of the Parquet file is read once, a group of columns at a time, so memory is bounded by a few columns and
not by the table. Tables beyond `EXACT_ROWS` keep exact counts, sums and extremes; quantiles, histograms and distinct
counts then come from an even sample of rows and the profile says so (`sampled_rows`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.tabular.findings import percent
from coreplex.engines.tabular.profile import column_profile, correlation, numeric_profile, target_suggestion
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

EXACT_ROWS = 5_000_000
_CELLS_AT_ONCE = 4_000_000
_BYTES_AT_ONCE = 100 << 20
_PAIR_ROWS = 20_000


def profile_table(table: Path, schema: TableSchema) -> dict[str, Any]:
    """The JSON-ready profile of `table` (contract B.3 `analyze`): counts of rows and cells, shares in percent (0..100)."""
    scan = pl.scan_parquet(table, glob=False)
    rows: int = scan.select(pl.len()).collect().item()
    step = max(1, -(-rows // EXACT_ROWS))
    groups = _groups(schema, rows // step, _long_texts(scan, schema, rows))
    columns = [facts for group, more in groups for facts in _describe(scan, group, rows, max(step, more))]
    target, problem = target_suggestion.suggest(columns, rows)
    missing_cells = sum(column["missing_count"] for column in columns)
    return {
        "row_count": rows,
        "column_count": len(schema),
        "sampled_rows": rows if step == 1 else -(-rows // step),
        "columns": columns,
        "correlations": correlation.pairs(sample(scan.select(_short(schema)), rows, _PAIR_ROWS), schema, columns),
        "missing": {
            "cells": missing_cells,
            "pct": percent(missing_cells, rows * len(schema)),
            "columns": sum(column["missing_count"] > 0 for column in columns),
            "complete_rows": _complete_rows(scan, columns, rows),
        },
        "duplicates": _duplicates(scan, rows),
        "suggested_target": target,
        "suggested_problem_type": problem,
    }


def sample(scan: pl.LazyFrame, rows: int, most: int) -> pl.DataFrame:
    """At most `most` of the `rows` rows, evenly spread over the table: the same ones every time."""
    step = max(1, -(-rows // most))
    return (scan if step == 1 else scan.gather_every(step)).collect(engine="streaming")


def _short(schema: TableSchema) -> list[str]:
    return [column.name for column in schema if column.type not in (ColumnType.text, ColumnType.id)]


def _long_texts(scan: pl.LazyFrame, schema: TableSchema, rows: int) -> dict[str, int]:
    """For columns of texts too long to hold at once: how many rows to step over. Judged by the first rows."""
    names = [column.name for column in schema if column.dtype == "string"]
    if not names:
        return {}
    head = scan.select(names).head(10_000).select(pl.all().str.len_bytes().mean()).collect().row(0, named=True)
    steps = {name: -(-int(rows * (length or 0)) // _BYTES_AT_ONCE) for name, length in head.items()}
    return {name: step for name, step in steps.items() if step > 1}


def _groups(schema: TableSchema, rows: int, long: dict[str, int]) -> Iterator[tuple[list[Column], int]]:
    """Columns in file order, few enough at once for `_CELLS_AT_ONCE`, each group with the rows to step over."""
    size = max(1, _CELLS_AT_ONCE // max(rows, 1))
    group: list[Column] = []
    for column in schema:
        if group and (len(group) == size or column.name in long):
            yield group, 1
            group = []
        if column.name in long:
            yield [column], long[column.name]
        else:
            group.append(column)
    if group:
        yield group, 1


def _describe(scan: pl.LazyFrame, group: list[Column], rows: int, step: int) -> Iterator[dict[str, Any]]:
    part = scan.select(column.name for column in group)
    frame = (part if step == 1 else part.gather_every(step)).collect(engine="streaming")
    exact = _exact(part, group) if step > 1 else {}
    for column in group:
        yield column_profile.profile_column(frame.get_column(column.name), column, rows) | exact.get(column.name, {})


def _exact(part: pl.LazyFrame, group: list[Column]) -> dict[str, dict[str, Any]]:
    """Counts, sums and extremes over all rows, where the rest comes from a sample."""
    asked = [
        pl.struct(expression.alias(key) for key, expression in _aggregates(column).items()).alias(column.name) for column in group
    ]
    row = part.select(asked).collect(engine="streaming").row(0, named=True)
    found = {name: {key: numeric_profile.json_value(value) for key, value in facts.items()} for name, facts in row.items()}
    for facts in found.values():
        rows = facts.pop("rows")
        facts["missing_pct"] = percent(facts["missing_count"], rows)
    return found


def _aggregates(column: Column) -> dict[str, pl.Expr]:
    values = pl.col(column.name)
    distinct = (values.hash(seed=0) if column.dtype == "string" else values).approx_n_unique()
    asked = {"rows": pl.len(), "missing_count": values.null_count(), "unique_count": distinct}
    if column.dtype.startswith(("int", "uint", "float")):
        asked |= {"min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std()}
    return asked


def _complete_rows(scan: pl.LazyFrame, columns: list[dict[str, Any]], rows: int) -> int:
    holes = [pl.col(column["name"]).is_not_null() for column in columns if column["missing_count"]]
    if not holes:
        return rows
    found: int = scan.select(pl.all_horizontal(holes).sum()).collect(engine="streaming").item()
    return found


def _duplicates(scan: pl.LazyFrame, rows: int) -> dict[str, Any]:
    """Rows that repeat an earlier one, by 64-bit row hashes (approximate beyond `EXACT_ROWS`)."""
    if rows <= EXACT_ROWS:
        distinct = _row_hashes(scan, rows).n_unique()
    else:
        hashes = scan.select(pl.struct(pl.all()).hash(seed=0).approx_n_unique())
        distinct = hashes.collect(engine="streaming").item()
    count = max(0, rows - distinct)
    if rows > EXACT_ROWS and count < 0.05 * rows:
        # Within the error of the approximation: nothing can be said.
        count = 0
    return {"count": count, "pct": percent(count, rows)}


def _row_hashes(scan: pl.LazyFrame, rows: int) -> pl.Series:
    """One 64-bit hash per row, a few columns at a time: reading all of them at once would hold too much."""
    names = scan.collect_schema().names()
    size = max(1, _CELLS_AT_ONCE // max(rows, 1))
    total = pl.zeros(rows, dtype=pl.UInt64, eager=True)
    for start in range(0, len(names), size):
        part = [pl.col(name).hash(seed=seed) for seed, name in enumerate(names[start : start + size], start=start)]
        for hashes in scan.select(part).collect(engine="streaming").iter_columns():
            total = total ^ hashes
    return total
