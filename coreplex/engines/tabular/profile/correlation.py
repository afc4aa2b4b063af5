"""Measures how strongly pairs of columns go together, by a measure that suits their types.

Numbers: Pearson and Spearman. Categories: Cramér's V with Bergsma's bias correction (2013). A category and a number:
the correlation ratio η. On an even sample of rows and at most `MOST_NUMBERS` + `MOST_CATEGORIES` columns.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coreplex.engines.tabular.schema import NUMERIC, ColumnType, TableSchema

MOST_NUMBERS = 200
MOST_CATEGORIES = 40
_LEVELS = 50
_SHOWN = 100
_WEAK = 0.1
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def pairs(sample: pl.DataFrame, schema: TableSchema, facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Up to 100 pairs `{column_a, column_b, method, value, …}`, strongest first, none below 0.1.

    `sample`: rows × columns; `facts`: the entries of a profile. `value` is −1..1 for Pearson and Spearman, else 0..1.
    """
    varied = {entry["name"]: entry["unique_count"] for entry in facts if entry["unique_count"] > 1}
    numbers = [c.name for c in schema if c.type in NUMERIC and c.name in varied][:MOST_NUMBERS]
    kinds = (ColumnType.categorical, ColumnType.boolean)
    few = [c.name for c in schema if c.type in kinds and varied.get(c.name, 99) <= _LEVELS][:MOST_CATEGORIES]
    if sample.height < 3 or not sample.width:
        return []
    values = {name: _numbers(sample.get_column(name)) for name in numbers}
    codes = {name: _codes(sample.get_column(name)) for name in few}
    found = [*_numeric_pairs(values), *_category_pairs(codes), *_mixed_pairs(codes, values)]
    strong = [pair for pair in found if abs(pair["value"]) >= _WEAK]
    return sorted(strong, key=lambda pair: -abs(pair["value"]))[:_SHOWN]


def matrix(sample: pl.DataFrame, numbers: list[str], categories: list[str]) -> list[dict[str, Any]]:
    """Every pair of the named columns, weak ones too, in the order of the columns. `sample`: rows × columns."""
    values = {name: _numbers(sample.get_column(name)) for name in numbers}
    codes = {name: _codes(sample.get_column(name)) for name in categories}
    return [*_numeric_pairs(values, 0.0, len(values) ** 2), *_category_pairs(codes), *_mixed_pairs(codes, values)]


def _numbers(column: pl.Series) -> Floats:
    values = column.cast(pl.Float64).to_numpy().copy()
    values[~np.isfinite(values)] = np.nan
    return values


def _codes(column: pl.Series) -> Codes:
    """0… for levels, −1 for missing."""
    return column.cast(pl.String).rank("dense").cast(pl.Int64).fill_null(0).to_numpy() - 1


def _pair(a: str, b: str, method: str, value: float, **more: float) -> dict[str, Any]:
    rounded = {key: round(float(number), 4) for key, number in more.items()}
    return {"column_a": a, "column_b": b, "method": method, "value": round(float(value), 4), **rounded}


def _numeric_pairs(values: dict[str, Floats], weak: float = _WEAK, most: int = _SHOWN) -> list[dict[str, Any]]:
    names = list(values)
    if len(names) < 2:
        return []
    pearson = _matrix(np.column_stack([_filled(values[name]) for name in names]))
    spearman = _matrix(np.column_stack([_filled(_ranks(values[name])) for name in names]))
    strength = np.where(np.abs(spearman) > np.abs(pearson) + 0.05, spearman, pearson)
    rows, columns = np.nonzero(np.triu(np.abs(strength) >= weak, k=1))
    order = np.argsort(-np.abs(strength[rows, columns]))[:most]
    return [
        _pair(
            names[i],
            names[j],
            "pearson" if strength[i, j] == pearson[i, j] else "spearman",
            strength[i, j],
            pearson=pearson[i, j],
            spearman=spearman[i, j],
        )
        for i, j in zip(rows[order], columns[order], strict=True)
    ]


def _filled(values: Floats) -> Floats:
    """Missing values at the mean: they neither add nor take away correlation. Scaled, so that 1e308 does not overflow."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.zeros_like(values)
    scaled = values / max(float(np.abs(known).max()), 1e-300)
    return np.where(np.isnan(scaled), np.nanmean(scaled), scaled)


def _ranks(values: Floats) -> Floats:
    ranks = pl.Series(values).fill_nan(None).rank().cast(pl.Float64).to_numpy()
    return np.asarray(ranks, dtype=np.float64)


def _matrix(columns: Floats) -> Floats:
    centred = columns - columns.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    length[length == 0] = np.inf
    unit = centred / length
    return np.asarray(np.clip(unit.T @ unit, -1.0, 1.0))


def _category_pairs(codes: dict[str, Codes]) -> list[dict[str, Any]]:
    names = list(codes)
    return [_pair(a, b, "cramers_v", cramers_v(codes[a], codes[b])) for i, a in enumerate(names) for b in names[i + 1 :]]


def cramers_v(a: Codes, b: Codes) -> float:
    """Bias-corrected Cramér's V, 0..1, of two coded columns (n,), −1 where missing (Bergsma 2013)."""
    known = (a >= 0) & (b >= 0)
    a, b = a[known], b[known]
    n = len(a)
    if n < 2:
        return 0.0
    width = int(b.max()) + 1
    table = np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width).astype(float)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    r, k = table.shape
    if min(r, k) < 2:
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / n
    phi = float(((table - expected) ** 2 / expected).sum()) / n
    phi = max(0.0, phi - (k - 1) * (r - 1) / (n - 1))
    smaller = min(k - (k - 1) ** 2 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    return float(min(1.0, np.sqrt(phi / smaller))) if smaller > 0 else 0.0


def _mixed_pairs(codes: dict[str, Codes], values: dict[str, Floats]) -> list[dict[str, Any]]:
    return [_pair(a, b, "correlation_ratio", correlation_ratio(codes[a], values[b])) for a in codes for b in values]


def correlation_ratio(codes: Codes, values: Floats) -> float:
    """η, 0..1: the root of the share of variance that group means explain, corrected for the number of groups.

    `codes`: (n,) group of each row, −1 where missing; `values`: (n,), NaN where missing.
    """
    known = (codes >= 0) & ~np.isnan(values)
    codes, values = codes[known], values[known]
    if len(values) < 3:
        return 0.0
    values = values / max(float(np.abs(values).max()), 1e-300)
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=values) / np.maximum(counts, 1)
    total = float(((values - values.mean()) ** 2).sum())
    groups = int((counts > 0).sum())
    if total <= 0 or groups < 2 or len(values) <= groups:
        return 0.0
    within = float(((values - means[codes]) ** 2).sum()) / (len(values) - groups)
    return float(np.sqrt(min(1.0, max(0.0, 1 - within / (total / (len(values) - 1))))))
