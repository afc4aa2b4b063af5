"""Finds the patterns of written dates, and which of day and month comes first. ISO needs no thought; `03/04/2024` does.

Patterns are strptime's, where a month's name may be of any language in `month_names`; and `epoch:s`, `:ms`, `:us`,
`:ns` for the time since 1970. Times with an offset are kept as UTC. Times of day alone are no dates but numbers, see
`durations`.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence

import polars as pl

from coreplex.engines.tabular.types import month_names

COMPACT = "%Y%m%d"
# January 14, 2018 is 01142018, and 1142018 where a program took it for a number.
PADDED = ("%d%m%Y", "%m%d%Y")
COMPACT_MOMENTS = ("%Y%m%d%H%M%S", "%Y%m%d%H%M")
_COMPACT_PARTED = (
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%dT%H%M%S%#z",
    "%Y%m%dT%H%M",
    "%Y%m%d %H%M%S",
    "%Y%m%d_%H%M%S",
    "%Y%m%d-%H%M%S",
)
EPOCHS = {"epoch:s": 10**6, "epoch:ms": 10**3, "epoch:us": 1, "epoch:ns": 1e-3}
"""Microseconds in each unit of time since 1970."""
DIGITS = frozenset([COMPACT, *PADDED, *COMPACT_MOMENTS, *EPOCHS])
"""Patterns of digits alone, which programs send as numbers."""

_DATE = re.compile(r"(\d{1,4})([-/. ])(\d{1,2})([-/. ])(\d{1,4})", re.ASCII)
_MONTH = re.compile(r"(\d{4})([-/])\d{1,2}|\d{1,2}([-/])(\d{4})", re.ASCII)
_TIME = re.compile(r"([T :])\d{1,2}:\d\d(:\d\d)?([.,]\d+)?( ?[AaPp][Mm])?(Z| ?UTC| ?GMT| ?[+-]\d\d(?::?\d\d)?)?", re.ASCII)


def is_date_only(pattern: str) -> bool:
    """True for a pattern of days without a time."""
    return "%H" not in pattern and "%I" not in pattern and pattern not in EPOCHS


def has_offset(pattern: str) -> bool:
    """True for a pattern with an offset from UTC."""
    return pattern.endswith("%#z")


def swapped(pattern: str) -> str | None:
    """The pattern that reads the same digits with day and month exchanged, if there is one."""
    if not re.match(r"%d[-/. ]?%m|%m[-/. ]?%d", pattern):
        return None
    return pattern.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")


def column(raw: pl.Series, pattern: str) -> pl.Series:
    """The texts (n,) as Date or Datetime[us] (naive, UTC where an offset was given); null where a cell is not written
    so.
    """
    if pattern in EPOCHS:
        return _since_1970(raw, pattern)
    if month_names.is_named(pattern):
        raw, pattern = month_names.as_english(raw, pattern)
    if is_date_only(pattern):
        raw = raw.str.zfill(8) if pattern in PADDED else raw
        return raw.str.to_date(pattern, strict=False, cache=True)
    return _moments(raw, pattern)


def _moments(raw: pl.Series, pattern: str) -> pl.Series:
    """Moments; a day alone is its midnight, as programs leave the time out where it is zero."""
    found = _with_time(raw, pattern)
    if found.null_count() == raw.null_count() or pattern in COMPACT_MOMENTS:
        return found
    days = raw.str.to_date(_TIME_PART.split(pattern)[0], strict=False, cache=True)
    return found.fill_null(days.cast(pl.Datetime("us")))


_TIME_PART = re.compile(r".%[HI]")


def _with_time(raw: pl.Series, pattern: str) -> pl.Series:
    if has_offset(pattern):
        zoned = raw.str.to_datetime(pattern, time_unit="us", strict=False, cache=True)
        return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return raw.str.to_datetime(pattern, time_unit="us", strict=False, cache=True)


def _since_1970(raw: pl.Series, pattern: str) -> pl.Series:
    """Moments from 1980 on, and before 2100: what is farther away is no time of this unit."""
    micros = EPOCHS[pattern]
    count = raw.cast(pl.Int64, strict=False)
    if count.null_count() > raw.null_count():
        count = (raw.cast(pl.Float64, strict=False) * micros).round().cast(pl.Int64, strict=False)
    else:
        count = count // 1000 if pattern == "epoch:ns" else count * int(micros)
    return count.set(~count.is_between(_YEAR_1980, _YEAR_2100, closed="left"), None).cast(pl.Datetime("us"))


_YEAR_1980, _YEAR_2100 = (int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp()) * 10**6 for year in (1980, 2100))


def value(raw: str, pattern: str) -> dt.date | None:
    """One cell as a date or naive moment, by the parser that columns use; None where it is not written so."""
    found: dt.date | None = column(pl.Series([raw], dtype=pl.String), pattern).item()
    return found


def iso(raw: str, date_only: bool) -> dt.date | None:
    """ISO 8601 text from a program, whatever the file's own pattern is; None for other text. Offsets become UTC, naive."""
    try:
        moment = dt.datetime.fromisoformat(raw.strip())
    except ValueError:
        return None
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return moment.date() if date_only else moment


