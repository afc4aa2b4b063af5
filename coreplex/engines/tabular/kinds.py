"""From storage to meaning: is a column of texts a category, a text or a key? Is a column of integers a key?

Decided on the whole stored table, with the reason recorded.
"""

import re
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.schema import ColumnType

_ID_NAME = re.compile(r"(^|[_\W])(id|ids|key|uuid|guid|nr|no|number|num|code|index|idx|pk|rowid|row|unnamed|serial|sku)([_\W]|\d*$)|(?<=[a-z])(ID|Id|Key|Number|No|Nr|Code)\d*$", re.IGNORECASE)  # fmt: skip
_CAMEL_ID = re.compile(r"(?<=[a-z])(ID|Id|Key|Uuid|Guid|Number|Index)$")
_TIME_NAME = re.compile(r"year|month|day|week|hour|minute|time|date|period|quarter|age|tenure|lag|step|epoch", re.IGNORECASE)
_FEW_ROWS = 20


def decide(table: Path, strings: list[str], integers: list[str], rows: int) -> dict[str, tuple[ColumnType, str | None]]:
    """Type and reason for string and integer columns of the stored table."""
    names = [*strings, *integers]
    if not names:
        return {}
    facts = _facts(table, strings, integers)
    found = {name: _string_kind(name, facts, rows, len(names) == 1) for name in strings}
    if len(names) == 1:
        return found | dict.fromkeys(integers, (ColumnType.integer, None))
    return found | {name: _integer_kind(name, facts, rows) for name in integers}


def _facts(table: Path, strings: list[str], integers: list[str]) -> dict[str, float]:
    """Counts and lengths of the columns, in one streaming pass."""
    asked: list[pl.Expr] = []
    for name in [*strings, *integers]:
        column = pl.col(name)
        asked += [column.count().alias(f"{name}\0count"), column.n_unique().alias(f"{name}\0unique")]
    for name in strings:
        column = pl.col(name)
        asked.append(column.str.len_chars().mean().alias(f"{name}\0length"))
        asked.append(column.str.count_matches(r"\s+").mean().alias(f"{name}\0gaps"))
    for name in integers:
        column = pl.col(name)
        asked += [column.min().alias(f"{name}\0min"), column.max().alias(f"{name}\0max")]
    row: dict[str, float] = pl.scan_parquet(table).select(asked).collect(engine="streaming").row(0, named=True)
    return row


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


def _integer_kind(name: str, facts: dict[str, float], rows: int) -> tuple[ColumnType, str | None]:
    count, distinct = facts[f"{name}\0count"], facts[f"{name}\0unique"]
    if count < rows or distinct < rows or rows < _FEW_ROWS or _TIME_NAME.search(name):
        return ColumnType.integer, None
    low, high = facts[f"{name}\0min"], facts[f"{name}\0max"]
    if _ID_NAME.search(name) or _CAMEL_ID.search(name):
        return ColumnType.id, "every value is different and the name says key"
    if high - low == rows - 1 and low in (0, 1):
        return ColumnType.id, f"it counts the rows from {low} without a gap"
    return ColumnType.integer, None
