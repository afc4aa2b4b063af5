"""Finds the patterns of written dates, and judges whether a column holds dates at all.

ISO needs no thought; `03/04/2024` may be March or April, `5.10.23` a day, a version or a score, `1577836800` a moment or
an amount. A date that is none misleads more than a text, so where the cells alone do not settle it something else must:
the column's name, ranges, padding, separators, the order of rows.
"""

import re
from collections.abc import Iterator, Sequence

import polars as pl

from coreplex.engines.tabular.types.dates import (
    COMPACT,
    COMPACT_MOMENTS,
    EPOCHS,
    PADDED,
    column,
    is_date_only,
    named_pattern,
)

_COMPACT_PARTED = (
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%dT%H%M%S%#z",
    "%Y%m%dT%H%M",
    "%Y%m%d %H%M%S",
    "%Y%m%d_%H%M%S",
    "%Y%m%d-%H%M%S",
)
_DATE = re.compile(r"(\d{1,4})([-/. ])(\d{1,2})([-/. ])(\d{1,4})", re.ASCII)
_MONTH = re.compile(r"(\d{4})([-/])\d{1,2}|\d{1,2}([-/])(\d{4})", re.ASCII)
_TIME = re.compile(r"([T :])\d{1,2}:\d\d(:\d\d)?([.,]\d+)?( ?[AaPp][Mm])?(Z| ?UTC| ?GMT| ?[+-]\d\d(?::?\d\d)?)?", re.ASCII)
_DATE_NAME = re.compile(
    r"(?<!candi)(?<!man)(?<!up)date|updated|created|modified|datum|fecha|timestamp|birth|geburt|_on$|_at$|(?-i:(?<=[a-z])(At|On)$)"
    r"|(^|[_\W])(dt|day|dob|ymd|mdy|dmy|dia|giorno|jour|when|month|monat|mois|mes|since|seit|ts|time|zeit|epoch|unix|utc)([_\W]|$)",
    re.IGNORECASE,
)
_PERHAPS_NAME = re.compile(r"date|data_|^data$|(^|[_\W])tag([_\W]|$)", re.IGNORECASE)
"""Dates in one language, something else in another: enough beside cells that read as dates anyway."""
_ELAPSED_NAME = re.compile(
    r"elapsed|duration|dauer|runtime|latency|response|(^|[_\W])(cpu|wall|lap|run|ns|us)([_\W]|$)", re.IGNORECASE
)
_VERSION_NAME = re.compile(
    r"version|release|build|firmware|revision|chapter|section|score|(^|[_\W])(ver|rev|ip|os|kda|wdl)([_\W]|$)", re.IGNORECASE
)
_PLACE_NAME = re.compile(
    r"addr|adress|street|stra(ss|ß)e|location|place|direcci|(^|[_\W])(ort|rue|calle)([_\W]|$)", re.IGNORECASE
)
_ENOUGH = 10
_THREE = r"^(\d+)[-/. ](\d+)[-/. ](\d+)"
_SEASON = r"^(\d{4})[-/](\d{2})$"
MOMENT_DIGITS = 14
"""Of `20240131235959`."""
_MANY_MOMENTS = 10
_LOOKED_AT = 1_000
"""Texts among which the longest is looked for: it has all the parts that others may lack."""


def looks_like_date(text: str) -> bool:
    """True for a text that may be a date: a cheap test before any pattern is tried."""
    return bool(_DATE.match(text) or _MONTH.fullmatch(text) or named_pattern(text))


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
    elif named := named_pattern(text):
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
    """True if all are read, in years of four digits: %Y reads `24` as the year 24, where %y is the better reading."""
    read = column(values, pattern)
    return read.null_count() == 0 and bool(read.dt.year().is_between(1000, 9999).all())


def digit_patterns(name: str, texts: pl.Series) -> list[str]:
    """The patterns of `20240131`, `01312024`, `1577836800` where the name says date; of `20240131235959` also where
    many fit.
    """
    found = _compact(texts)
    if not found and _says_moment(name):
        return _epochs(texts)
    plain = texts.len() >= _MANY_MOMENTS and bool((texts.str.len_bytes() == MOMENT_DIGITS).all())
    sure = plain or bool(texts.str.contains("T", literal=True).any())
    return found if sure or may_say_date(name) else []


