"""From storage to meaning: is a column of texts a category, a text or a key? Does a column of numbers only count the rows?

Decided on the whole stored table, with the reason recorded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from coreplex.engines.tabular.schema import ColumnType
from coreplex.engines.tabular.types import text_formats, units

_ARTICLE_WORDS = "ean|gtin|upc|isbn|imei|ssn|barcode|msisdn"
_KEY_WORDS = "id|ids|key|uuid|guid|nr|no|number|num|code|index|idx|pk|rowid|row|unnamed|serial|sku|" + _ARTICLE_WORDS
_ID_NAME = re.compile(rf"(^|[_\W])({_KEY_WORDS})([_\W]|\d*$)", re.IGNORECASE)
_CAMEL_ID = re.compile(r"(?<=[a-z])(ID|Id|Key|Uuid|Guid|Number|No|Nr|Code|Index)$")
_TIME_NAME = re.compile(r"year|month|day|week|hour|minute|time|date|period|quarter|age|tenure|lag|step|epoch", re.IGNORECASE)
_KEY_GAPS = 2.0
"""Blanks in a key at most (`Invoice No 2019-000123`): more words are a text, though they differ in their numbers alone."""
_FEW_ROWS = 20
_NEARLY_ALL = 0.95
"""Of a column named like a key: the share of rows that must have a value of their own."""
_PLAIN = pl.QueryOptFlags(projection_pushdown=True, slice_pushdown=True)
_SMALL = 2_000_000
_SAMPLE = 20_000
_BEGINNING = 256
_EXACT_ROWS = 5_000_000


@dataclass(frozen=True)
class Decided:
    """What a column is. `form`: what its texts look like (`forms`); `reason`: why, where that was a judgement."""

    type: ColumnType
    reason: str | None = None
    form: str | None = None


@dataclass
class _Table:
    scan: pl.LazyFrame
    rows: int
    nulls: Mapping[str, int]
    width: int
    facts: dict[str, float] = field(default_factory=dict)
    forms: dict[str, str | None] = field(default_factory=dict)

    def of(self, name: str, fact: str) -> float:
        return self.facts.get(f"{name}\0{fact}") or 0

    def count(self, name: str) -> int:
        """Rows that have a value."""
        return self.rows - self.nulls[name]

    @property
    def alone(self) -> bool:
        """One column is the data, whatever it looks like."""
        return self.width == 1


def decide_types(
    table: Path, strings: list[str], integers: list[str], floats: list[str], rows: int, nulls: Mapping[str, int]
) -> dict[str, Decided]:
    """What the columns of the stored table are, by name. Floats are looked at only where they may be keys printed `1.0`."""
    read = _Table(pl.scan_parquet(table, glob=False), rows, nulls, len(nulls))
    _look_at_texts(read, strings)
    _look_at_numbers(read, integers, floats)
    found = {name: _string_kind(name, read) for name in strings}
    found |= {name: _number_kind(name, ColumnType.integer, read) for name in integers}
    return found | {name: _number_kind(name, ColumnType.float, read) for name in floats}


def _ask(scan: pl.LazyFrame, questions: dict[str, pl.Expr], rows: int) -> dict[str, float]:
    """One row of answers; streamed where the table is large."""
    if not questions:
        return {}
    asked = scan.select(expression.alias(label) for label, expression in questions.items())
    if rows * len(questions) > _SMALL:
        return asked.collect(engine="streaming").row(0, named=True)
    return asked.collect(optimizations=_PLAIN).row(0, named=True)


def _look_at_texts(table: _Table, names: list[str]) -> None:
    """Counts of the columns, and the shape of their texts."""
    if not names:
        return
    step = max(1, table.rows // _SAMPLE)
    sample = _sample(table.scan, names, step)
    for name in names:
        texts = sample.get_column(name).drop_nulls()
        table.forms[name] = text_formats.text_format_of(texts)
        table.facts |= {
            f"{name}\0unique": sample.get_column(f"{name}\0hash").drop_nulls().n_unique(),
            f"{name}\0length": _mean(sample.get_column(f"{name}\0length")),
            f"{name}\0gaps": _mean(texts.str.count_matches(" ", literal=True)),
            f"{name}\0templates": texts.str.replace_all(r"\d+", "").n_unique(),
            f"{name}\0codes": float(_are_codes(texts)),
        }
    if step > 1:
        # Where texts repeat in the sample, so does the column. Hashes, not texts: long texts would all be held in memory.
        fine = [name for name in names if table.of(name, "unique") > 0.5 * sample.get_column(name).count()]
        hashed = {f"{name}\0unique": pl.col(name).drop_nulls().hash(seed=0) for name in fine}
        exact = table.rows <= _EXACT_ROWS
        asked = {label: values.n_unique() if exact else values.approx_n_unique() for label, values in hashed.items()}
        table.facts |= _ask(table.scan, asked, table.rows)


def _sample(scan: pl.LazyFrame, names: list[str], step: int) -> pl.DataFrame:
    """The beginnings of every `step`-th text, with the length and a hash of the whole."""
    asked: list[pl.Expr] = []
    for name in names:
        text = pl.col(name)
        # A hash of nothing is a hash.
        whole = pl.when(text.is_not_null()).then(text.hash(seed=0))
        asked += [text.str.head(_BEGINNING), text.str.len_chars().alias(f"{name}\0length"), whole.alias(f"{name}\0hash")]
    return scan.select(names).gather_every(step).select(asked).collect(engine="streaming")


def _mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]


def _are_codes(texts: pl.Series) -> bool:
    """True for capitals and digits, some digit in each (`B-MW 1234`, `AB 12 CD`); numbers with units are none."""
    coded = (texts.str.contains(_CODE) & texts.str.contains(r"\d")).all()
    return bool(coded and not units.looks_like_number(texts.head(100)).all())


_CODE = r"^[A-ZÄÖÜ0-9]+(?:[ ./_-][A-ZÄÖÜ0-9]+)*$"


def _look_at_numbers(table: _Table, integers: list[str], floats: list[str]) -> None:
    """Extremes of the columns; of those that may be keys the distinct values, and whether they stand in order."""
    if table.rows < _FEW_ROWS:
        return
    head = table.scan.select(floats).head(_FEW_ROWS).collect()
    whole = [name for name in floats if _is_whole(head.get_column(name))]
    names = [name for name in [*integers, *whole] if not _TIME_NAME.search(name)]
    if not names:
        return
    asked: dict[str, pl.Expr] = {}
    for name in names:
        column = pl.col(name)
        asked |= {f"{name}\0min": column.min(), f"{name}\0max": column.max()}
    table.facts |= _ask(table.scan, asked, table.rows)
    keys = [name for name in names if _may_be_key(name, table)]
    if not keys:
        return
    questions = {f"{name}\0distinct": pl.col(name).drop_nulls().n_unique() for name in keys}
    questions |= {f"{name}\0whole": (pl.col(name) == pl.col(name).floor()).all() for name in keys if name in whole}
    table.facts |= _ask(table.scan, questions, table.rows)
    order = table.scan.select(keys).head(_SAMPLE).collect()
    table.facts |= {f"{name}\0ordered": float((order.get_column(name).diff().drop_nulls() == 1).all()) for name in keys}


def _is_whole(values: pl.Series) -> bool:
    present = values.drop_nulls()
    return bool(present.len() and present.is_finite().all() and (present == present.floor()).all())


def _may_be_key(name: str, table: _Table) -> bool:
    """Before the distinct values of a column of numbers are counted: could it be a key at all?"""
    count = table.count(name)
    if count < _NEARLY_ALL * table.rows or table.of(name, "max") - table.of(name, "min") < _NEARLY_ALL * count - 1:
        return False
    return _named_key(name) or _without_gap(name, table)


def _named_key(name: str) -> bool:
    return bool(_ID_NAME.search(name) or _CAMEL_ID.search(name))


def _without_gap(name: str, table: _Table) -> bool:
    """As many whole numbers as there are rows between the least and the greatest."""
    return table.of(name, "max") - table.of(name, "min") == table.rows - 1 == table.count(name) - 1


def _string_kind(name: str, table: _Table) -> Decided:
    count = table.count(name)
    distinct, length, gaps = (table.of(name, fact) for fact in ("unique", "length", "gaps"))
    form = table.forms[name]
    if not count:
        return Decided(ColumnType.categorical, "no values")
    wordy = gaps >= 1.0 or length > 40
    unique = distinct == count and count >= _FEW_ROWS and not table.alone
    if form and form not in text_formats.KEY_FORMATS:
        repeats = distinct <= max(_FEW_ROWS, 0.5 * count) and form not in text_formats.GEOMETRIES
        return Decided(ColumnType.categorical, None, form) if repeats else Decided(ColumnType.text, _FORM_SAID[form], form)
    numbered = gaps <= _KEY_GAPS and bool(table.of(name, "templates") == 1 or table.of(name, "codes"))
    if unique and (form or (not wordy and gaps < 0.5) or numbered):
        return Decided(ColumnType.id, "every value is different, like a key", form)
    if form:
        return Decided(ColumnType.categorical, None, form)
    if distinct > 0.5 * count and wordy and distinct > _FEW_ROWS:
        return Decided(ColumnType.text, "mostly different texts of several words")
    if length > 80 and distinct > _FEW_ROWS:
        return Decided(ColumnType.text, "long texts")
    return Decided(ColumnType.categorical)


_FORM_SAID = {
    "url": "addresses of pages: models read their host and their words",
    "email": "e-mail addresses: models read their domain",
    "wkt": "geometries (WKT): models read their place and extent",
    "point": "points: models read their coordinates",
}


def _number_kind(name: str, kind: ColumnType, table: _Table) -> Decided:
    distinct = table.of(name, "distinct")
    if table.alone or not distinct or not table.facts.get(f"{name}\0whole", 1):
        return Decided(kind)
    if _named_key(name):
        if distinct == table.rows:
            return Decided(ColumnType.id, "every value is different and the name says key")
        if distinct >= _NEARLY_ALL * table.rows:
            return Decided(ColumnType.id, "nearly every value is different and the name says key")
    elif distinct == table.rows and table.of(name, "ordered"):
        return Decided(ColumnType.id, f"it counts the rows from {int(table.of(name, 'min'))} without a gap")
    return Decided(kind)
