"""Issues of a quality report about a target: what gives it away, uneven classes, numbers that only count the rows of the file."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.diagnosis import experiment_warnings
from coreplex.engines.diagnosis.leakage.detector import Leak
from coreplex.engines.tabular.findings import Finding, Severity, percent
from coreplex.engines.tabular.schema import Column, spell

SHOWN = 20
LEAST_EVENNESS = 0.4
"""Evenness from which imbalance is not worth a word: the rarest class's fraction of what an even split would give it."""
LEAST_COUNTED = 30
_EVEN, _MOST = 0.5, 0.95
"""A step is even within this share of the usual one; so many steps must be. Cells between which rows were left out are not."""


def issues(target: str, leaks: Sequence[Leak], classes: dict[str, Any] | None, step: float | None = None) -> list[dict[str, Any]]:
    """Every leak, class imbalance and a target that counts the rows, as `Finding`s in JSON.

    `classes`: what `class_counts` returned, None for a number; `step`: what `row_step` returned.
    """
    found = [leak.finding() for leak in leaks]
    if classes is not None and classes["class_count"] > 1 and classes["even"] < LEAST_EVENNESS:
        found.append(_uneven(target, classes))
    if step is not None:
        found.append(
            Finding(
                "target_is_order",
                "high",
                experiment_warnings.row_counter(target, step),
                column=target,
                evidence={"step": step},
            )
        )
    return [asdict(issue) for issue in found]


def _uneven(target: str, counted: dict[str, Any]) -> Finding:
    commonest, rarest = counted["classes"][0], counted["classes"][-1]
    severity: Severity = "high" if rarest["pct"] < 1 else "medium" if counted["even"] < 0.2 else "low"
    message = (
        f"The classes of {target!r} are uneven: {rarest['value']!r} has {rarest['count']:,} rows ({rarest['pct']:.1f} %), "
        f"{commonest['value']!r} {commonest['count']:,}. Judge models by AUC or log loss, not accuracy, or balance the classes."
    )
    return Finding("class_imbalance", severity, message, column=target, evidence=counted, affected_rows=rarest["count"])


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


def row_step(values: pl.Series) -> float | None:
    """The median step from row to row, negative where they fall, of (n,) numbers that count the rows; None of others.

    `values`: in file order, null where missing. Takes 30 rows, all distinct and finite, 95 % of the steps within half the median.

    Random numbers that a file was sorted by have uneven steps: of uniform ones, one in three is even by this measure.
    """
    if not values.dtype.is_numeric():
        return None
    numbers = values.drop_nulls().cast(pl.Float64).to_numpy()
    if len(numbers) < LEAST_COUNTED or not np.isfinite(numbers).all():
        return None
    steps = np.diff(numbers)
    usual = float(np.median(steps))
    even = np.abs(steps - usual) <= _EVEN * abs(usual)
    return usual if usual != 0.0 and even.mean() >= _MOST and len(np.unique(numbers)) == len(numbers) else None
