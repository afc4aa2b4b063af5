"""Finds columns of text that are nearly numbers, dates, or yes and no, and words that are written in several ways.

Works on distinct values only, and judges by the commonest `MOST` of them.
"""

from typing import Any

import polars as pl

from coreplex.engines.tabular.types import date_inference, inference, units
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.parse_rule import ParseRule

MOST = 10_000
_ENOUGH = 0.5
_NEARLY = 0.95
_FEW = 8
_SHOWN = 200
_SPACES = r"\s+"


def describe_near_types(counts: pl.DataFrame, name: str = "") -> dict[str, Any]:
    """`almost`: cells that read as numbers, dates or yes and no where not all do (None: nothing near); `variants`:
    groups of spellings.

    `counts`: one row per distinct text, columns `value` and `count` (cells); `name`: of the column.
    """
    common = counts.top_k(MOST, by="count") if counts.height > MOST else counts
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
    return texts.head(5).str.head(_SHOWN).to_list()


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
    taken = _formats([pattern for pattern in patterns if _settled(name, common, pattern)], common)
    if len(taken) > 1 and sum(part["share"] for part in taken) >= _NEARLY:
        cells = int(counts.get_column("count").sum() * (1 - taken[0]["share"]))
        examples = [part["example"] for part in taken]
        return {"kind": "formats", "cells": cells, "examples": examples, "format": [part["format"] for part in taken]}
    return _except_some("date", ParseRule("datetime", taken[0]["format"]), common, counts) if taken else None


def _settled(name: str, common: pl.DataFrame, pattern: str) -> bool:
    texts = _texts(common)
    return date_inference.settles(name, texts.filter(ParseRule("datetime", pattern).typed(texts).is_not_null()), pattern)


def _formats(patterns: list[str], common: pl.DataFrame) -> list[dict[str, Any]]:
    """The patterns that together read the most cells: each with its share of those the earlier ones leave."""
    texts, taken = _texts(common), []
    left = pl.repeat(value=True, n=texts.len(), eager=True)
    masks = {pattern: ParseRule("datetime", pattern).typed(texts).is_not_null() for pattern in patterns}
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
