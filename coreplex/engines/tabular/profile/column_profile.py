"""Describes one column for a profile, by the type of its values: counts, samples, the commonest values.

Of columns of text also whether they are nearly numbers, dates, or yes and no, and which words are written in several
ways. That works on distinct values only, and judges by the commonest `MOST_JUDGED` of them.
"""

import math
from typing import Any

import polars as pl

from coreplex.engines.tabular.findings import percent
from coreplex.engines.tabular.profile import numeric_profile
from coreplex.engines.tabular.profile.numeric_profile import json_value, rounded
from coreplex.engines.tabular.schema import Column, ColumnType, canonical, spell
from coreplex.engines.tabular.types import date_inference, inference, units
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.parse_rule import ParseRule
from coreplex.engines.tabular.types.vocabulary import AMBIGUOUS_WORDS

_TOP = 20
_SAMPLES = 5
MOST_JUDGED = 10_000
_ENOUGH = 0.5
_NEARLY = 0.95
_FEW = 8
_SHOWN = 200
_SPACES = r"\s+"


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
        return facts | _numbers(present, column, rows / values.len())
    if values.dtype == pl.String:
        return facts | _textual(present, column)
    if values.dtype == pl.Boolean:
        return facts | _counted(present, column)
    return facts | numeric_profile.describe_moments(present, rows / values.len())


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


def _numbers(present: pl.Series, column: Column, scale: float) -> dict[str, Any]:
    """Those of few different values have their commonest ones, too."""
    facts, distinct = numeric_profile.describe_numbers(present, scale)
    return facts | ({"top_values": _top(present, column)} if 0 < distinct <= _TOP else {})


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
        "length": {"min": lengths.min(), "max": lengths.max(), "mean": rounded(lengths.mean())},  # type: ignore[arg-type]
        "texture": _describe_near_types(counts, column.name),
    }
    if column.type is ColumnType.categorical and column.missing is None:
        meant = counts.filter(pl.col("value").str.strip_chars().is_in(sorted(AMBIGUOUS_WORDS))).sort(
            ["count", "value"], descending=[True, False]
        )
        facts["words_for_nothing"] = dict(meant.iter_rows())
    if column.type is ColumnType.text:
        facts["words_mean"] = rounded(present.head(100_000).str.count_matches(r"\S+").mean())  # type: ignore[arg-type]
    top = counts.top_k(_TOP, by=["count", "value"], reverse=[False, True]).sort(["count", "value"], descending=[True, False])
    return facts | {"top_values": _top_rows(top, column, present.len())}


def _describe_near_types(counts: pl.DataFrame, name: str) -> dict[str, Any]:
    """`almost`: cells that read as numbers, dates or yes and no where not all do (None: nothing near); `variants`:
    groups of spellings.

    `counts`: one row per distinct text, columns `value` and `count` (cells); `name`: of the column.
    """
    common = counts
    if counts.height > MOST_JUDGED:  # of equally common ones any, but the same each time
        common = counts.top_k(MOST_JUDGED, by=[pl.col("count"), pl.col("value").hash(0)])
    return {"almost": _almost(name, common, counts), "variants": _variants(common)}


def _almost(name: str, common: pl.DataFrame, counts: pl.DataFrame) -> dict[str, Any] | None:
    """How many cells would be of another type if the others were not there."""
    texts = _texts(common)
    if mixed := units.mixed_units(texts):
        return {"kind": "units", "cells": int(counts["count"].sum()), "examples": _by_unit(texts, mixed), "format": mixed}
    digits = texts.str.contains(r"\d")
    if int(digits.sum()) < _ENOUGH * 0.5 * texts.len():
        return _almost_boolean(counts)
    numbers = [] if inference.numbers_are_codes(texts.filter(digits)) else _number_rules(texts)
    found = (_except_some("number", rule, common, counts) for rule in numbers)
    return next(filter(None, found), None) or _almost_dates(name, common, counts)


def _number_rules(texts: pl.Series) -> list[ParseRule]:
    """Plain numbers, and numbers with thousands and the unit that those with one have; with a decimal point, then a
    comma.
    """
    unit = units.common_unit(texts.filter(units.looks_like_number(texts))) or ""
    marks = ((".", ","), (",", "."))
    return [ParseRule("float"), *(ParseRule("float", NumberFormat(*both, decorated=True, unit=unit).code) for both in marks)]