def looks_like_date(text: str) -> bool:
    """True for a text that may be a date: a cheap test before any pattern is tried."""
    return bool(_DATE.match(text) or _MONTH.fullmatch(text) or month_names.of(text))


_LOOKED_AT = 1_000
"""Texts among which the longest is looked for: it has all the parts that others may lack."""


def candidates(values: pl.Series) -> list[str]:
    """Every pattern that reads all of these texts (no nulls), best first."""
    if values.is_empty():
        return []
    longest = max(values.head(_LOOKED_AT).to_list(), key=len)
    parts = [part for text in dict.fromkeys((values[0], longest)) for part in _date_patterns(text)]
    possible = dict.fromkeys(date + time for date, rest in parts for time in _time_patterns(rest))
    return [pattern for pattern in possible if _reads(values, pattern)]


def _date_patterns(text: str) -> Iterator[tuple[str, str]]:
    """(pattern, the text after the date) for one cell."""
    found = _DATE.match(text)
    if not found:
        yield from _month_patterns(text)
        return
    first, gap, _middle, gap2, last = found.groups()
    rest = text[found.end() :]
    if len(first) == 4:
        yield f"%Y{gap}%m{gap2}%d", rest
    elif len(first) <= 2 and len(last) in (2, 4):
        year = "%Y" if len(last) == 4 else "%y"
        yield f"%d{gap}%m{gap2}{year}", rest
        yield f"%m{gap}%d{gap2}{year}", rest


def _month_patterns(text: str) -> Iterator[tuple[str, str]]:
    """The same for a month and its year, and for dates with the name of a month."""
    found = _MONTH.fullmatch(text)
    if found:
        yield (f"%Y{found[2]}%m" if found[1] else f"%m{found[3]}%Y"), ""
    elif named := month_names.of(text):
        yield named


def _time_patterns(rest: str) -> Iterator[str]:
    if not rest:
        yield ""
        return
    found = _TIME.fullmatch(rest)
    if not found:
        return
    gap, seconds, _fraction, half, zone = found.groups()
    if zone and not seconds and re.fullmatch(r" ?[+-]\d\d", zone):
        return  # `10:00-12` is a span of hours, `10:00:00-12` has the offset as PostgreSQL writes it
    hour = "%I" if half else "%H"
    noon = (" %p" if half.startswith(" ") else "%p") if half else ""
    for tail in _zone_patterns(zone):
        yield f"{gap}{hour}:%M{':%S' if seconds else ''}{noon}{tail}"
        if seconds:
            yield f"{gap}{hour}:%M:%S%.f{noon}{tail}"


def _zone_patterns(zone: str | None) -> tuple[str, ...]:
    """`Z` may stand in one row and an offset in the next."""
    if not zone:
        return ("",)
    space = " " if zone.startswith(" ") else ""
    word = zone.strip()
    return (space + word, f"{space}%#z") if word in ("Z", "UTC", "GMT") else (f"{space}%#z",)


def _reads(values: pl.Series, pattern: str) -> bool:
    return column(values, pattern).null_count() == 0 and _plausible(values, pattern)


def _plausible(values: pl.Series, pattern: str) -> bool:
    years = column(values, pattern).dt.year()
    low, high = years.min(), years.max()
    # %Y reads "24" as the year 24: a two-digit pattern is the better reading then.
    return isinstance(low, int) and isinstance(high, int) and low >= 1000 and high <= 9999


def compact(values: pl.Series) -> list[str]:
    """The patterns without separators that read all of these texts as days from 1900 to 2100; `20190131` first."""
    if values.str.contains(r"^(19|20)\d{6}([T _-]?\d{4}|[T _-]?\d{6}(Z|[+-]\d\d:?\d\d)?)$").all():
        return [pattern for pattern in (*COMPACT_MOMENTS, *_COMPACT_PARTED) if _in_our_time(_exactly(values, pattern))]
    if not values.str.contains(r"^\d{7,8}$").all():
        return []
    found = [COMPACT] if values.str.contains(r"^(19|20)\d{6}$").all() else []
    return [pattern for pattern in (*found, *PADDED) if _in_our_time(column(values, pattern))]


def _exactly(values: pl.Series, pattern: str) -> pl.Series:
    """Read by a compact pattern: digits alone must be as many as it has."""
    lengths = dict(zip(COMPACT_MOMENTS, (14, 12), strict=True))
    if pattern in lengths and not (values.str.len_bytes() == lengths[pattern]).all():
        return pl.Series([None], dtype=pl.Datetime("us"))
    return column(values, pattern)


def epochs(values: pl.Series) -> list[str]:
    """The unit of time since 1970 in which all of these numbers are moments from 1980 to 2100."""
    if not values.str.contains(r"^\d{9,19}(\.\d*)?$").all():
        return []
    return [unit for unit in EPOCHS if column(values, unit).null_count() == 0]


def _in_our_time(days: pl.Series) -> bool:
    return days.null_count() == 0 and bool(days.dt.year().is_between(1900, 2100).all())


def in_order(values: Sequence[str], pattern: str) -> bool:
    """True if the texts, read so, never go back (or never forward) in time: files are often sorted."""
    moments = column(pl.Series(values, dtype=pl.String), pattern)
    return bool(moments.is_sorted() or moments.is_sorted(descending=True))
