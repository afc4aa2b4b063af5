"""When a schedule is due: the five fields of cron, read on the clocks of a place (a zone of the IANA database).

The fields are walked through by `cronsim` on a clock without a zone, which knows no change of the clocks; what its minutes are in
the zone is decided here, as Debian's cron does it. A time that a change skips is due right after it, and one that a change
repeats is due the first time only. Where the field of the minutes or that of the hours begins with `*`, the schedule counts real
minutes: what is skipped is not due, and what is repeated is due again.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from coreplex.errors.nearest import hint
from coreplex.errors.tree import Invalid, Message

LONGEST = 100
SHOWN = 5
LOOKED_AT = 200
"""Times that are looked at for two that lie too close."""
LEAST = timedelta(minutes=15)
"""Between two times."""
_SPELLED = re.compile(r"[0-9A-Za-z*,/#-]+( +[0-9A-Za-z*,/#-]+){4}")
_LARGEST = {"minute": 59, "hour": 23, "day of the month": 31, "month": 12, "day of the week": 7}
"""Of each field; a step beyond it would say something else than it does: `*/61` is due once an hour."""
_UNNAMED = {"Factory", "localtime"}
"""Files beside the zones: no place, and wherever this machine is."""
_SHIFT = timedelta(hours=3)
"""More than clocks are put forward or back by."""
_MINUTE = timedelta(minutes=1)
_FAR = timedelta(days=40 * 366)
"""What is not due within is never due: the fifth Monday of a February comes every 28 years."""


def check_zone(zone: str) -> None:
    """Raise Invalid, with the nearest one, for a zone that is not known."""
    known = _zones()
    if zone not in known:
        said = Message("unknown_time_zone", "'{zone}' is no zone of the IANA database, such as Europe/Zurich.", zone=zone[:100])
        raise Invalid.field(said.then(hint(zone, known)), "time_zone")


def check(expression: str, zone: str, moment: datetime) -> None:
    """Raise Invalid for a schedule that cannot be read, is never due, or too often; the zone is a known one."""
    try:
        found = list(upcoming(expression, zone, moment, LOOKED_AT))
        _check_steps(expression)
    except CronSimError as error:
        raise Invalid.field(_unreadable(str(error)), "schedule") from None
    if not found:
        raise Invalid.field(Message("schedule_never", "is never due"), "schedule")
    if any(after - before < LEAST for before, after in pairwise(found)):
        minutes = int(LEAST.total_seconds() / 60)
        said = Message("schedule_too_often", "is due more often than once in {minutes} minutes", minutes=minutes)
        raise Invalid.field(said, "schedule")


def _check_steps(expression: str) -> None:
    """Raise CronSimError for a step that is larger than what its field may hold."""
    for said, (field, largest) in zip(expression.split(), _LARGEST.items(), strict=True):
        for term in said.split(","):
            step = term.partition("/")[2]
            if step and int(step) > largest:
                raise CronSimError(f"the step of the {field} is {step}, and {largest} the largest it may be")


def _unreadable(why: str) -> Message:
    return Message(
        "schedule_unreadable",
        "must be the five fields of cron: minute, hour, day of the month, month, day of the week ({why})",
        why=why[:100],
    )


@cache
def _zones() -> list[str]:
    return sorted(available_timezones() - _UNNAMED)


def upcoming(expression: str, zone: str, after: datetime, count: int) -> list[datetime]:
    """The next `count` moments after `after`, in UTC, or fewer. Raises CronSimError for what is no schedule."""
    if len(expression) > LONGEST or not _SPELLED.fullmatch(expression.strip()):
        raise CronSimError("Wrong number of fields")
    place, found = ZoneInfo(zone), set[datetime]()
    minute, hour, *_ = expression.split()
    place_of = _real if minute.startswith("*") or hour.startswith("*") else _once
    enough: datetime | None = None
    start = after.astimezone(place).replace(tzinfo=None) - _SHIFT
    for wall in _walls(expression, start):
        if wall > (enough or start + _FAR):
            break
        found.update(one for one in place_of(wall, place) if one > after)
        if enough is None and len(found) >= count:
            enough = wall + _SHIFT  # what is due in an hour that comes twice lies between those found
    return sorted(found)[:count]


def next_after(expression: str, zone: str, after: datetime) -> datetime | None:
    """When it is due next; None where it never is."""
    return next(iter(upcoming(expression, zone, after, 1)), None)


def _walls(expression: str, start: datetime) -> Iterator[datetime]:
    """What a clock on the wall shows when it is due."""
    return iter(CronSim(expression, start))


def _real(wall: datetime, place: ZoneInfo) -> Iterator[datetime]:
    """Every moment at which a clock of the place shows that: none, one or two."""
    for fold in (0, 1):
        moment = wall.replace(tzinfo=place, fold=fold).astimezone(UTC)
        if moment.astimezone(place).replace(tzinfo=None) == wall:
            yield moment


def _once(wall: datetime, place: ZoneInfo) -> Iterator[datetime]:
    """The first moment at which a clock of the place shows that, or, where none does, something later."""
    while not (found := list(_real(wall, place))):
        wall += _MINUTE
    yield min(found)
