"""Finds the parse rule of a column from the distinct texts of a sample.

Order matters: words for yes and no, integers, plain numbers, numbers as people write them, dates, and text when nothing
else explains every cell. A column is a number only if all of its cells are: nothing is thrown away to make a type fit.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

import polars as pl

from coreplex.engines.tabular.schema import NUMERIC, ColumnType
from coreplex.engines.tabular.types import date_inference, dates, numbers, units, vocabulary
from coreplex.engines.tabular.types.numbers import CLOCK, NumberFormat
from coreplex.engines.tabular.types.parse_rule import STRING, ParseRule, ValueKind, is_missing

# Long cells are text; no number or date is this long.
LONGEST_TYPED = 64
# Yes and no in different capitals; more distinct words than this are no boolean.
_FEW_WORDS = 8
_LOOKS_DECIMAL_COMMA = r"^[^,]*\d,(\d{1,2}|\d{4,})\D*$"
_AMBIGUOUS = (r"^[+-]?\d{1,3}(,\d{3})+$", r"^[+-]?\d{1,3}(\.\d{3})+$")

_DIGIT_OR_INF = re.compile(r"\d|^[+-]?inf", re.IGNORECASE)
_FORMATS = tuple(
    NumberFormat(decimal, thousands)
    for decimal, thousands in ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
)


@dataclass(frozen=True)
class Conventions:
    """How the rest of the file is written: it settles what one column leaves open."""

    decimal_comma: bool = False
    day_first: bool = False


@dataclass(frozen=True)
class Inferred:
    """The rule of a column, and a second one that fits as well: the user should be told."""

    rule: ParseRule
    # A second reading that fits as well; the user should be told.
    other: ParseRule | None = None


def distinct(raw: pl.Series, missing: Collection[str] = ()) -> pl.Series:
    """The distinct texts of a sample that mean something, trimmed, in order of appearance; `missing` mean nothing
    either.
    """
    texts = raw.drop_nulls().str.strip_chars().unique(maintain_order=True)
    return texts.filter(~is_missing(texts, _NOTHING.union(missing)))


_NOTHING = vocabulary.MISSING - vocabulary.UNKNOWN


def plain_numbers(sample: pl.DataFrame) -> dict[str, ParseRule | None]:
    """The rule of each column that is plain integers or floats throughout the sample; None for the others."""
    parts = [sample[:, at : at + _AT_ONCE] for at in range(0, sample.width, _AT_ONCE)]
    return {name: rule for part in parts for name, rule in _plain_rules(part).items()}


_AT_ONCE = 100
"""Columns of one query, which holds several copies of all of its cells."""


@dataclass(frozen=True)
class _NumberFacts:
    """How the cells of one column read as plain numbers."""

    cells: int
    """That do not mean missing."""
    integers: int
    reals: int
    codes: bool
    """Some cell may be a code such as `007`."""
    long: bool
    """Some cell has more digits than a float keeps, and no point."""
    moments: bool
    """All cells have as many digits as `20240131235959`."""


def _plain_rules(sample: pl.DataFrame) -> dict[str, ParseRule | None]:
    trimmed = pl.all().str.strip_chars()
    sample = sample.select(pl.when(trimmed.is_in(sorted(vocabulary.MISSING))).then(None).otherwise(trimmed).name.keep())
    asked = [_number_facts(pl.col(name)).alias(name) for name in sample.columns]
    facts = sample.lazy().select(asked).collect(optimizations=pl.QueryOptFlags.none()).row(0, named=True)
    return {name: _plain_rule(name, _NumberFacts(**facts[name])) for name in sample.columns}


def _number_facts(text: pl.Expr) -> pl.Expr:
    """The fields of `_NumberFacts` as a struct."""
    real = text.cast(pl.Float64, strict=False)
    return pl.struct(
        cells=text.count(),
        integers=text.cast(pl.Int64, strict=False).count(),
        reals=(real.is_not_null() & real.is_not_nan()).sum(),
        codes=numbers.may_be_codes(text).any(),
        long=((text.str.len_bytes() > 17) & ~text.str.contains(".", literal=True)).any(),
        moments=(text.str.len_bytes() == date_inference.MOMENT_DIGITS).all(),
    )


def _plain_rule(name: str, facts: _NumberFacts) -> ParseRule | None:
    if not facts.cells or facts.codes or facts.long or facts.moments or date_inference.may_say_date(name):
        return None
    if facts.integers == facts.cells:
        return ParseRule("integer")
    return ParseRule("float") if facts.reals == facts.cells else None


def find_conventions(columns: list[pl.Series], points: int = 0) -> Conventions:
    """Looks for columns that settle the decimal sign: `5127,14` can only be a decimal comma. `points`: columns that use
    one.
    """
    comma = 0
    for texts in columns:
        head = texts.head(200)
        head = head.filter(~head.is_in(sorted(vocabulary.UNKNOWN)))
        if head.is_empty() or not head.str.contains(r"^[^A-Za-z]*\d[.,]\d").all():
            continue
        comma += bool(head.str.contains(_LOOKS_DECIMAL_COMMA).any() and head.str.contains(r"^[^,]*,[^,]*$").all())
        points += bool(head.str.contains(r"\d\.(\d{1,2}|\d{4,})\D*$").any())
    return Conventions(decimal_comma=comma > points)


def infer(name: str, texts: pl.Series, known: Conventions) -> Inferred:
    """The rule that explains every one of these distinct texts."""
    if texts.is_empty():
        return Inferred(STRING)
    if (texts.str.len_bytes().max() or 0) > LONGEST_TYPED:  # type: ignore[operator]
        return Inferred(STRING)
    found = _boolean(texts)
    if found:
        return found
    texts = texts.filter(~texts.is_in(sorted(vocabulary.UNKNOWN)))
    if texts.is_empty():
        return Inferred(STRING)
    return (
        _date(texts, date_inference.digit_patterns(name, texts), known)
        or _number(name, texts, known)
        or _date(
            texts,
            [pattern for pattern in date_inference.candidates(texts) if date_inference.settles(name, texts, pattern)],
            known,
        )
        or Inferred(STRING)
    )


def _boolean(texts: pl.Series) -> Inferred | None:
    if texts.len() > _FEW_WORDS:
        return None
    pair = vocabulary.boolean_pair(set(texts.str.to_lowercase().to_list()))
    return Inferred(ParseRule("boolean", pair)) if pair else None


def _number(name: str, texts: pl.Series, known: Conventions) -> Inferred | None:
    ambiguous = _ambiguous(texts, known)
    if ambiguous:
        return ambiguous
    if fits(ParseRule("integer"), texts):
        return Inferred(ParseRule("integer"))
    for kind in ("integer", "float"):
        if fits(ParseRule(kind, CLOCK.code), texts):
            return Inferred(ParseRule(kind, CLOCK.code))
    head = texts.head(16).to_list()
    if not all(_DIGIT_OR_INF.search(text) for text in head) or any(map(numbers.is_code, head)) or _too_long(texts):
        return None
    for written in [*_FORMATS, *_decorated(name, texts)]:
        if written.code and not all(map(written.text, head)):
            continue
        if fits(ParseRule("integer", written.code), texts):
            return Inferred(ParseRule("integer", written.code))
        if fits(ParseRule("float", written.code), texts):
            return Inferred(ParseRule("float", written.code))
    return None


_COUNTED = r"^\(\d+\)$"
_MINUS_AFTER = rf"\d[{units.MINUS}]\D*$"


def _decorated(name: str, texts: pl.Series) -> list[NumberFormat]:
    """Formats with a unit, brackets, or the minus behind; none where these may be a place in a street, `(1)` `(2)`, or
    grades.
    """
    behind = texts.filter(texts.str.contains(_MINUS_AFTER))
    grades = not behind.is_empty() and (not behind.str.contains(r"\d\D?\d").any() or texts.str.contains(r"^[−–-]").any())
    if grades or texts.str.contains(_COUNTED).all():
        return []
    unit = units.common_unit(texts)
    if unit and not units.is_known(unit) and date_inference.says_place(name):
        return []
    scaled = unit is None
    unit = units.scaled_currency(texts) if scaled else unit
    return [] if unit is None else [replace(written, decorated=True, scaled=scaled, unit=unit) for written in _FORMATS]


def _ambiguous(texts: pl.Series, known: Conventions) -> Inferred | None:
    """`1,234` everywhere: thousands, unless the file writes decimal commas. `1.234` everywhere: the other way round."""
    thousands, decimals = ParseRule("integer", NumberFormat(".", ",").code), ParseRule("float", NumberFormat(",").code)
    if texts.str.contains(_AMBIGUOUS[0]).all():
        single = texts.str.contains(r"^[+-]?\d{1,3},\d{3}$").all()
        if not single:
            return Inferred(thousands)
        return Inferred(decimals, thousands) if known.decimal_comma else Inferred(thousands, decimals)
    if known.decimal_comma and texts.str.contains(_AMBIGUOUS[1]).all() and not texts.str.contains(r"^[+-]?0").any():
        return Inferred(ParseRule("integer", NumberFormat(",", ".").code), ParseRule("float"))
    return None


def _too_long(texts: pl.Series) -> bool:
    """Only digits and more of them than 64 bits hold: a key, which a float would damage."""
    return bool(texts.str.contains(r"^[+-]?\d+$").all() and texts.str.contains(r"^[+-]?\d{18,}$").any())


def _date(texts: pl.Series, patterns: list[str], known: Conventions) -> Inferred | None:
    if not patterns:
        return None
    first = patterns[0]
    other = date_inference.swapped(first)
    if other not in patterns or other is None:
        return Inferred(ParseRule("datetime", first))
    chosen, rejected = (first, other) if _day_first(texts, first, other, known) else (other, first)
    return Inferred(ParseRule("datetime", chosen), ParseRule("datetime", rejected))


def _day_first(texts: pl.Series, day: str, month: str, known: Conventions) -> bool:
    """Files are often sorted: an order that only one reading explains decides; then dots and the file's habits."""
    if texts.len() > 2:
        sample = texts.head(1000).to_list()
        by_day, by_month = date_inference.in_order(sample, day), date_inference.in_order(sample, month)
        if by_day != by_month:
            return by_day
    return known.day_first or day.startswith(("%d.", "%d-"))


