"""Reads dates by a pattern, as columns and as single cells: ISO, epochs, and names of months in seven languages.

Patterns are strptime's; and `epoch:s`, `:ms`, `:us`, `:ns` for the time since 1970. Times with an offset are kept as
UTC. Times of day alone are no dates but numbers, see `numbers`.

A month's name (`3. März 2021`, `1er mai 2021`, `Sept. 3rd, 2021 10:00`, `[10/Oct/2000:13:55:36 -0700]`) may be English,
German, French, Spanish, Italian, Portuguese or Dutch. No two of these languages use one name for two months, so a table
need not say its language, and may mix them.
"""

import datetime as dt
import re

import polars as pl

COMPACT = "%Y%m%d"
# January 14, 2018 is 01142018, and 1142018 where a program took it for a number.
PADDED = ("%d%m%Y", "%m%d%Y")
COMPACT_MOMENTS = ("%Y%m%d%H%M%S", "%Y%m%d%H%M")
EPOCHS = {"epoch:s": 10**6, "epoch:ms": 10**3, "epoch:us": 1, "epoch:ns": 1e-3}
"""Microseconds in each unit of time since 1970."""
ENDS = {pl.Date: (dt.date.min, dt.date.max), pl.Datetime: (dt.datetime.min, dt.datetime.max)}  # noqa: DTZ901
"""The first and the last day and moment (naive, in UTC) that Python has, in the years 1 and 9999; tables can hold others."""
DIGITS = frozenset([COMPACT, *PADDED, *COMPACT_MOMENTS, *EPOCHS])
"""Patterns of digits alone, which programs send as numbers."""

_NAMES = """
    jan january januar jänner janvier janv enero ene gennaio gen janeiro januari
    feb february februar feber février févr fév fevrier febrero febbraio fevereiro fev februari
    mar march märz mär mrz mars marzo março marco maart mrt
    apr april avril avr abril abr aprile
    may mai mayo maggio mag maio mei
    jun june juni juin junio giugno giu junho
    jul july juli juillet juil julio luglio lug julho
    aug august août aout agosto ago augustus
    sep september sept septembre septiembre setiembre set settembre setembro
    oct october oktober okt octobre octubre ottobre ott outubro out
    nov november novembre noviembre novembro
    dec december dezember dez décembre déc decembre diciembre dic dicembre dezembro
"""
_ENGLISH = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = {name: month for month, line in zip(_ENGLISH, _NAMES.strip().splitlines(), strict=True) for name in line.split()}
_NAME = r"(?P<month>[^\W\d_]{3,10})\.?"
_WEEKDAY = r"(?:[^\W\d_]{2,11}\.?,? +)?"
_ORDERS = (
    rf"^\[?{_WEEKDAY}(?P<day>\d{{1,2}})(?:\.|er|st|nd|rd|th)?[-/ ]? ?(?:de )?{_NAME}[-/, ]? ?(?:del? )?"
    r"(?P<year>\d{4}|\d{2})(?P<rest>\D.*?)?\]?$",
    rf"^{_WEEKDAY}{_NAME} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{4}})(?P<rest>\D.*)?$",
    rf"^{_WEEKDAY}{_NAME} +(?P<day>\d{{1,2}})(?P<rest> \d\d:\d\d:\d\d(?: [+-]\d{{4}}| UTC| GMT)?) (?P<year>\d{{4}})$",
    rf"^(?P<year>\d{{4}})[-/. ]{_NAME}[-/. ](?P<day>\d{{1,2}})(?P<rest>\D.*)?$",
    rf"^{_NAME}[-/, ] ?(?:del? )?(?P<year>\d{{4}})(?P<day>)(?P<rest>)$",
)
_MATCHES = [re.compile(order).match for order in _ORDERS]
_PARTS = re.compile(r"%[dbBYy]")


def is_date_only(pattern: str) -> bool:
    """True for a pattern of days without a time."""
    return "%H" not in pattern and "%I" not in pattern and pattern not in EPOCHS


def has_offset(pattern: str) -> bool:
    """True for a pattern with an offset from UTC."""
    return pattern.endswith("%#z")


def column(raw: pl.Series, pattern: str) -> pl.Series:
    """The texts (n,) as Date or Datetime[us] (naive, UTC where an offset was given); null where a cell is not written
    so, and outside the years 1 to 9999.
    """
    found = _read(raw, pattern)
    first, last = ENDS[found.dtype.base_type()]
    within = found.is_between(first, last)
    return found if within.all() else found.set(~within, None)


def _read(raw: pl.Series, pattern: str) -> pl.Series:
    if pattern in EPOCHS:
        return _since_1970(raw, pattern)
    if "%b" in pattern or "%B" in pattern:
        raw, pattern = _as_english(raw, pattern)
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
    """ISO 8601 text from a program, whatever the file's own pattern is; None for other text, and for a moment outside the years
    1 to 9999 in UTC. Offsets become UTC, naive."""
    try:
        moment = dt.datetime.fromisoformat(raw.strip())
        if moment.tzinfo is not None:
            moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return moment.date() if date_only else moment


def _as_english(raw: pl.Series, pattern: str) -> tuple[pl.Series, str]:
    """(the texts in English with the day first, the pattern that reads them so) for texts with names of months."""
    rest = pattern[max(part.end() for part in _PARTS.finditer(pattern)) :]
    year = "%y" if "%y" in pattern else "%Y"
    found = _english(raw)
    return (found["date"] + found["rest"]).alias(raw.name), f"%d %b {year}{rest}"


def _english(raw: pl.Series) -> pl.DataFrame:
    """`date` (`3 Mar 2021`; the first of the month where no day is given) and `rest` of each text, null where it is
    none.
    """
    found = _parts(raw, _ORDERS[0])
    for order in _ORDERS[1:]:
        if not found["date"].null_count():
            break
        other = _parts(raw, order)
        found = found.select(pl.coalesce(pl.col(name), other[name]) for name in found.columns)
    return found


def _parts(raw: pl.Series, order: str) -> pl.DataFrame:
    parts = raw.str.extract_groups(order).struct.unnest()
    month = parts["month"].str.to_lowercase().replace_strict(_MONTH, default=None, return_dtype=pl.String)
    day = parts["day"].replace("", "1")
    date = pl.concat_str(day, month, parts["year"], separator=" ")
    return parts.select(date=date, rest=pl.when(date.is_not_null()).then(pl.col("rest").fill_null("")))


def named_pattern(text: str) -> tuple[str, str] | None:
    """(the date as a strptime pattern, the text after it) of one cell; None where it is no such date."""
    found = next(filter(None, (match(text) for match in _MATCHES)), None)
    if not found or found["month"].lower() not in _MONTH:
        return None
    return f"{'%d ' if found['day'] else ''}%B {'%Y' if len(found['year']) == 4 else '%y'}", found["rest"] or ""
