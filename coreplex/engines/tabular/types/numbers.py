"""Reads numbers as people write them: `1234.5`, `1.234,50`, `$ 1,234.50`, `12 %`, `(3.00)`, `3.00-`, `$1.2M`,
`00:12:33`.

One rule in two shapes that a property test holds together: over a Polars column and over one Python value. Codes
with leading zeros (`007`), phone numbers and digit strings too long for 64 bits are not numbers and are refused,
unless a person chose the type.

Durations and times of day, `00:12:33`, `-1:02:03.5`, `2 days 03:04:05`, have no type of their own: as seconds (since
midnight, for a time of day) they compare, and have a mean. Two parts alone, `12:33`, stay text: hours and minutes,
minutes and seconds, or a score.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import polars as pl

from coreplex.engines.tabular.types import units
from coreplex.engines.tabular.types.units import CURRENCY, MINUS, SPACES

# Beyond this, a float no longer tells a whole number from its neighbour.
EXACT = 2**53
PLAIN_INTEGER = re.compile(r"[+-]?0*\d{1,19}", re.ASCII)
PLAIN_FLOAT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)", re.ASCII | re.IGNORECASE)

_CLOCK = (
    r"^(?P<sign>-)?(?:(?P<days>[0-9]{1,6}) days?,? )?(?P<hours>[0-9]{1,4}):(?P<minutes>[0-5][0-9]):(?P<seconds>[0-5][0-9])"
    r"(?P<part>\.[0-9]+)?$"
)
"""For Python and for Polars, whose `\\d` is any digit of Unicode."""
_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


@dataclass(frozen=True)
class NumberFormat:
    """How the numbers of a column are written: the signs of decimals and thousands, and what may surround a number.

    `chosen`: a person said that these are numbers, so `007` is 7, and `1.0` an integer; any currency or percent sign
    may stand there unless there is a unit.
    """

    decimal: str = "."
    thousands: str = ""
    decorated: bool = False
    chosen: bool = False
    scaled: bool = False
    """`K`, `M`, `bn` after a number multiply it (`units.SCALES`)."""
    unit: str = ""
    """`kg`, `km/h`, `%`, `$`: never another. It may be left out if it is a usual one, and beside 0."""

    @property
    def clock(self) -> bool:
        """True for durations and times of day, which are numbers of seconds."""
        return self.decimal == ":"

    @property
    def plain(self) -> bool:
        """True where digits, a point and an exponent are all that is written."""
        return self.decimal == "." and not self.thousands and not self.decorated

    @property
    def beside_numbers(self) -> "NumberFormat":
        """With the unit beside the numbers, where the file has it above them."""
        return replace(self, decorated=True) if self.unit else self

    @property
    def code(self) -> str | None:
        """A short text, None for plain numbers. `'.,*!#$'`: decimal, thousands (or `_`), brackets, chosen, scaled,
        unit.
        """
        if self == NumberFormat():
            return None
        flags = "".join(sign for sign, has in zip("*!#", (self.decorated, self.chosen, self.scaled), strict=True) if has)
        return f"{self.decimal}{self.thousands or '_'}{flags}{self.unit}"

    @staticmethod
    @lru_cache(maxsize=256)
    def of(code: str | None) -> "NumberFormat":
        """The format of a `code`; plain numbers for None."""
        if not code:
            return NumberFormat()
        unit = code[2:].lstrip("*!#")
        decorated, chosen, scaled = (sign in code[2 : len(code) - len(unit)] for sign in "*!#")
        return NumberFormat(code[0], code[1].replace("_", ""), decorated, chosen, scaled, unit)

    @cached_property
    def pattern(self) -> str:
        """One regular expression for both shapes; RE2-safe (no look-around)."""
        if self.clock:
            return _CLOCK
        decimal = re.escape(self.decimal)
        whole = r"\d+"
        if self.thousands:
            gap = "[ \u00a0\u202f\u2009]" if self.thousands == " " else re.escape(self.thousands)
            indian = r"\d{1,2}(?:,\d{2})+,\d{3}|" if self.thousands == "," else ""  # 1,34,258
            whole = rf"(?:\d{{1,3}}(?:{gap}\d{{3}})+|{indian}\d+)"
        number = rf"(?:{whole}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
        if not self.decorated:
            return rf"^[+-]?{number}$"
        if self.scaled:
            number += rf"(?:[{SPACES}]*(?:{'|'.join(units.SCALES)}))?"
        sign = rf"[+{MINUS}]?[{SPACES}]*"
        core = rf"{sign}(?:{self._unit}[{SPACES}]*)?{sign}{number}(?:[{SPACES}]*{self._unit})?"
        if self.unit and not units.is_known(self.unit):
            core = rf"(?:{sign}{number}[{SPACES}]*{self._unit}|0)"
        after = rf"(?:{self._unit}[{SPACES}]*)?{number}[{MINUS}](?:[{SPACES}]*{self._unit})?"
        return rf"^(?:{core}|\({core}\)|{after})$"

    @property
    def _unit(self) -> str:
        """What may stand beside a number; without a unit, and unless a person chose, nothing."""
        if self.unit:
            return units.pattern(self.unit)
        return f"(?:%|{CURRENCY})" if self.chosen else "(?:)"

    @property
    def _letters(self) -> bool:
        """True for a unit that is no noise (`_NOISE`) and has to be taken away."""
        return bool(_NOISE.sub("", self.unit))

    @cached_property
    def _matches(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self.pattern, re.ASCII).match

    def text(self, raw: str) -> str | None:
        """The same number as plain text, or None if `raw` is not written in this format."""
        raw = raw.strip()
        found = self._matches(raw)
        if not found:
            return None
        if self.clock:
            return _clock_text(found)
        kept = re.sub(rf"{self._unit}([{SPACES})]*)$", r"\1", raw) if self._letters else raw
        kept = _NOISE.sub("", kept) if self.decorated or self.thousands else kept
        kept = _OTHER_MINUS.sub("-", kept) if self.decorated else kept
        negative = raw.startswith("(") or kept.endswith("-")
        kept = kept.removesuffix("-")
        for scale, power in units.SCALES.items() if self.scaled else ():
            kept = re.sub(f"(?:{scale})$", f"e{power}", kept)
        kept = kept.replace(self.thousands, "") if self.thousands.strip() else kept
        kept = kept.replace(self.decimal, ".")
        return f"-{kept}" if negative else kept

    def column(self, raw: pl.Series) -> pl.Series:
        """The same rule over text: plain number text, null where a cell is not written in this format."""
        raw = raw.str.strip_chars()
        if self.clock:
            return _clock_column(raw)
        good = raw.str.contains(self.pattern)
        kept = raw.str.replace(rf"{self._unit}([{SPACES})]*)$", "${1}") if self._letters else raw
        if self.decorated or self.thousands:
            kept = kept.str.replace_all(_NOISE.pattern, "")
            kept = kept.str.replace_all(_OTHER_MINUS.pattern, "-") if self.decorated else kept
            negative = raw.str.starts_with("(") | kept.str.ends_with("-")
            kept = kept.str.strip_suffix("-")
            for scale, power in units.SCALES.items() if self.scaled else ():
                kept = kept.str.replace(f"(?:{scale})$", f"e{power}")
            if self.thousands.strip():
                kept = kept.str.replace_all(self.thousands, "", literal=True)
            kept = pl.select(pl.when(negative).then("-" + pl.lit(kept)).otherwise(pl.lit(kept))).to_series()
        if self.decimal != ".":
            kept = kept.str.replace_all(self.decimal, ".", literal=True)
        return pl.select(pl.when(good).then(pl.lit(kept))).to_series()


def _clock_text(found: re.Match[str]) -> str:
    """The seconds of one cell as plain number text."""
    whole = sum(int(found[name] or 0) * seconds for name, seconds in _SECONDS.items())
    return f"{found['sign'] or ''}{whole}{found['part'] or ''}"


def _clock_column(raw: pl.Series) -> pl.Series:
    """The seconds of texts (n,) as plain number text; null where a cell is not written so."""
    parts = raw.str.extract_groups(_CLOCK).struct.unnest()
    whole = pl.sum_horizontal(pl.col(name).cast(pl.Int64).fill_null(0) * seconds for name, seconds in _SECONDS.items())
    written = pl.concat_str(pl.col("sign").fill_null(""), whole, pl.col("part").fill_null(""))
    return parts.select(pl.when(pl.col("minutes").is_not_null()).then(written)).to_series()


CLOCK = NumberFormat(":", ":", unit="s")

# Letters that are not an exponent, currency signs, spaces, brackets: whatever may stand around the digits.
_NOISE = re.compile(rf"{CURRENCY}|[{SPACES}()%]")
_OTHER_MINUS = re.compile(rf"[{MINUS}]")


def is_code(text: str) -> bool:
    """True for texts of digits that would lose something as a number: `007`, `+41791234567`, more than 19 digits."""
    if text.startswith("+"):
        return len(text) >= 8 and text[1:].isdigit()
    body = text.lstrip("-")
    return len(body) > 1 and body[0] == "0" and body[1].isdigit()


def codes(text: pl.Series) -> pl.Series:
    """`is_code` over a column of plain number text."""
    zero = text.str.starts_with("0") & (text.str.len_bytes() > 1) & ~text.str.starts_with("0.")
    if zero.any():
        zero = text.str.contains(r"^0\d")
    minus = text.str.starts_with("-0")
    if minus.any():
        zero = zero | text.str.contains(r"^-0\d")
    plus = text.str.starts_with("+")
    return (zero | text.str.contains(r"^\+\d{7,}$")) if plus.any() else zero


def may_be_codes(text: pl.Expr) -> pl.Expr:
    """A cheap test that finds every code, and a few numbers such as `0e5` besides."""
    zero = text.str.starts_with("0") & (text.str.len_bytes() > 1) & ~text.str.starts_with("0.")
    return zero | text.str.starts_with("-0") & ~text.str.starts_with("-0.") | text.str.starts_with("+")


def integer(raw: str, written: NumberFormat) -> int | None:
    """The integer (64 bits) that a cell is in this format; None where it is none, or a code such as `007`."""
    text = raw if written.plain else written.text(raw)
    if text is None or (is_code(text) and not written.chosen):
        return None
    if not PLAIN_INTEGER.fullmatch(text):
        return whole(real(raw, written)) if written.chosen else None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


def whole(value: float | None) -> int | None:
    """The integer that a float is, if it surely is one."""
    return int(value) if value is not None and value.is_integer() and abs(value) < EXACT else None


def real(raw: str, written: NumberFormat) -> float | None:
    """The float that a cell is in this format; None where it is none, or a code such as `007`."""
    text = raw if written.plain else written.text(raw)
    if text is None or not PLAIN_FLOAT.fullmatch(text) or (is_code(text) and not written.chosen):
        return None
    return float(text)


def integers(raw: pl.Series, written: NumberFormat) -> pl.Series:
    """Int64, null where a cell is not an integer written in this format."""
    text = raw if written.plain else written.column(raw)
    value = text.cast(pl.Int64, strict=False)
    return _or_whole(value, text) if written.chosen else _without(value, codes(text))


def reals(raw: pl.Series, written: NumberFormat) -> pl.Series:
    """Float64, null where a cell is not a number written in this format. `1e400` is infinity."""
    text = raw if written.plain else written.column(raw)
    value = text.cast(pl.Float64, strict=False)
    return _without(value, value.is_nan() if written.chosen else codes(text) | value.is_nan())


def _or_whole(value: pl.Series, text: pl.Series) -> pl.Series:
    """`whole` for the texts that are no integers."""
    if value.null_count() == text.null_count():
        return value
    float_ = text.cast(pl.Float64, strict=False)
    kept = float_.set((float_ != float_.floor()) | (float_.abs() >= EXACT), None)
    return value.fill_null(kept.cast(pl.Int64))


def _without(value: pl.Series, refused: pl.Series) -> pl.Series:
    if not refused.any():
        return value
    return value.set(refused.fill_null(False), None)
