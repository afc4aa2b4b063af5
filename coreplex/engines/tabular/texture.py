"""What the distinct texts of a column look like: nearly numbers, nearly dates, the same word written in several ways.

Works on distinct values only, and only on the commonest `MOST` of them.
"""

from typing import Any

import polars as pl

from coreplex.engines.tabular import dates, inference
from coreplex.engines.tabular.rules import Rule

MOST = 10_000
_ENOUGH = 0.5
_SPACES = r"\s+"


def describe(counts: pl.DataFrame) -> dict[str, Any]:
    """From (value, count): cells that read as numbers or dates where not all do, and spelling variants."""
    common = counts.top_k(MOST, by="count") if counts.height > MOST else counts
    return _almost(common) | {"variants": _variants(common)}


def _almost(common: pl.DataFrame) -> dict[str, Any]:
    """How many cells would be numbers (or dates) if the others were not there."""
    texts = common.get_column("value").str.strip_chars()
    cells = int(common.get_column("count").sum())
    digits = texts.str.contains(r"\d")
    if int(digits.sum()) < _ENOUGH * 0.5 * texts.len():
        return {"almost": None}
    for kind, rule in _rules(texts.filter(digits)):
        fits = rule.typed(texts).is_not_null()
        reads = int(common.get_column("count").filter(fits).sum())
        if not fits.all() and reads >= _ENOUGH * cells:
            return {
                "almost": {
                    "kind": kind,
                    "cells": cells - reads,
                    "examples": texts.filter(~fits).head(5).to_list(),
                    "format": rule.format,
                }
            }
    return {"almost": None}


def _rules(texts: pl.Series) -> list[tuple[str, Rule]]:
    """Numbers, and the dates of the first few texts that look like one."""
    likely = [text for text in texts.head(50).to_list() if dates.looks_like_date(text)]
    patterns = dict.fromkeys(pattern for text in likely[:5] for pattern in dates.candidates(pl.Series([text])))
    numbers = [] if inference.numbers_are_codes(texts) else [("number", Rule("float")), ("number", Rule("float", ".,*"))]
    return [*numbers, *(("date", Rule("datetime", pattern)) for pattern in patterns)]


def _variants(common: pl.DataFrame) -> list[list[str]]:
    """Groups of values that differ only in case or spaces: `Berlin`, `berlin `."""
    if common.height < 2:
        return []
    folded = pl.col("value").str.strip_chars().str.replace_all(_SPACES, " ").str.to_lowercase()
    groups = common.group_by(folded.alias("key")).agg("value", pl.len().alias("n"), pl.col("count").sum())
    return [sorted(group)[:5] for group in groups.filter(pl.col("n") > 1).top_k(20, by="count").get_column("value").to_list()]
