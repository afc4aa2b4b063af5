"""Computes the statistics of one column, by the type of its values. Sorting once gives quantiles, histogram and
distinct counts."""

import datetime as dt
import math
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.tabular.findings import percent
from coreplex.engines.tabular.profile import near_types, sentinels
from coreplex.engines.tabular.schema import Column, ColumnType, canonical, spell
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.vocabulary import AMBIGUOUS_WORDS

BINS = 20
_TOP = 20
_SAMPLES = 5
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
# Tukey's outer fences: beyond them a value is far out whatever the distribution.
_FENCE = 3.0


def profile_column(values: pl.Series, column: Column, rows: int) -> dict[str, Any]:
    """One entry of `columns` in a profile, JSON-ready: counts of cells, shares in percent (0..100).

    `values`: the column, or a sample of it; `rows`: the row count of the whole table. Counts of outliers and top values
    are those of `values`, counts of sentinels are scaled to the table.
    """
    missing = values.null_count()
    present = values.drop_nulls() if missing else values
    facts: dict[str, Any] = {
        "name": column.name,
        "type": column.type.value,
        "dtype": column.dtype,
        "reason": column.reason,
        "unit": NumberFormat.of(column.format).unit or None if values.dtype.is_numeric() else None,
        "form": column.format if values.dtype == pl.String else None,
        "nullable": column.nullable,
        "missing_count": missing,
        "missing_pct": percent(missing, values.len()),
        "unique_count": 0,
        "sample_values": _samples(present, column),
    }
    if present.is_empty():
        return facts
    if values.dtype.is_numeric():
        return facts | _numeric(present, column, rows / values.len())
    if values.dtype == pl.String:
        return facts | _textual(present, column)
    if values.dtype == pl.Boolean:
        return facts | _counted(present, column)
    return facts | _temporal(present, rows / values.len())


def json_value(value: Any) -> Any:
    """A JSON-ready value: dates as ISO 8601 text, infinities and NaN as None."""
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def _samples(present: pl.Series, column: Column) -> list[Any]:
    head = present.head(1000).unique(maintain_order=True).head(_SAMPLES).to_list()
    return [_short(_shown(column, value)) for value in head]