def _by_unit(texts: pl.Series, mixed: list[str]) -> list[str]:
    """One text of each unit."""
    return [texts.filter(texts.str.contains(unit, literal=True)).sort()[0] for unit in mixed]


def _texts(counts: pl.DataFrame) -> pl.Series:
    return counts.get_column("value").str.strip_chars()


def _share(fits: pl.Series, counts: pl.DataFrame) -> float:
    cells = counts.get_column("count")
    return float(cells.filter(fits).sum()) / float(cells.sum())


def _except_some(kind: str, rule: ParseRule, common: pl.DataFrame, counts: pl.DataFrame) -> dict[str, Any] | None:
    """Judged by the commonest values; counted over all of them, for the odd one may be one of many."""
    if _share(rule.typed(_texts(common)).is_not_null(), common) < _ENOUGH:
        return None
    texts = _texts(counts)
    odd = rule.typed(texts).is_null()
    if not odd.any():
        return None
    cells = int(counts.get_column("count").filter(odd).sum())
    return {"kind": kind, "cells": cells, "examples": _examples(texts.filter(odd)), "format": rule.format}


def _examples(texts: pl.Series) -> list[str]:
    return texts.bottom_k(5).sort().str.head(_SHOWN).to_list()


def _almost_boolean(counts: pl.DataFrame) -> dict[str, Any] | None:
    """Yes and no, and rarely something else. A third word that is common is a third category."""
    if counts.height > _FEW:
        return None
    read = ParseRule("boolean").typed(_texts(counts))
    both = read.n_unique() == 3  # true, false and null
    if not both or _share(read.is_not_null(), counts) < _NEARLY:
        return None
    return _except_some("boolean", ParseRule("boolean"), counts, counts)


def _almost_dates(name: str, common: pl.DataFrame, counts: pl.DataFrame) -> dict[str, Any] | None:
    """Dates in several formats, or dates and something else."""
    likely = [text for text in _texts(common).head(50).to_list() if date_inference.looks_like_date(text)]
    patterns = dict.fromkeys(pattern for text in likely for pattern in date_inference.candidates(pl.Series([text])))
    texts = _texts(common)
    masks = {pattern: ParseRule("datetime", pattern).typed(texts).is_not_null() for pattern in patterns}
    taken = _formats({p: mask for p, mask in masks.items() if date_inference.settles(name, texts.filter(mask), p)}, common)
    if len(taken) > 1 and sum(part["share"] for part in taken) >= _NEARLY:
        cells = int(counts.get_column("count").sum() * (1 - taken[0]["share"]))
        examples = [part["example"] for part in taken]
        return {"kind": "formats", "cells": cells, "examples": examples, "format": [part["format"] for part in taken]}
    return _except_some("date", ParseRule("datetime", taken[0]["format"]), common, counts) if taken else None


def _formats(masks: dict[str, pl.Series], common: pl.DataFrame) -> list[dict[str, Any]]:
    """The patterns that together read the most cells: each with its share of those the earlier ones leave.

    `masks`: which values each pattern reads.
    """
    texts, taken = _texts(common), []
    left = pl.repeat(value=True, n=texts.len(), eager=True)
    while masks:
        best = max(sorted(masks), key=lambda pattern: _share(masks[pattern] & left, common))
        fits = masks.pop(best) & left
        if not fits.any():
            break
        taken.append({"format": best, "share": _share(fits, common), "example": texts.filter(fits).min()})
        left &= ~fits
    return taken


def _variants(common: pl.DataFrame) -> list[list[str]]:
    """Groups of values that differ only in case or spaces: `Berlin`, `berlin `."""
    if common.height < 2:
        return []
    folded = pl.col("value").str.strip_chars().str.replace_all(_SPACES, " ").str.to_lowercase()
    groups = common.group_by(folded.alias("key")).agg("value", pl.len().alias("n"), pl.col("count").sum())
    return [
        [text[:_SHOWN] for text in sorted(group)[:5]]
        for group in groups.filter(pl.col("n") > 1).top_k(20, by="count").get_column("value").to_list()
    ]
