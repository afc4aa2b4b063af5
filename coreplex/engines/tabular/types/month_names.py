"""Reads dates with the name of a month: `3. März 2021`, `1er mai 2021`, `Sept. 3rd, 2021 10:00`, `[10/Oct/2000:13:55:36
-0700]`.

Names are English, German, French, Spanish, Italian, Portuguese and Dutch. No two of these languages use one name for
two months, so a table need not say its language, and may mix them.
"""

import re

import polars as pl

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


def is_named(pattern: str) -> bool:
    """True for a strptime pattern with the name of a month."""
    return "%b" in pattern or "%B" in pattern


def english(raw: pl.Series) -> pl.DataFrame:
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


def as_english(raw: pl.Series, pattern: str) -> tuple[pl.Series, str]:
    """(the texts in English with the day first, the pattern that reads them so) for texts with names of months."""
    rest = pattern[max(part.end() for part in _PARTS.finditer(pattern)) :]
    year = "%y" if "%y" in pattern else "%Y"
    found = english(raw)
    return (found["date"] + found["rest"]).alias(raw.name), f"%d %b {year}{rest}"


def of(text: str) -> tuple[str, str] | None:
    """(the date as a strptime pattern, the text after it) of one cell; None where it is no such date."""
    found = next(filter(None, (match(text) for match in _MATCHES)), None)
    if not found or found["month"].lower() not in _MONTH:
        return None
    return f"{'%d ' if found['day'] else ''}%B {'%Y' if len(found['year']) == 4 else '%y'}", found["rest"] or ""
