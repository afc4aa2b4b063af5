"""From storage to meaning: is a column of texts a category, a text or a key? Is a column of integers a key?

Decided on the whole stored table, with the reason recorded.
"""

import re
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.schema import ColumnType

_KEY_WORDS = "id|ids|key|uuid|guid|nr|no|number|num|code|index|idx|pk|rowid|row|unnamed|serial|sku"
_ID_NAME = re.compile(rf"(^|[_\W])({_KEY_WORDS})([_\W]|\d*$)", re.IGNORECASE)
_CAMEL_ID = re.compile(r"(?<=[a-z])(ID|Id|Key|Uuid|Guid|Number|No|Nr|Code|Index)$")
_TIME_NAME = re.compile(r"year|month|day|week|hour|minute|time|date|period|quarter|age|tenure|lag|step|epoch", re.IGNORECASE)
_FEW_ROWS = 20
_PLAIN = pl.QueryOptFlags(projection_pushdown=True, slice_pushdown=True)
_SMALL = 2_000_000
_FIRST_ROWS = 20_000
_EXACT_ROWS = 5_000_000


def decide(table: Path, strings: list[str], integers: list[str], rows: int) -> dict[str, tuple[ColumnType, str | None]]:
    """Type and reason for string and integer columns of the stored table."""
    names = [*strings, *integers]
    if not names:
        return {}
    scan = pl.scan_parquet(table, glob=False)
    facts = _facts(scan, strings, integers, rows)
    keys = [name for name in integers if _may_be_key(name, facts, rows)]
    facts |= _ask(scan, {f"{name}\0unique": pl.col(name).n_unique() for name in keys}, rows)
    alone = len(names) == 1
    found = {name: _string_kind(name, facts, rows, alone) for name in strings}
    return found | {name: _integer_kind(name, facts, rows, alone) for name in integers}


def _ask(scan: pl.LazyFrame, questions: dict[str, pl.Expr], rows: int) -> dict[str, float]:
    """One row of answers; streamed where the table is large."""
    if not questions:
        return {}
    asked = scan.select(expression.alias(label) for label, expression in questions.items())
    if rows * len(questions) > _SMALL:
        return asked.collect(engine="streaming").row(0, named=True)
    return asked.collect(optimizations=_PLAIN).row(0, named=True)


def _facts(scan: pl.LazyFrame, strings: list[str], integers: list[str], rows: int) -> dict[str, float]:
    """Counts and extremes of the columns, and the shape of their texts."""
    shapes = _shapes(scan, strings)
    asked: dict[str, pl.Expr] = {}
    for name in strings:
        column = pl.col(name)
        asked[f"{name}\0count"] = column.count()
        if shapes[f"{name}\0unique"] <= 0.5 * shapes[f"{name}\0first"]:
            continue
        # Hashes, not texts: long texts would all be held in memory.
        hashed = column.hash(seed=0)
        asked[f"{name}\0unique"] = hashed.n_unique() if rows <= _EXACT_ROWS else hashed.approx_n_unique()
    for name in integers:
        column = pl.col(name)
        asked |= {f"{name}\0count": column.count(), f"{name}\0min": column.min(), f"{name}\0max": column.max()}
    return shapes | _ask(scan, asked, rows)


def _shapes(scan: pl.LazyFrame, strings: list[str]) -> dict[str, float]:
    """Of the first texts: how many, how many different, mean length and inner spaces. Enough to tell words from prose.

    Where they repeat, so does the column, and its distinct values need not be counted.
    """
    asked: dict[str, pl.Expr] = {}
    for name in strings:
        column = pl.col(name)
        asked[f"{name}\0first"] = column.count()
        asked[f"{name}\0unique"] = column.n_unique()
        asked[f"{name}\0length"] = column.str.len_chars().mean()
        asked[f"{name}\0gaps"] = column.str.strip_chars().str.count_matches(" ", literal=True).mean()
    return _ask(scan.select(strings).head(_FIRST_ROWS), asked, 0)


def _may_be_key(name: str, facts: dict[str, float], rows: int) -> bool:
    """Before the distinct values of an integer column are counted: could it be a key at all?"""
    if rows < _FEW_ROWS or facts[f"{name}\0count"] < rows or _TIME_NAME.search(name):
        return False
    low, high = facts[f"{name}\0min"], facts[f"{name}\0max"]
    return high - low >= rows - 1 and (bool(_named_key(name)) or _counts_rows(low, high, rows))


def _named_key(name: str) -> bool:
    return bool(_ID_NAME.search(name) or _CAMEL_ID.search(name))


def _counts_rows(low: float, high: float, rows: int) -> bool:
    return high - low == rows - 1 and low in (0, 1)


def _string_kind(name: str, facts: dict[str, float], rows: int, alone: bool) -> tuple[ColumnType, str | None]:
    count, distinct = facts[f"{name}\0count"], facts[f"{name}\0unique"]
    distinct -= count < rows
    length, gaps = facts[f"{name}\0length"] or 0.0, facts[f"{name}\0gaps"] or 0.0
    if not count:
        return ColumnType.categorical, "no values"
    share = distinct / count
    wordy = gaps >= 1.0 or length > 40
    if share == 1 and count >= _FEW_ROWS and not wordy and gaps < 0.5 and not alone:
        return ColumnType.id, "every value is different, like a key"
    if share > 0.5 and wordy and distinct > _FEW_ROWS:
        return ColumnType.text, "mostly different texts of several words"
    if length > 80 and distinct > _FEW_ROWS:
        return ColumnType.text, "long texts"
    return ColumnType.categorical, None


def _integer_kind(name: str, facts: dict[str, float], rows: int, alone: bool) -> tuple[ColumnType, str | None]:
    if alone or facts.get(f"{name}\0unique", 0) < rows:
        return ColumnType.integer, None
    if _named_key(name):
        return ColumnType.id, "every value is different and the name says key"
    return ColumnType.id, f"it counts the rows from {facts[f'{name}{chr(0)}min']} without a gap"
