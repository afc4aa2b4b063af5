"""Reads durations and times of day, `00:12:33`, `-1:02:03.5`, `2 days 03:04:05`, as numbers of seconds.

There is no type for them: as seconds (since midnight, for a time of day) they compare, and have a mean. Two parts
alone, `12:33`, stay text: hours and minutes, minutes and seconds, or a score.
"""

import re

import polars as pl

PATTERN = (
    r"^(?P<sign>-)?(?:(?P<days>[0-9]{1,6}) days?,? )?(?P<hours>[0-9]{1,4}):(?P<minutes>[0-5][0-9]):(?P<seconds>[0-5][0-9])"
    r"(?P<part>\.[0-9]+)?$"
)
"""For Python and for Polars, whose `\\d` is any digit of Unicode."""
_MATCH = re.compile(PATTERN, re.ASCII)
_SECONDS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


def text(raw: str) -> str | None:
    """The seconds of one cell as plain number text, or None."""
    found = _MATCH.match(raw)
    if not found:
        return None
    whole = sum(int(found[name] or 0) * seconds for name, seconds in _SECONDS.items())
    return f"{found['sign'] or ''}{whole}{found['part'] or ''}"


def column(raw: pl.Series) -> pl.Series:
    """The seconds of texts (n,) as plain number text; null where a cell is not written so."""
    parts = raw.str.extract_groups(PATTERN).struct.unnest()
    whole = pl.sum_horizontal(pl.col(name).cast(pl.Int64).fill_null(0) * seconds for name, seconds in _SECONDS.items())
    written = pl.concat_str(pl.col("sign").fill_null(""), whole, pl.col("part").fill_null(""))
    return parts.select(pl.when(pl.col("minutes").is_not_null()).then(written)).to_series()
