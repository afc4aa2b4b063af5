"""Columns that were computed from the target itself: the mean of its group, the row's own value included.

Such a column is, for every value it takes, the mean of the target over the rows that have it. Sampling would break that, so the
two columns are read whole; only columns that could be such means by their form are.
"""

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.detector_input import LARGEST, Case
from coreplex.engines.diagnosis.leakage.univariate import Floats

MOST = 12
"""Columns read whole."""
LEAST_GROUPS = 8
CHANCE = 0.1
"""Means that lie this many times nearer to a straight line than their standard errors allow did not come from elsewhere."""


LEFT = 0.001
"""Share of the spread of the means that a line over the values may leave."""


def encoded(case: Case) -> list[tuple[str, float]]:
    """(column, mean rows per group) of the columns that are means of the target, by group."""
    found = []
    for name in _likely(case)[:MOST]:
        if case.deadline.over:
            case.unfinished.append("Columns that are group means of the target were not all looked for.")
            break
        rows = _is_mean(case, name)
        if rows is not None:
            found.append((name, rows))
    return found


def _likely(case: Case) -> list[str]:
    """Floats that repeat and tell something, the best first."""
    able = []
    for column in case.features:
        values = case.frame.get_column(column.name)
        distinct = values.n_unique()
        repeated = distinct <= 0.5 * values.len() or not case.whole
        if values.dtype.is_float() and distinct >= LEAST_GROUPS and repeated and case.skill(column.name) > 0.01:
            able.append(column.name)
    return sorted(able, key=lambda name: -case.skill(name))


def _is_mean(case: Case, name: str) -> float | None:
    """Mean rows per group where the means of the target by value of the column lie on a line, exactly; else None."""
    target = pl.col(case.name)
    looks = [target]
    if case.classification:
        looks = [target.eq(pl.lit(value)) for value in case.target.classes[:3]]
    scan = pl.scan_parquet(case.table, glob=False).select(name, case.name).drop_nulls().filter(pl.col(name).abs() < LARGEST)
    for look in (one.cast(pl.Float64) for one in looks):
        asked = (pl.len().alias("rows"), look.mean().alias("mean"), look.std().alias("spread"))
        groups = scan.group_by(name).agg(asked).collect(engine="streaming").filter(pl.col("spread") > 0)
        if groups.height >= LEAST_GROUPS and _on_a_line(*(groups[key].to_numpy() for key in (name, "mean", "spread", "rows"))):
            return float(groups["rows"].to_numpy().mean())
    return None


def _on_a_line(values: Floats, means: Floats, spreads: Floats, rows: Floats) -> bool:
    """Whether means lie much nearer to a line over the values than chance would put them: (n,) each."""
    errors = spreads / np.sqrt(rows)
    slope, level = np.polyfit(values - values.mean(), means, 1, w=1 / errors)
    away = (means - level - slope * (values - values.mean())) / errors
    spread = (means - np.average(means, weights=errors**-2)) / errors
    return bool((away**2).sum() < CHANCE**2 * (len(values) - 2) and (away**2).sum() < LEFT * (spread**2).sum())