def _compact(values: pl.Series) -> list[str]:
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


def _epochs(values: pl.Series) -> list[str]:
    """The unit of time since 1970 in which all of these numbers are moments from 1980 to 2100."""
    if not values.str.contains(r"^\d{9,19}(\.\d*)?$").all():
        return []
    return [unit for unit in EPOCHS if column(values, unit).null_count() == 0]


def _in_our_time(days: pl.Series) -> bool:
    return days.null_count() == 0 and bool(days.dt.year().is_between(1900, 2100).all())


def swapped(pattern: str) -> str | None:
    """The pattern that reads the same digits with day and month exchanged, if there is one."""
    if not re.match(r"%d[-/. ]?%m|%m[-/. ]?%d", pattern):
        return None
    return pattern.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")


def in_order(values: Sequence[str], pattern: str) -> bool:
    """True if the texts, read so, never go back (or never forward) in time: files are often sorted."""
    moments = column(pl.Series(values, dtype=pl.String), pattern)
    return bool(moments.is_sorted() or moments.is_sorted(descending=True))


def settles(name: str, texts: pl.Series, pattern: str) -> bool:
    """True if texts that this pattern reads are dates indeed, and no versions, scores or seasons."""
    if _says_date(name) or not is_date_only(pattern) or texts.is_empty():
        return True
    if "." in pattern and _VERSION_NAME.search(name):
        return False
    if "%d" not in pattern and "%B" not in pattern:
        return _are_months(texts)
    if "%y" in pattern and "%B" not in pattern:
        return _days_of_two_digits(texts, pattern)
    return "." not in pattern or _years_of_ours(texts, pattern)


def _are_months(texts: pl.Series) -> bool:
    """`2020-05`: padded, of our time, and not the seasons `2009/10`, `2010/11`."""
    year, after = (texts.str.extract(_SEASON, group).cast(pl.Int64) for group in (1, 2))
    seasons = bool(((year + 1) % 100 == after).fill_null(value=False).all())
    padded = bool((texts.str.len_bytes() == 7).all())
    years = texts.str.extract(r"(\d{4})").cast(pl.Int64)
    return padded and not seasons and bool(years.is_between(1800, 2200).all())


def _years_of_ours(texts: pl.Series, pattern: str) -> bool:
    """Between dots a number of four digits is a year where it could be one of ours; 9999 means no end."""
    years = column(texts, pattern).dt.year()
    return bool((years.is_between(1800, 2200) | (years == 9999)).all())


def _days_of_two_digits(texts: pl.Series, pattern: str) -> bool:
    """`05.10.23`: padded with zeros; or the days go far beyond 12 where the months never do; between slashes less is
    enough.
    """
    first, second = (texts.str.extract(_THREE, group) for group in (1, 2))
    both = pl.concat([first, second])
    if (both.str.len_bytes() == 2).all() and both.str.starts_with("0").any():
        return True
    day, month = (first, second) if pattern.startswith("%d") else (second, first)
    last, days, in_year = day.cast(pl.Int64).max(), day.n_unique(), month.n_unique()
    if "/" in pattern:
        return bool(last > 12) or (texts.len() >= _ENOUGH and in_order(texts.head(1000).to_list(), pattern))  # type: ignore[operator]
    return bool(last >= 20) and days >= _ENOUGH and in_year >= 4  # type: ignore[operator]


def _says_date(name: str) -> bool:
    """True if the name of a column says that it holds dates or moments."""
    return bool(_DATE_NAME.search(name))


def may_say_date(name: str) -> bool:
    """The same for names that may as well say something else: enough for digits all of which are days of our time."""
    return _says_date(name) or bool(_PERHAPS_NAME.search(name))


def _says_moment(name: str) -> bool:
    """The same for moments written as one number: a duration is none."""
    return _says_date(name) and not _ELAPSED_NAME.search(name)


def says_place(name: str) -> bool:
    """True for a column of addresses, where what follows a number is a street."""
    return bool(_PLACE_NAME.search(name))
