"""Reads the cells of one column by a rule: text in, typed values out, null where a cell does not fit.

Rules are found on a sample (`inference.infer`) and then applied to the whole file; a cell that does not fit never
vanishes: the reader widens the rule and starts again, or reports the loss when the type was ordered by the user.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import polars as pl

from coreplex.engines.tabular.schema import Scalar
from coreplex.engines.tabular.types import dates, numbers, vocabulary
from coreplex.engines.tabular.types.numbers import NumberFormat
from coreplex.engines.tabular.types.value_parser import sentinel_values

ValueKind = Literal["boolean", "integer", "float", "datetime", "string", "undecided"]


@dataclass(frozen=True)
class ParseRule:
    """How the cells of one column are read. `format` is a `NumberFormat` code, a strptime pattern or a code of boolean
    words.

    `undecided`: the first rows say too little (nothing at all, or `yes` without a `no`). The cells are kept as text
    while they are among the words of `format` (one a line, lower case); any other cell does not fit, and the column is
    judged again.

    `missing` is what the column says of its missing cells (`vocabulary.missing_texts`): words, and values however they
    are written, so that -200 covers `-200.0`.
    """

    kind: ValueKind
    format: str | None = None
    missing: tuple[str, ...] | None = None

    @property
    def dtype(self) -> pl.DataType:
        """The Polars type of the values."""
        if self.kind == "datetime":
            return pl.Date() if dates.is_date_only(self.format or "%H") else pl.Datetime("us")
        return {"boolean": pl.Boolean(), "integer": pl.Int64(), "float": pl.Float64()}.get(self.kind, pl.String())

    @property
    def is_text(self) -> bool:
        """True where cells are stored as they stand."""
        return self.kind in ("string", "undecided")

    @property
    def unit(self) -> str:
        """The unit of its numbers; empty without one."""
        return NumberFormat.of(self.format).unit if self.kind in ("integer", "float") else ""

    @property
    def is_clock(self) -> bool:
        """True for durations and times of day read as seconds."""
        return self.kind in ("integer", "float") and NumberFormat.of(self.format).clock

    def with_unit(self, unit: str) -> "ParseRule":
        """The same for numbers whose unit stands above them."""
        if not unit or self.unit or self.kind not in ("integer", "float"):
            return self
        return replace(self, format=replace(NumberFormat.of(self.format), unit=unit).code)

    @property
    def is_empty(self) -> bool:
        """True while no cell has said anything."""
        return self.kind == "undecided" and not self.format

    @property
    def is_plain_integer(self) -> bool:
        """True for digits alone: each value has one spelling."""
        return self.kind == "integer" and self.format is None

    @property
    def is_plain_number(self) -> bool:
        """True for digits, a point and an exponent."""
        return self.kind in ("integer", "float") and NumberFormat.of(self.format).plain

    @cached_property
    def words(self) -> frozenset[str]:
        """The texts that mean "missing" here."""
        return vocabulary.missing_texts(self.kind, self.missing)

    @cached_property
    def sentinels(self) -> list[Scalar]:
        """The typed values that mean "missing" here."""
        if self.is_text or not self.missing:
            return []
        return sentinel_values(dtype_name(self.dtype), self.format, self.missing)

    def typed(self, raw: pl.Series) -> pl.Series:
        """Typed values of a column of text; null where the text does not fit. Sentinels are values still: see `read`."""
        if self.is_text:
            return self._texts(raw.str.strip_chars())
        return _COLUMN[self.kind](raw, self.format)

    def _texts(self, text: pl.Series) -> pl.Series:
        missing = is_missing(text, self.words)
        if self.kind == "undecided":
            missing |= ~text.str.to_lowercase().is_in((self.format or "").split("\n"))
        return text.set(missing, None) if missing.any() else text

    def quick(self, raw: pl.Expr) -> pl.Expr:
        """Typed values where nothing is unusual; to be checked by `doubt` and by counting nulls."""
        if self.kind == "string":
            return raw
        if self.is_plain_number:
            typed = raw.cast(self.dtype, strict=False)
            return typed if self.kind == "integer" else typed.fill_nan(None)
        if self.kind == "boolean":
            return _boolean_expression(raw, self.format)
        if self.kind == "datetime" and dates.is_date_only(self.format or "%H") and self.format not in dates.PADDED:
            return raw.str.to_date(self.format, strict=False, cache=True)
        return raw.map_batches(self.typed, return_dtype=self.dtype)

    def doubt(self, raw: pl.Expr) -> pl.Expr:
        """One truth value for a block: True if `quick` may be wrong about some cell and `read` must look closer."""
        if self.sentinels:
            return pl.lit(value=True)
        if self.kind == "string":
            return ((raw.str.strip_chars() != raw) | raw.is_in(sorted(self.words | vocabulary.MISSING))).any()
        if self.is_plain_number and not NumberFormat.of(self.format).chosen:
            return numbers.may_be_codes(raw).any()
        return pl.lit(value=False)

    def read(self, raw: pl.Series) -> tuple[pl.Series, pl.Series | None]:
        """(typed values, the texts that neither fit nor mean "missing"; None when all is well)."""
        typed, left = self._read(raw)
        return (typed.set(typed.is_in(self.sentinels), None) if self.sentinels else typed), left

    def _read(self, raw: pl.Series) -> tuple[pl.Series, pl.Series | None]:
        typed = self.typed(raw)
        if self.kind == "string" or typed.null_count() == raw.null_count():
            return typed, None
        left = raw.filter(typed.is_null() & raw.is_not_null())
        left = left.filter(~is_missing(left, self.words))
        if left.is_empty():
            return typed, None
        again = self.typed(left.str.strip_chars())
        if again.null_count() < left.len():
            typed = self.typed(raw.str.strip_chars())
        return typed, left.filter(again.is_null()) if again.null_count() else None


STRING = ParseRule("string")


def is_missing(raw: pl.Series, meaning: frozenset[str] = vocabulary.MISSING) -> pl.Series:
    """True where a text (n,) is one of those that mean missing, blanks around it apart."""
    return raw.str.strip_chars().is_in(sorted(meaning))


def _booleans(raw: pl.Series, code: str | None) -> pl.Series:
    return raw.to_frame("raw").select(_boolean_expression(pl.col("raw"), code)).to_series()


def _boolean_expression(raw: pl.Expr, code: str | None) -> pl.Expr:
    low = raw.str.to_lowercase()
    yes, no = (low.is_in(sorted(side)) for side in vocabulary.boolean_words(code))
    return pl.when(yes).then(pl.lit(value=True)).when(no).then(pl.lit(value=False))


_COLUMN: dict[str, Callable[[pl.Series, str | None], pl.Series]] = {
    "boolean": _booleans,
    "integer": lambda raw, code: numbers.integers(raw, NumberFormat.of(code)),
    "float": lambda raw, code: numbers.reals(raw, NumberFormat.of(code)),
    "datetime": lambda raw, pattern: dates.column(raw, pattern or "%Y-%m-%d"),
}


_NAMES: dict[type[pl.DataType] | pl.DataType, str] = {
    pl.Boolean: "bool",
    pl.String: "string",
    pl.Date: "date",
}


def dtype_name(dtype: pl.DataType) -> str:
    """`int64`, `float64`, `bool`, `string`, `date`, `datetime` and the narrower numbers."""
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    return _NAMES.get(type(dtype)) or str(dtype).lower()
