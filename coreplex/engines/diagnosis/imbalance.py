"""How unevenly the classes of a target are spread, counted over all rows."""

from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.tabular.profile.percent import percent
from coreplex.engines.tabular.schema import Column, spell

SHOWN = 20
EVEN = 0.4
"""The rarest class at this share of an even split, or above, is no imbalance worth a word."""


def count(table: Path, target: Column) -> dict[str, Any]:
    """`class_count`, `rarest_pct`, `ratio` (commonest to rarest), `even` (rarest share ÷ share of an even split), and the
    commonest and rarest `classes` with their rows; commonest first."""
    name = target.name
    counts = pl.scan_parquet(table, glob=False).select(name).drop_nulls().group_by(name).agg(pl.len().alias("rows"))
    found = counts.collect(engine="streaming").sort(["rows", name], descending=[True, False])
    total, classes = int(found["rows"].sum() or 0), found.height
    if not classes:
        return {"class_count": 0, "rarest_pct": 0.0, "ratio": 1.0, "even": 1.0, "classes": []}
    shown = found if classes <= SHOWN else pl.concat([found.head(SHOWN // 2), found.tail(SHOWN // 2)])
    rarest, commonest = int(found["rows"][-1]), int(found["rows"][0])
    return {
        "class_count": classes,
        "rarest_pct": percent(rarest, total),
        "ratio": round(commonest / rarest, 4),
        "even": round(rarest / total * classes, 4),
        "classes": [
            {"value": spell(target, value), "count": rows, "pct": percent(rows, total)} for value, rows in shown.iter_rows()
        ],
    }
