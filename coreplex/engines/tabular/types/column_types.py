"""Decides the type of a stored column: of texts, whether they are categories, texts or keys; of numbers, whether they
are keys.

Decided on the whole stored table, with the reason recorded. Texts of one form (`TEXT_FORMATS`) have it as their
`format`. It says how models read them: the host of an URL, the domain of an e-mail address, the coordinates of a
geometry; keys (`uuid`, `iban`, `hash`) are ids where they are all different, and categories where they repeat.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.tabular.schema import GEOMETRIES, ColumnType
from coreplex.engines.tabular.types import units

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
_REAL = r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?"
_DEGREES = r"[+-]?(?:1[0-7]\d|\d{1,2})\.\d+"
_WKT = r"(?i:SRID=\d+;)?\s*(?i:POINT|LINESTRING|POLYGON|MULTIPOINT|MULTILINESTRING|MULTIPOLYGON|GEOMETRYCOLLECTION)"
TEXT_FORMATS = {
    "url": r"^(?:(?i:https?|ftp)://[^\s/?#]+|(?i:www)\.[^\s/?#]+\.[A-Za-z]{2,})(?:[/?#]\S*)?$",
    "email": r"^[^@\s,;<>]+@[^@\s,;<>]+\.[A-Za-z]{2,}$",
    "wkt": rf"^{_WKT}\s*(?:[ZMzm]{{1,2}}\s*)?(?:\(|(?i:EMPTY$))",
    "point": rf"^(?:\(\s*{_REAL}\s*[,; ]\s*{_REAL}\s*\)|{_DEGREES}\s*[,; ]\s*{_DEGREES})$",
    "uuid": r"^\{?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\}?$",
    "iban": r"^[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?$",
    "hash": r"^(?:0x)?(?:[0-9a-f]{16,}|[0-9A-F]{16,})$",
}
_KEY_FORMATS = frozenset(["uuid", "iban", "hash"])
_PLAIN = pl.QueryOptFlags(projection_pushdown=True, slice_pushdown=True)
_SMALL = 2_000_000
_SAMPLE = 20_000
_BEGINNING = 256
_EXACT_ROWS = 5_000_000


@dataclass(frozen=True)
class Decided:
    """The type of a column. `form`: the format of its texts (a key of `TEXT_FORMATS`); `reason`: why, where that was a
    judgement.
    """

    type: ColumnType
    reason: str | None = None
    form: str | None = None


@dataclass
class _TextFacts:
    """Of a sample of one column of texts; `unique` of the whole column where most texts of the sample differ."""

    form: str | None
    unique: int
    length: float
    """Characters in the mean."""
    gaps: float
    """Spaces in the mean."""
    templates: int
    """Different texts, once the digits are taken out."""
    codes: bool
    """Capitals and digits only."""


@dataclass
class _NumberFacts:
    """Of a whole column of numbers."""

    low: float
    high: float
    distinct: int = 0
    """Counted only where the column may be a key."""
    whole: bool = True
    ordered: bool = False
    """Each of the first rows is one more than the row before."""


@dataclass
class _Table:
    scan: pl.LazyFrame
    rows: int
    nulls: Mapping[str, int]
    width: int
    texts: dict[str, _TextFacts] = field(default_factory=dict)
    numbers: dict[str, _NumberFacts] = field(default_factory=dict)

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
    """The type of each named column of the stored table, by name. Floats are looked at only where they may be keys
    printed `1.0`.

    `rows`: of the table; `nulls`: missing cells of every column of the table, by name.
    """
    read = _Table(pl.scan_parquet(table, glob=False), rows, nulls, len(nulls))
    _look_at_texts(read, strings)
    _look_at_numbers(read, integers, floats)
    found = {name: _string_type(name, read) for name in strings}
    found |= {name: _number_type(name, ColumnType.integer, read) for name in integers}
    return found | {name: _number_type(name, ColumnType.float, read) for name in floats}


def _ask(table: _Table, questions: Mapping[str, pl.Expr]) -> dict[str, Any]:
    """The answer for each column; streamed where the table is large."""
    if not questions:
        return {}
    asked = table.scan.select(expression.alias(name) for name, expression in questions.items())
    if table.rows * len(questions) > _SMALL:
        return asked.collect(engine="streaming").row(0, named=True)
    return asked.collect(optimizations=_PLAIN).row(0, named=True)


def _look_at_texts(table: _Table, names: list[str]) -> None:
    """Fills in the facts of the columns of texts."""
    if not names:
        return
    step = max(1, table.rows // _SAMPLE)
    sample = _sample(table.scan, names, step)
    fine = []
    for name in names:
        parts = sample.get_column(name).struct.unnest()
        texts = parts["text"].drop_nulls()
        table.texts[name] = facts = _TextFacts(
            form=_text_format(texts),
            unique=parts["hash"].drop_nulls().n_unique(),
            length=_mean(parts["length"]),
            gaps=_mean(texts.str.count_matches(" ", literal=True)),
            templates=texts.str.replace_all(r"\d+", "").n_unique(),
            codes=_are_codes(texts),
        )
        if step > 1 and facts.unique > 0.5 * texts.len():
            fine.append(name)
    # Where texts repeat in the sample, so does the column. Hashes, not texts: long texts would all be held in memory.
    hashed = {name: pl.col(name).drop_nulls().hash(seed=0) for name in fine}
    exact = table.rows <= _EXACT_ROWS
    counted = {name: values.n_unique() if exact else values.approx_n_unique() for name, values in hashed.items()}
    for name, unique in _ask(table, counted).items():
        table.texts[name].unique = unique


def _sample(scan: pl.LazyFrame, names: list[str], step: int) -> pl.DataFrame:
    """For every `step`-th row a struct by column: the beginning of its `text`, `length` and `hash` of the whole."""

    def parts(name: str) -> pl.Expr:
        text = pl.col(name)
        # A hash of nothing is a hash.
        whole = pl.when(text.is_not_null()).then(text.hash(seed=0))
        return pl.struct(text=text.str.head(_BEGINNING), length=text.str.len_chars(), hash=whole).alias(name)

    return scan.select(names).gather_every(step).select(map(parts, names)).collect(engine="streaming")


def _mean(values: pl.Series) -> float:
    return float(values.cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]


def _are_codes(texts: pl.Series) -> bool:
    """True for capitals and digits, some digit in each (`B-MW 1234`, `AB 12 CD`); numbers with units are none."""
    coded = (texts.str.contains(_CODE) & texts.str.contains(r"\d")).all()
    return bool(coded and not units.looks_like_number(texts.head(100)).all())


_CODE = r"^[A-ZÄÖÜ0-9]+(?:[ ./_-][A-ZÄÖÜ0-9]+)*$"


def _text_format(texts: pl.Series) -> str | None:
    """The format (key of `TEXT_FORMATS`) that all of these texts have (no nulls), or None."""
    if texts.is_empty():
        return None
    first = str(texts[0])
    for form, pattern in TEXT_FORMATS.items():
        if re.match(pattern, first) and texts.str.contains(pattern).all():
            check = _CHECKS.get(form)
            if check is None or check(texts):
                return form
    return None


def _with_check_digits(texts: pl.Series) -> bool:
    """The check of ISO 13616 on the first account numbers: letters as two digits, the first four characters last, 1
    modulo 97.
    """
    codes = [code.replace(" ", "") for code in texts.head(_CHECKED)]
    return all(int("".join(str(int(letter, 36)) for letter in code[4:] + code[:4])) % 97 == 1 for code in codes)


_CHECKED = 20
_CHECKS: dict[str, Callable[[pl.Series], bool]] = {
    "hash": lambda texts: texts.str.len_bytes().n_unique() == 1,
    "iban": _with_check_digits,
}


def _look_at_numbers(table: _Table, integers: list[str], floats: list[str]) -> None:
    """Fills in the extremes of the columns; of those that may be keys the distinct values, and whether they stand in
    order.
    """
    if table.rows < _FEW_ROWS:
        return
    head = table.scan.select(floats).head(_FEW_ROWS).collect()
    whole = [name for name in floats if _is_whole(head.get_column(name))]
    names = [name for name in [*integers, *whole] if not _TIME_NAME.search(name)]
    extremes = _ask(table, {name: pl.struct(low=pl.col(name).min(), high=pl.col(name).max()) for name in names})
    table.numbers = {name: _NumberFacts(ends["low"] or 0, ends["high"] or 0) for name, ends in extremes.items()}
    keys = [name for name in names if _may_be_key(name, table)]
    if not keys:
        return
    distinct = {name: pl.col(name).drop_nulls().n_unique() for name in keys}
    for name, count in _ask(table, distinct).items():
        table.numbers[name].distinct = count
    for name, found in _ask(
        table, {name: (pl.col(name) == pl.col(name).floor()).all() for name in keys if name in whole}
    ).items():
        table.numbers[name].whole = found
    order = table.scan.select(keys).head(_SAMPLE).collect()
    for name in keys:
        table.numbers[name].ordered = bool((order.get_column(name).diff().drop_nulls() == 1).all())


def _is_whole(values: pl.Series) -> bool:
    present = values.drop_nulls()
    return bool(present.len() and present.is_finite().all() and (present == present.floor()).all())


def _may_be_key(name: str, table: _Table) -> bool:
    """Before the distinct values of a column of numbers are counted: could it be a key at all?"""
    count, facts = table.count(name), table.numbers[name]
    if count < _NEARLY_ALL * table.rows or facts.high - facts.low < _NEARLY_ALL * count - 1:
        return False
    return _named_key(name) or _without_gap(name, table)


def _named_key(name: str) -> bool:
    return bool(_ID_NAME.search(name) or _CAMEL_ID.search(name))


def _without_gap(name: str, table: _Table) -> bool:
    """As many whole numbers as there are rows between the least and the greatest."""
    return table.numbers[name].high - table.numbers[name].low == table.rows - 1 == table.count(name) - 1


def _string_type(name: str, table: _Table) -> Decided:
    count, facts = table.count(name), table.texts[name]
    distinct, length, gaps, form = facts.unique, facts.length, facts.gaps, facts.form
    if not count:
        return Decided(ColumnType.categorical, "no values")
    wordy = gaps >= 1.0 or length > 40
    unique = distinct == count and count >= _FEW_ROWS and not table.alone
    if form and form not in _KEY_FORMATS:
        repeats = distinct <= max(_FEW_ROWS, 0.5 * count) and form not in GEOMETRIES
        return Decided(ColumnType.categorical, None, form) if repeats else Decided(ColumnType.text, _FORM_SAID[form], form)
    numbered = gaps <= _KEY_GAPS and (facts.templates == 1 or facts.codes)
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


def _number_type(name: str, usual: ColumnType, table: _Table) -> Decided:
    facts = table.numbers.get(name)
    if facts is None or table.alone or not facts.distinct or not facts.whole:
        return Decided(usual)
    if _named_key(name):
        if facts.distinct == table.rows:
            return Decided(ColumnType.id, "every value is different and the name says key")
        if facts.distinct >= _NEARLY_ALL * table.rows:
            return Decided(ColumnType.id, "nearly every value is different and the name says key")
    elif facts.distinct == table.rows and facts.ordered:
        return Decided(ColumnType.id, f"it counts the rows from {int(facts.low)} without a gap")
    return Decided(usual)
