"""Where values are missing in a stored table, and which are missing together."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from coreplex.engines.tabular.findings import percent

if TYPE_CHECKING:
    from coreplex.engines.child import Report

MOST_COLUMNS = 200
MOST_PATTERNS = 30


def run(request: Mapping[str, Any], _report: "Report") -> dict[str, Any]:
    """`missing_map` in a child process. request: `table`, `bins`, `names` (columns with missing values)."""
    return missing_map(Path(request["table"]), request["names"], request["bins"])


def missing_map(table: Path, names: list[str], bins: int) -> dict[str, Any]:
    """For each of the columns (the first 200) the `shares` of missing cells in each of `bins` stretches of the rows, and the
    `patterns` of columns that are missing together in a row, the most frequent first.

    JSON-ready: `columns`, `row_count`, `bins` ({first_row, row_count}), `shares` (columns × bins), `patterns`.
    """
    scan = pl.scan_parquet(table, glob=False)
    rows: int = scan.select(pl.len()).collect().item()
    shown = names[:MOST_COLUMNS]
    bins = max(1, min(bins, rows))
    holes = [pl.col(name).is_null().alias(f"c{at}") for at, name in enumerate(shown)]
    places = [f"c{at}" for at in range(len(shown))]
    marked = scan.select(*holes).with_row_index("row").with_columns(bin=pl.col("row").cast(pl.Int64) * bins // max(rows, 1))
    by_bin = marked.group_by("bin").agg(pl.len(), pl.col("row").min().alias("first"), pl.col(places).mean()).sort("bin")
    found = by_bin.collect(engine="streaming") if shown else pl.DataFrame({"first": [], "len": []})
    patterns = scan.select(*holes).group_by(places).len().sort(["len", *places], descending=[True, *(False for _ in places)])
    common = patterns.head(MOST_PATTERNS + 1).collect(engine="streaming") if shown else pl.DataFrame()
    told = [
        {
            "columns": [name for name, place in zip(shown, places, strict=True) if row[place]],
            "rows": row["len"],
            "pct": percent(row["len"], rows),
        }
        for row in common.iter_rows(named=True)
    ]
    return {
        "columns": shown,
        "row_count": rows,
        "bins": [{"first_row": row["first"], "row_count": row["len"]} for row in found.iter_rows(named=True)],
        "shares": [[round(share, 6) for share in found[place].to_list()] for place in places],
        "patterns": [one for one in told if one["columns"]][:MOST_PATTERNS],
    }
