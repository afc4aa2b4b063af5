"""Judges whether a column holds dates by more than its cells: its name, ranges, padding, separators.

`5.10.23` may be a day, a version or a score, `1577836800` a moment or an amount. A date that is none misleads more
than a text, so where the cells alone do not settle it something else must.
"""

import re

import polars as pl

from coreplex.engines.tabular.types import dates

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


def says_date(name: str) -> bool:
    """True if the name of a column says that it holds dates or moments."""
    return bool(_DATE_NAME.search(name))


def may_say_date(name: str) -> bool:
    """The same for names that may as well say something else: enough for digits all of which are days of our time."""
    return says_date(name) or bool(_PERHAPS_NAME.search(name))


def says_moment(name: str) -> bool:
    """The same for moments written as one number: a duration is none."""
    return says_date(name) and not _ELAPSED_NAME.search(name)


def says_place(name: str) -> bool:
    """True for a column of addresses, where what follows a number is a street."""
    return bool(_PLACE_NAME.search(name))


def settles(name: str, texts: pl.Series, pattern: str) -> bool:
    """True if texts that this pattern reads are dates indeed, and no versions, scores or seasons."""
    if says_date(name) or not dates.is_date_only(pattern) or texts.is_empty():
        return True
    if "." in pattern and _VERSION_NAME.search(name):
        return False
    if "%d" not in pattern and "%B" not in pattern:
        return _are_months(texts)
    if "%y" in pattern and "%B" not in pattern:
        return _days_of_two_digits(texts, pattern)
    return "." not in pattern or _in_our_time(texts, pattern)


def _are_months(texts: pl.Series) -> bool:
    """`2020-05`: padded, of our time, and not the seasons `2009/10`, `2010/11`."""
    year, after = (texts.str.extract(_SEASON, group).cast(pl.Int64) for group in (1, 2))
    seasons = bool(((year + 1) % 100 == after).fill_null(value=False).all())
    padded = bool((texts.str.len_bytes() == 7).all())
    years = texts.str.extract(r"(\d{4})").cast(pl.Int64)
    return padded and not seasons and bool(years.is_between(1800, 2200).all())


def _in_our_time(texts: pl.Series, pattern: str) -> bool:
    """Between dots a number of four digits is a year where it could be one of ours; 9999 means no end."""
    years = dates.column(texts, pattern).dt.year()
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
        return bool(last > 12) or (texts.len() >= _ENOUGH and dates.in_order(texts.head(1000).to_list(), pattern))  # type: ignore[operator]
    return bool(last >= 20) and days >= _ENOUGH and in_year >= 4  # type: ignore[operator]