def _shown(column: Column, value: Any) -> Any:
    """Numbers stay numbers; infinite ones (JSON has none), yes and no, dates and the like are spelled as uploaded."""
    if isinstance(value, float) and math.isinf(value):
        return column.labels.get(canonical(value), canonical(value))
    return json_value(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else spell(column, value)


def _short(value: Any) -> Any:
    return f"{value[:200]}…" if isinstance(value, str) and len(value) > 200 else value


def _numeric(present: pl.Series, column: Column, scale: float) -> dict[str, Any]:
    finite = present.filter(present.is_finite()) if present.dtype.is_float() else present
    infinite = present.len() - finite.len()
    if finite.is_empty():
        return {"unique_count": present.n_unique(), "infinite_count": infinite}
    ordered = finite.sort()
    distinct = ordered.n_unique()
    low, high = ordered[0], ordered[-1]
    quantiles = _quantiles(ordered)
    coded = sentinels.find_sentinels(ordered, scale)
    facts = {
        "unique_count": distinct + (present.filter(present.is_infinite()).n_unique() if infinite else 0),
        "min": json_value(low),
        "max": json_value(high),
        "mean": json_value(finite.mean()),
        "std": json_value(finite.std()) if finite.len() > 1 else 0.0,
        "median": quantiles["0.5"],
        "quantiles": quantiles,
        "histogram": _histogram(ordered.to_numpy(), float(low), float(high)),
        "zeros": int((finite == 0).sum()),
        "negatives": int(_before(ordered, 0)) if low < 0 else 0,
        "skew": _rounded(finite.skew()) if distinct > 1 else 0.0,
        "infinite_count": infinite,
        "outliers": _outliers(sentinels.without_sentinels(ordered, coded)),
        "sentinels": coded,
    }
    return facts | ({"top_values": _top(present, column)} if distinct <= _TOP else {})


def _before(ordered: pl.Series, value: float, side: Any = "left") -> int:
    """How many values of a sorted column are less than `value` (or not greater, from the right)."""
    return int(np.searchsorted(ordered.to_numpy(), value, side=side))


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _quantiles(ordered: pl.Series) -> dict[str, Any]:
    """Linear interpolation between order statistics (Hyndman and Fan 1996, type 7)."""
    last = ordered.len() - 1
    found: dict[str, Any] = {}
    for share in _QUANTILES:
        position = share * last
        below = int(position)
        low, high = float(ordered[below]), float(ordered[min(below + 1, last)])
        found[str(share)] = json_value(low + (high - low) * (position - below))
    return found


def _histogram(ordered: Any, low: float, high: float) -> dict[str, list[Any]] | None:
    """Equal-width counts; the edges are one more than the counts."""
    if not math.isfinite(high - low):
        return None
    if low == high:
        return {"counts": [len(ordered)], "edges": [low, high]}
    edges = np.linspace(low, high, BINS + 1)
    inner = np.searchsorted(ordered, edges[1:-1], side="left")
    counts = np.diff(np.concatenate(([0], inner, [len(ordered)])))
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def _outliers(ordered: pl.Series) -> dict[str, Any]:
    """How many values of a sorted column lie beyond the fences `low` and `high`, and its ends."""
    quantiles = _quantiles(ordered)
    first, third = quantiles["0.25"], quantiles["0.75"]
    ends = {"min": json_value(ordered[0]), "max": json_value(ordered[-1])}
    if first is None or third is None or first == third:
        return {"count": 0, "low": None, "high": None, **ends}
    low, high = first - _FENCE * (third - first), third + _FENCE * (third - first)
    count = _before(ordered, low) + ordered.len() - _before(ordered, high, "right")
    return {"count": count, "low": json_value(low), "high": json_value(high), **ends}


def _top(present: pl.Series, column: Column) -> list[dict[str, Any]]:
    counts = present.alias("value").value_counts().sort(["count", "value"], descending=[True, False]).head(_TOP)
    return _top_rows(counts, column, present.len())


def _top_rows(counts: pl.DataFrame, column: Column, rows: int) -> list[dict[str, Any]]:
    return [
        {"value": _short(_shown(column, value)), "count": count, "pct": percent(count, rows)}
        for value, count in counts.iter_rows()
    ]


def _counted(present: pl.Series, column: Column) -> dict[str, Any]:
    return {"unique_count": present.n_unique(), "top_values": _top(present, column)}


def _textual(present: pl.Series, column: Column) -> dict[str, Any]:
    counts = present.alias("value").value_counts()
    lengths = present.str.len_chars()
    facts: dict[str, Any] = {
        "unique_count": counts.height,
        "length": {"min": lengths.min(), "max": lengths.max(), "mean": _rounded(lengths.mean())},  # type: ignore[arg-type]
        "texture": near_types.describe_near_types(counts, column.name),
    }
    if column.type is ColumnType.categorical and column.missing is None:
        meant = counts.filter(pl.col("value").str.strip_chars().is_in(sorted(AMBIGUOUS_WORDS))).sort(
            ["count", "value"], descending=[True, False]
        )
        facts["words_for_nothing"] = dict(meant.iter_rows())
    if column.type is ColumnType.text:
        facts["words_mean"] = _rounded(present.head(100_000).str.count_matches(r"\S+").mean())  # type: ignore[arg-type]
    top = counts.top_k(10 * _TOP, by="count").sort(["count", "value"], descending=[True, False]).head(_TOP)
    return facts | {"top_values": _top_rows(top, column, present.len())}


def _temporal(present: pl.Series, scale: float) -> dict[str, Any]:
    ordered = present.sort()
    low, high = ordered[0], ordered[-1]
    numbers = ordered.cast(pl.Datetime("us")).to_physical()
    histogram = _histogram(numbers.to_numpy(), float(numbers[0]), float(numbers[-1]))
    if histogram:
        edges = pl.Series(histogram["edges"]).cast(pl.Int64).cast(pl.Datetime("us")).to_list()
        histogram["edges"] = [edge.isoformat() for edge in edges]
    return {
        "unique_count": ordered.n_unique(),
        "min": low.isoformat(),
        "max": high.isoformat(),
        "median": json_value(ordered[ordered.len() // 2]),
        "range_days": (high - low).total_seconds() / 86_400,
        "histogram": histogram,
        "sentinels": sentinels.find_sentinels(ordered, scale),
    }
