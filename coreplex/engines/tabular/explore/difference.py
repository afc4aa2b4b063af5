"""What one table has that another has not: columns, rows, and how the values of common columns have moved.

Rows are compared by their common columns, as 64-bit hashes of their cells as text; equal rows count as often as they stand there.
Movement is between 0 (none) and 1: of numbers and times the Kolmogorov-Smirnov distance, of words half the sum of the differences
of their shares, both on an even sample of rows.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from coreplex.engines.tabular.profile.table_profile import sample
from coreplex.engines.tabular.schema import NUMERIC, Column, ColumnType, TableSchema, canonical

if TYPE_CHECKING:
    from coreplex.engines.child import Report

_SAMPLED = 50_000
_WORDS = (ColumnType.categorical, ColumnType.boolean)


def run(request: Mapping[str, Any], _report: "Report") -> dict[str, Any]:
    """`difference` in a child process. request: `before` and `after`, each with `table` and `schema`."""
    sides = [(Path(one["table"]), TableSchema.from_json(one["schema"])) for one in (request["before"], request["after"])]
    return difference(*sides)


def difference(before: tuple[Path, TableSchema], after: tuple[Path, TableSchema]) -> dict[str, Any]:
    """JSON-ready: `columns_added`, `columns_removed`, `rows` {kept, added, removed}, `drift` {column: movement, or None}."""
    old, new = before[1], after[1]
    common = [name for name in new.names if old.get(name) is not None]
    scans = [pl.scan_parquet(path, glob=False) for path, _ in (before, after)]
    sizes = [scan.select(pl.len()).collect().item() for scan in scans]
    kept = _kept(scans, common) if common else 0
    frames = [sample(scan.select(common), size, _SAMPLED) for scan, size in zip(scans, sizes, strict=True)]
    return {
        "columns_added": [name for name in new.names if old.get(name) is None],
        "columns_removed": [name for name in old.names if new.get(name) is None],
        "rows": {"kept": kept, "added": sizes[1] - kept, "removed": sizes[0] - kept},
        "drift": {name: _moved(_column(old, name), _column(new, name), *(one[name] for one in frames)) for name in common},
    }


def _column(schema: TableSchema, name: str) -> Column:
    found = schema.get(name)
    assert found is not None, "the column is common"
    return found


def _kept(scans: list[pl.LazyFrame], common: list[str]) -> int:
    counts = [scan.select(row=_hashed(common)).group_by("row").len().collect(engine="streaming") for scan in scans]
    both = counts[0].join(counts[1], on="row")
    return int(both.select(pl.min_horizontal("len", "len_right").sum()).item() or 0)


def _hashed(names: list[str]) -> pl.Expr:
    """The same for the same cells, whatever type the column was read as."""
    texts = [pl.col(name).cast(pl.String).str.strip_suffix(".0").fill_null("\0") for name in names]
    return pl.concat_str(texts, separator="\1").hash(seed=0)


def _moved(old: Column, new: Column, before: pl.Series, after: pl.Series) -> float | None:
    first, second = before.drop_nulls(), after.drop_nulls()
    if first.is_empty() or second.is_empty():
        return None
    if old.type in NUMERIC and new.type in NUMERIC:
        return _steps(first.cast(pl.Float64), second.cast(pl.Float64))
    if old.type is new.type is ColumnType.datetime:
        moments = (one.cast(pl.Datetime("us")).to_physical().cast(pl.Float64) for one in (first, second))
        return _steps(*moments)
    return _shares(old, new, first, second) if old.type in _WORDS and new.type in _WORDS else None


def _steps(first: pl.Series, second: pl.Series) -> float:
    """The greatest distance of the two cumulative distributions."""
    a, b = np.sort(first.to_numpy()), np.sort(second.to_numpy())
    every = np.concatenate([a, b])
    below = np.searchsorted(a, every, side="right") / len(a), np.searchsorted(b, every, side="right") / len(b)
    return round(float(np.abs(below[0] - below[1]).max()), 6)


def _shares(old: Column, new: Column, first: pl.Series, second: pl.Series) -> float:
    shares = [_spelled(column, values) for column, values in ((old, first), (new, second))]
    return round(sum(abs(shares[0].get(word, 0.0) - shares[1].get(word, 0.0)) for word in {*shares[0], *shares[1]}) / 2, 6)


def _spelled(column: Column, values: pl.Series) -> dict[str, float]:
    counted = values.value_counts()
    words = (canonical(value) for value in counted[values.name].to_list())
    return {
        column.labels.get(word, word): count / len(values) for word, count in zip(words, counted["count"].to_list(), strict=True)
    }
