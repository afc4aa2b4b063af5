"""Weekly partitions of the inference log: made ahead, and dropped whole once all of their entries are older than they are kept.

An entry lies in the week it was made in, and goes when that is older than the server's setting. One of a deployment with days
of its own lies in the week in which it expires (in the last of every four, where those are more than `LONG`), which is settled
when it is written: sent again it is found there. Weeks begin on Mondays, midnight UTC, and are numbered from that of 5 January
1970; those in which entries expire count below zero. What fits into none (a clock that jumped, a record that waited on a disk for
months) goes into the default partition, so no record is ever refused for its time. Weeks, because a day's partitions would be a
hundred to plan each list over, and a month's would keep rows a month too long.
"""

from datetime import UTC, date, datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from coreplex.platform.clock import now
from coreplex.platform.database import Database

LOG = "inference_logs"
DEFAULT = f"{LOG}_default"
WEEK = timedelta(days=7)
FIRST = date(1970, 1, 5)
AHEAD = 4
"""Weeks made ahead, the running one included: so long may housekeeping be away before the default partition is used."""
LONG, SPAN = 90, 4
"""Days beyond which entries expire together every so many weeks: years are kept in few partitions."""
PATIENCE = "500ms"
"""How long predictions' storage may have to wait behind us for a lock; then we try again in the next round."""
LATER = {"55P03": "a lock is not to be had", "42P07": "another process made it", "42P01": "another process dropped it"}
"""SQLSTATEs after which nothing is wrong."""

PARTITIONS = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:log AS regclass)"
)
OWN_DAYS = text("SELECT DISTINCT log_days FROM deployments WHERE log_days IS NOT NULL")

log = structlog.get_logger(__name__)


def week_of(moment: datetime, own_days: int | None = None) -> int:
    """The week of an entry made at a moment, kept by the server's setting or for days of its own."""
    week = max((moment.astimezone(UTC).date() + timedelta(days=own_days or 0) - FIRST) // WEEK, 1)
    if own_days is None:
        return week
    return -week if own_days <= LONG else week // -SPAN * SPAN


def week_in_sql(moment: str, own_days: str) -> str:
    """`week_of` of two expressions."""
    seconds = f"extract(epoch FROM {moment}) - 345600 + coalesce({own_days}, 0) * 86400.0"
    week = f"greatest(div({seconds}, 604800), 1)::int"
    return (
        f"CASE WHEN {own_days} IS NULL THEN {week} WHEN {own_days} <= {LONG} THEN -{week} "
        f"ELSE ceil({week} / {SPAN}.0)::int * -{SPAN} END"
    )


def end_of(week: int) -> date:
    """The Monday it ends before."""
    return FIRST + (abs(week) + 1) * WEEK


def name_of(week: int) -> str:
    """Its partition."""
    return f"{LOG}_{'until' if week > 0 else 'expire'}_{end_of(week):%Y%m%d}"


def _week_of_name(name: str) -> int:
    kind, day = name.removeprefix(f"{LOG}_").split("_")
    week = (datetime.strptime(day, "%Y%m%d").date() - FIRST) // WEEK - 1  # noqa: DTZ007 a day
    return week if kind == "until" else -week


async def weeks(database: Database) -> list[int]:
    """Those that have a partition."""
    async with database.read() as session:
        names = (await session.scalars(PARTITIONS, {"log": LOG})).all()
    return sorted(_week_of_name(name) for name in names if name != DEFAULT)


async def make_ahead(database: Database, moment: datetime | None = None) -> int:
    """Make the partitions that entries of this week and the next ones need; returns how many were missing."""
    begin = moment or now()
    async with database.read() as session:
        kept = [None, *(await session.scalars(OWN_DAYS)).all()]
    wanted = {week_of(begin + n * WEEK, days) for days in kept for n in range(AHEAD)}
    missing = sorted(wanted - set(await weeks(database)), key=abs)
    for count, week in enumerate(missing):
        if not await _at_once(
            database,
            f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE",
            f"CREATE TABLE {name_of(week)} (LIKE {LOG} INCLUDING DEFAULTS)",
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE retention_week = {week} RETURNING *) "  # noqa: S608 a number
            f"INSERT INTO {name_of(week)} SELECT * FROM moved",
            f"ALTER TABLE {LOG} ATTACH PARTITION {name_of(week)} FOR VALUES IN ({week})",
        ):
            return count
    return len(missing)


async def drop_over(database: Database, moment: datetime, horizon: datetime | None) -> int:
    """Drop the weeks that ended before `horizon`, and those in which all has expired; returns how many."""
    count = 0
    for week in await weeks(database):
        limit = horizon if week > 0 else moment
        over = limit is not None and end_of(week) <= limit.astimezone(UTC).date()
        # The whole log first: of two that drop one week at once, PostgreSQL would tell the later that a catalog is corrupt.
        if over and await _at_once(database, f"LOCK TABLE ONLY {LOG} IN ACCESS EXCLUSIVE MODE", f"DROP TABLE {name_of(week)}"):
            log.info("inference_log.dropped", partition=name_of(week))
            count += 1
    return count


async def _at_once(database: Database, *statements: str) -> bool:
    """Run all in one transaction; False when a lock is not to be had or another process was quicker, and nothing was done."""
    try:
        async with database.transaction() as session:
            await session.execute(text("SELECT set_config('lock_timeout', :most, true)"), {"most": PATIENCE})
            for statement in statements:
                await session.execute(text(statement))
    except DBAPIError as error:
        reason = LATER.get(getattr(error.orig, "sqlstate", None) or "")
        if reason is None:
            raise
        log.info("inference_log.partition_waits", statement=statements[-1], reason=reason)
        return False
    return True
