"""Spans of time that are looked at: how long, until when, and in what steps counts are kept that long."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coreplex.errors.tree import Invalid, Message
from coreplex.monitoring.table import KEPT_DAYS

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
RUNNING = timedelta(minutes=1)
LEAST, MOST = timedelta(minutes=1), timedelta(days=KEPT_DAYS)
_LENGTH = re.compile(r"\s*([0-9]{1,9})\s*([smhdw])\s*")
SINCE_AND_WINDOW = Message("since_and_window", "say either since or window, not both")
BEFORE_ALL_TIME = Message("before_all_time", "lies before all times there are")
STEPS = (60, 300, 900, 3600, 6 * 3600, 86400)
"""Seconds of a bucket, one of which is chosen where nobody says."""
FEW_BUCKETS, MOST_BUCKETS = 150, 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """From `since` on, before `until`."""

    since: datetime
    until: datetime

    @property
    def length(self) -> timedelta:
        return self.until - self.since


def length_of(said: str, name: str, most: timedelta = MOST) -> timedelta:
    """A length such as `90m`, `24h` or `7d`, of whole days at `most`. Raises Invalid for anything else, under the name of its
    argument."""
    found = _LENGTH.fullmatch(said)
    length = timedelta(seconds=int(found[1]) * UNITS[found[2]]) if found else None
    if length is None or not LEAST <= length <= most:
        raise Invalid.field(
            Message(
                "no_length_of_time",
                "must be a length of time from 1 minute to {days} days, such as 90m, 24h or 7d",
                days=most.days,
            ),
            name,
        )
    return length


def period(window: str, until: datetime | None, moment: datetime, name: str = "window", until_name: str = "until") -> Period:
    """The length of time before `until`, or before the end of the running minute. Raises Invalid."""
    end = min(until or moment, moment)
    if end == moment:
        end = floor(moment, RUNNING) + RUNNING
    try:
        end = end.astimezone(UTC)
        found = Period(end - length_of(window, name), end)
        _ = found.since - MOST  # a whole bucket may begin as much earlier
    except OverflowError:
        raise Invalid.field(BEFORE_ALL_TIME, until_name) from None
    return found


def bucket_of(asked: str | None, whole: Period, finest: timedelta, most: int = MOST_BUCKETS) -> timedelta:
    """How long the buckets of a period are: as asked, or such that they are few. `finest`: what counts of its age are kept in.

    Raises Invalid for more than `most` buckets, or finer ones than there are counts.
    """
    if asked is None:
        steps = [timedelta(seconds=step) for step in STEPS]
        return next((step for step in steps if step >= finest and whole.length / step <= FEW_BUCKETS), steps[-1])
    length = length_of(asked, "bucket")
    if whole.length / length > most:
        raise Invalid.field(
            Message("too_many_buckets", "makes more than {most} of the window; ask for longer ones", most=most), "bucket"
        )
    if length < finest or length % finest:
        raise Invalid.field(
            Message(
                "bucket_too_fine",
                "must be a multiple of {seconds} seconds: counts of that age are kept no finer",
                seconds=int(finest.total_seconds()),
            ),
            "bucket",
        )
    return length


def floor(moment: datetime, step: timedelta) -> datetime:
    """The last whole step, counted from 1970, that is not later."""
    return moment - (moment - _EPOCH) % step