def fits(rule: ParseRule, texts: pl.Series) -> bool:
    """True if the rule reads every one of these texts. Looks at a few first, since most rules fail at once."""
    head = rule.typed(texts.head(16))
    return head.null_count() == 0 and (texts.len() <= 16 or rule.typed(texts).null_count() == 0)


def undecided(found: Inferred, texts: pl.Series | None) -> Inferred | None:
    """The rule of a column whose first rows, not the whole file, say too little to call it text; None where they say
    enough.
    """
    if found.rule.kind != "string" or texts is None or texts.len() > _FEW_WORDS:
        return None
    seen = set(texts.str.to_lowercase().to_list())
    if not seen <= vocabulary.UNKNOWN and not vocabulary.one_side(seen):
        return None
    return Inferred(ParseRule("undecided", "\n".join(sorted(seen - vocabulary.UNKNOWN))))


def forced(kind: ColumnType, rule: ParseRule, texts: pl.Series) -> ParseRule:
    """The rule for a type the user set: the way of reading that fits most of the sample."""
    if kind in (ColumnType.categorical, ColumnType.text):
        return STRING
    if kind is ColumnType.id:
        return rule if rule.kind == "integer" else STRING
    if kind in NUMERIC:
        known = [NumberFormat.of(rule.format)] if rule.kind == kind.value else _all_formats(texts)
        numeric: ValueKind = "integer" if kind is ColumnType.integer else "float"
        return _best([ParseRule(numeric, replace(written, chosen=True).code) for written in known], texts)
    if kind is ColumnType.boolean:
        return ParseRule("boolean", "01")
    if rule.kind == kind.value:
        return rule
    return _best(
        [ParseRule("datetime", pattern) for pattern in _any_patterns(texts)] or [ParseRule("datetime", "%Y-%m-%d")], texts
    )


def _all_formats(texts: pl.Series) -> list[NumberFormat]:
    """Without a unit (any currency and percent), and with each of those that occur."""
    found = ["", units.common_unit(texts) or "", *units.mixed_units(texts)]
    decorated = [replace(written, decorated=True, unit=unit) for unit in dict.fromkeys(found) for written in _FORMATS]
    currency = units.scaled_currency(texts)
    scaled = [] if currency is None else [replace(written, decorated=True, scaled=True, unit=currency) for written in _FORMATS]
    return [*_FORMATS, *decorated, *scaled, CLOCK]


def _best(rules: list[ParseRule], texts: pl.Series) -> ParseRule:
    head = texts.head(1000)
    return min(rules, key=lambda rule: rule.typed(head).null_count())


def _any_patterns(texts: pl.Series) -> list[str]:
    found = (pattern for text in texts.head(50) for pattern in date_inference.candidates(pl.Series([text])))
    return [*dict.fromkeys(found), dates.COMPACT]


def numbers_are_codes(texts: pl.Series) -> bool:
    """True if these texts would be numbers but for leading zeros or length: postcodes, phone numbers, keys."""
    return bool(texts.str.contains(r"^\+?\d+$").all() and (numbers.codes(texts).any() or _too_long(texts)))
