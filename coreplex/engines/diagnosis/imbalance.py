"""Class imbalance: counts the rows of each class of a target, over the whole table."""

from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.tabular.findings import percent
from coreplex.engines.tabular.schema import Column, spell

SHOWN = 20
LEAST_EVENNESS = 0.4
"""Evenness from which imbalance is not worth a word: the rarest class's fraction of what an even split would give it."""


def class_counts(table: Path, target: Column) -> dict[str, Any]:
    """Counts of the classes in a Parquet table, missing apart, as JSON.

    `class_count`; `rarest_pct` (0..100); `ratio` of commonest to rarest; `even`: the rarest's fraction ÷ that of an even split
    (0..1); `classes` with `value`, `count` and `pct`, commonest first: all, or of more than 20 the ten commonest and ten rarest.
    """
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
