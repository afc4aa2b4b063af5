"""Finds target mean encodings: columns that hold the target's mean over the rows of a group, the row's own value included.

Such a column is, for every value it takes, the mean of the target over the rows that have it. Sampling would break that, so the
two columns are read whole; only columns that could be such means by their form are.
"""

import numpy as np
import polars as pl

from coreplex.engines.diagnosis.leakage.detector_input import LARGEST, DetectorInput
from coreplex.engines.diagnosis.leakage.univariate import Floats

MOST_COLUMNS = 12
"""Columns read whole."""
LEAST_GROUPS = 8
MOST_OF_CHANCE = 0.1
"""Residuals of the means about a straight line, in their standard errors: independent means would give about 1."""
MOST_UNEXPLAINED = 0.001
"""Fraction of the variance of the means that a line over the values may leave."""


def mean_encoded_columns(data: DetectorInput) -> list[tuple[str, float]]:
    """(column, rows per group on average) of each column that is a mean of the target; reads whole columns, 12 at most.

    Columns there was no time for are said in `data.unfinished`.
    """
    found = []
    for name in _likely(data)[:MOST_COLUMNS]:
        if data.deadline.over:
            data.unfinished.append("Columns that are group means of the target were not all looked for.")
            break
        rows = _is_mean(data, name)
        if rows is not None:
            found.append((name, rows))
    return found


def _likely(data: DetectorInput) -> list[str]:
    """Float features whose values repeat and explain more than 1 % of the target, highest univariate skill first."""
    able = []
    for column in data.features:
        values = data.frame.get_column(column.name)
        distinct = values.n_unique()
        repeated = distinct <= 0.5 * values.len() or not data.whole
        if values.dtype.is_float() and distinct >= LEAST_GROUPS and repeated and data.skill(column.name) > 0.01:
            able.append(column.name)
    return sorted(able, key=lambda name: -data.skill(name))


def _is_mean(data: DetectorInput, name: str) -> float | None:
    """Rows per value on average, where the target's means by value of the column lie on a line; else None."""
    target = pl.col(data.name)
    responses = [target]
    if data.classification:
        responses = [target.eq(pl.lit(value)) for value in data.target.classes[:3]]
    scan = pl.scan_parquet(data.table, glob=False).select(name, data.name).drop_nulls().filter(pl.col(name).abs() < LARGEST)
    for response in (one.cast(pl.Float64) for one in responses):
        asked = (pl.len().alias("rows"), response.mean().alias("mean"), response.std().alias("spread"))
        groups = scan.group_by(name).agg(asked).collect(engine="streaming").filter(pl.col("spread") > 0)
        if groups.height >= LEAST_GROUPS and _on_a_line(*(groups[key].to_numpy() for key in (name, "mean", "spread", "rows"))):
            return float(groups["rows"].to_numpy().mean())
    return None


def _on_a_line(values: Floats, means: Floats, spreads: Floats, rows: Floats) -> bool:
    """Whether means lie much nearer to a line over the values than their standard errors allow: (values,) each."""
    errors = spreads / np.sqrt(rows)
    slope, level = np.polyfit(values - values.mean(), means, 1, w=1 / errors)
    away = (means - level - slope * (values - values.mean())) / errors
    spread = (means - np.average(means, weights=errors**-2)) / errors
    return bool(
        (away**2).sum() < MOST_OF_CHANCE**2 * (len(values) - 2) and (away**2).sum() < MOST_UNEXPLAINED * (spread**2).sum()
    )
