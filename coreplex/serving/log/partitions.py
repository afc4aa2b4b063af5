"""Weekly partitions of the inference log: made ahead, and dropped whole once all of their rows are older than the log is kept.

A partition is named by the Monday it ends before, midnight UTC. What fits into none (a clock that jumped, a record that waited
on a disk for months) goes into the default partition, so no record is ever refused for its time. Weeks, because a day's
partitions would be a hundred to plan each list over, and a month's would keep rows a month too long.
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
AHEAD = 4
"""Weeks made ahead, the running one included: so long may housekeeping be away before the default partition is used."""
PATIENCE = "500ms"
"""How long predictions' storage may have to wait behind us for a lock; then we try again in the next round."""
LATER = {"55P03": "a lock is not to be had", "42P07": "another process made it", "42P01": "another process dropped it"}
"""SQLSTATEs after which nothing is wrong."""

PARTITIONS = text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = CAST(:log AS regclass)"
)

log = structlog.get_logger(__name__)


def name_of(end: date) -> str:
    """The partition of the seven days before `end`, a Monday."""
    return f"{LOG}_until_{end:%Y%m%d}"


async def ends(database: Database) -> list[date]:
    """When each partition ends, earliest first; the default one is not among them."""
    async with database.read() as session:
        names = (await session.scalars(PARTITIONS, {"log": LOG})).all()
    dated = (name.removeprefix(f"{LOG}_until_") for name in names if name != DEFAULT)
    return sorted(datetime.strptime(day, "%Y%m%d").date() for day in dated)  # noqa: DTZ007 a day


async def make_ahead(database: Database, moment: datetime | None = None) -> int:
    """Make the partitions of this week and the next ones; returns how many were missing."""
    day = (moment or now()).astimezone(UTC).date()
    next_monday = day + timedelta(days=7 - day.weekday())
    last = max(await ends(database), default=date.min)
    missing = [end for n in range(AHEAD) if (end := next_monday + n * WEEK) > last]
    for count, end in enumerate(missing):
        start = end - WEEK
        if not await _at_once(
            database,
            f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE",
            f"CREATE TABLE {name_of(end)} (LIKE {LOG} INCLUDING DEFAULTS)",
            f"WITH moved AS (DELETE FROM {DEFAULT} WHERE created_at >= '{start} 00:00+00' AND created_at < '{end} 00:00+00' "  # noqa: S608 dates
            f"RETURNING *) INSERT INTO {name_of(end)} SELECT * FROM moved",
            f"ALTER TABLE {LOG} ATTACH PARTITION {name_of(end)} FOR VALUES FROM ('{start} 00:00+00') TO ('{end} 00:00+00')",
        ):
            return count
    return len(missing)


async def drop_before(database: Database, horizon: datetime) -> int:
    """Drop the partitions that end before `horizon`; returns how many."""
    day, count = horizon.astimezone(UTC).date(), 0
    for end in await ends(database):
        if end <= day and await _at_once(database, f"DROP TABLE {name_of(end)}"):
            log.info("inference_log.dropped", until=str(end))
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
