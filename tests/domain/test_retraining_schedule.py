"""Schedules by the clocks of a place, against a minute-by-minute walk that knows nothing of cron's libraries."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSimError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coreplex.errors.tree import Invalid
from coreplex.retraining.schedule import check, check_zone, next_after, upcoming

CHANGES = {
    "Europe/Berlin": ("2026-03-28T12", "2026-10-24T12"),
    "America/New_York": ("2026-03-07T20", "2026-10-31T20"),
    "Australia/Lord_Howe": ("2026-04-04T06", "2026-10-03T06"),  # by half an hour
    "Africa/Cairo": ("2026-04-23T12", "2026-10-29T12"),  # at midnight
    "America/Santiago": ("2026-04-04T18", "2026-09-05T18"),
    "Asia/Beirut": ("2026-03-28T12", "2026-10-24T12"),
    "Asia/Kathmandu": ("2026-03-28T12", "2026-10-24T12"),  # never
    "UTC": ("2026-02-27T12", "2026-12-30T12"),
}
MINUTE = timedelta(minutes=1)


def numbers(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for term in field.split(","):
        span, _, step = term.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            found |= set(range(low, high + 1, int(step or 1)))
        else:
            end = int(last) if last else high if step else int(first)
            found |= set(range(int(first), end + 1, int(step or 1)))
    return found


def walked(expression: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """The moments of [start, end), found by looking at a clock of the place every minute."""
    minute, hour, day, month, weekday = expression.split()
    minutes, hours, months = numbers(minute, 0, 59), numbers(hour, 0, 23), numbers(month, 1, 12)
    days, weekdays = numbers(day, 1, 31), {number % 7 for number in numbers(weekday, 0, 7)}
    either = not (day.startswith("*") or weekday.startswith("*"))

    def matches(wall: datetime) -> bool:
        of_month, of_week = wall.day in days, wall.isoweekday() % 7 in weekdays
        on_day = of_month or of_week if either else of_month and of_week
        return wall.minute in minutes and wall.hour in hours and wall.month in months and on_day

    place, found = ZoneInfo(zone), []
    moment, shown = start, (start - MINUTE).astimezone(place).replace(tzinfo=None)
    real = minute.startswith("*") or hour.startswith("*")
    while moment < end:
        wall = moment.astimezone(place).replace(tzinfo=None)
        if real:
            due = matches(wall)
        else:  # of what no clock has shown so far, up to what it shows now
            due = any(matches(shown + (n + 1) * MINUTE) for n in range(int((wall - shown) / MINUTE)))
            shown = max(shown, wall)
        if due:
            found.append(moment)
        moment += MINUTE
    return found


def term(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.sampled_from([2, 3, 5, 7, 15, 20])
    wide = st.integers(low, high - 1).flatmap(lambda a: st.integers(a + 1, high).map(lambda b: f"{a}-{b}"))
    single = st.one_of(number.map(str), span, st.tuples(wide, step).map(lambda pair: f"{pair[0]}/{pair[1]}"))
    return st.one_of(
        st.just("*"),
        step.map(lambda every: f"*/{every}"),
        st.tuples(number, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        single,
        st.lists(single, min_size=2, max_size=3).map(",".join),
    )


@st.composite
def expressions(draw: st.DrawFn) -> str:
    hours = draw(st.one_of(term(0, 23), term(0, 4)))
    days, months, weekdays = (draw(st.one_of(st.just("*"), term(*span))) for span in ((1, 31), (1, 12), (0, 7)))
    return f"{draw(term(0, 59))} {hours} {days} {months} {weekdays}"


def _is_readable(expression: str, zone: str, moment: datetime) -> bool:
    """The 30th of February is no day: such a schedule is refused when it is set."""
    try:
        upcoming(expression, zone, moment, 1)
    except CronSimError:
        with pytest.raises(Invalid):
            check(expression, zone, moment)
        return False
    return True


@settings(max_examples=80, deadline=None)
@given(expressions(), st.sampled_from(sorted(CHANGES)), st.integers(0, 1), st.integers(0, 40 * 60))
def test_the_moments_are_those_a_clock_on_the_wall_shows(expression: str, zone: str, change: int, late: int) -> None:
    """`late`: minutes into the days around a change, so that the hour that comes twice is begun in, too."""
    start = datetime.fromisoformat(f"{CHANGES[zone][change]}:00:00+00:00")
    end = start + timedelta(hours=44)
    assume(_is_readable(expression, zone, start))
    wanted = [moment for moment in walked(expression, zone, start, end) if moment > start + late * MINUTE]
    found = upcoming(expression, zone, start + late * MINUTE, 500)
    assert [moment for moment in found if moment < end] == wanted[:500]
    assert found == sorted(set(found))


@pytest.mark.parametrize(
    ("expression", "after", "wanted"),
    [
        ("30 2 * * *", "2026-03-28T12:00", "2026-03-29T03:00+02:00"),  # skipped: right after
        ("30 2 * * *", "2026-10-24T12:00", "2026-10-25T02:30+02:00"),  # repeated: the first time
        ("30 2 * * *", "2026-10-25T00:30", "2026-10-26T02:30+01:00"),  # and not again
        ("30 2 * * *", "2026-10-25T01:10", "2026-10-26T02:30+01:00"),
        ("0 * * * *", "2026-10-25T00:00", "2026-10-25T02:00+01:00"),  # every hour is every hour
        ("0 6 29 2 *", "2026-01-01T00:00", "2028-02-29T06:00+01:00"),
        ("0 6 L * *", "2026-02-01T00:00", "2026-02-28T06:00+01:00"),
        ("0 6 * * MON#2", "2026-01-20T00:00", "2026-02-09T06:00+01:00"),
    ],
)
def test_known_moments_in_berlin(expression: str, after: str, wanted: str) -> None:
    found = next_after(expression, "Europe/Berlin", datetime.fromisoformat(f"{after}+00:00"))
    assert found == datetime.fromisoformat(wanted)


@pytest.mark.parametrize(
    ("expression", "zone", "field", "reason"),
    [
        ("0 3 * *", "UTC", "schedule", "schedule_unreadable"),
        ("0 0 3 * * *", "UTC", "schedule", "schedule_unreadable"),
        ("@daily", "UTC", "schedule", "schedule_unreadable"),
        ("60 3 * * *", "UTC", "schedule", "schedule_unreadable"),
        ("0 3 30 2 *", "UTC", "schedule", "schedule_unreadable"),
        ("*/61 * * * *", "UTC", "schedule", "schedule_unreadable"),
        ("0 3,*/24 * * *", "UTC", "schedule", "schedule_unreadable"),
        ("0 3 */32 * *", "UTC", "schedule", "schedule_unreadable"),
        ("0 3 * */13 *", "UTC", "schedule", "schedule_unreadable"),
        ("0 3 * * 1-5/8", "UTC", "schedule", "schedule_unreadable"),
        ("59/59 */23 */31 */12 */7", "UTC", "schedule", None),
        ("0 3 * * *; rm", "UTC", "schedule", "schedule_unreadable"),
        ("0 3 * * " + "1," * 60 + "1", "UTC", "schedule", "schedule_unreadable"),
        ("0 3 31 2,4 MON#5", "UTC", "schedule", None),
        ("0 3 * 2 MON#5", "UTC", "schedule", None),
        ("* * * * *", "UTC", "schedule", "schedule_too_often"),
        ("0,10 3 1 * *", "UTC", "schedule", "schedule_too_often"),
        ("0 3 * * *", "Europe/Zuerich", "time_zone", "unknown_time_zone"),
        ("0 3 * * *", "localtime", "time_zone", "unknown_time_zone"),
        ("0 3 * * *", "Factory", "time_zone", "unknown_time_zone"),
        ("0 3 * * *", "../../etc/passwd", "time_zone", "unknown_time_zone"),
    ],
)
def test_what_is_no_schedule_is_refused_by_its_key(expression: str, zone: str, field: str, reason: str | None) -> None:
    if reason is None:
        return check(expression, zone, datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(Invalid) as refused:
        check_zone(zone) if field == "time_zone" else check(expression, zone, datetime(2026, 1, 1, tzinfo=UTC))
    assert (refused.value.errors[0].loc[-1], refused.value.errors[0].msg.reason) == (field, reason)
    return None


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789*,/-#LW MONJA@?\t\0é", max_size=30))
def test_whatever_is_written_there_is_a_schedule_or_is_refused(expression: str) -> None:
    with suppress(CronSimError):
        upcoming(expression, "Europe/Berlin", datetime(2026, 1, 1, tzinfo=UTC), 3)


def test_a_day_no_month_has_is_refused() -> None:
    assert not _is_readable("* * 30/2 2/15 *", "Africa/Cairo", datetime(2026, 4, 23, 12, tzinfo=UTC))


def test_a_step_that_is_too_large_is_refused_with_its_field() -> None:
    with pytest.raises(Invalid) as refused:
        check("0 3 * */13 *", "UTC", datetime(2026, 1, 1, tzinfo=UTC))
    assert "the step of the month is 13, and 12 the largest" in str(refused.value.errors[0].msg)
