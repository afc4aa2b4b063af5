"""Jobs by the clock: a kind with a period (`JobKind.every`) is queued once per period, whatever number of relays asks for it.

Each such kind has a row: when it is due, and its last job. Every relay looks at each sweep. What is due is queued under a lock
on its row, in the transaction that sets the next time, as any other job (the `jobs` row is the outbox), so no tick is lost or
doubled by a crash. Times are the database's and stay on their grid. After an absence a kind runs once, not once per period that
was missed. While its last job has not ended it is not queued again, and runs when that has ended; one that failed is tried again
in the next period.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col

from coreplex.job import kinds, service
from coreplex.job.kinds import JobKind
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job, Schedule
from coreplex.platform.database import Database, ReadSession, WriteSession

ENTITY = "schedule"
"""The `entity_type` of such jobs."""

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended('schedule:' || :name, 0))")
# Never waits: an insert would wait for that of a process that is frozen before its commit, and the whole relay with it.

log = structlog.get_logger(__name__)


async def tick(database: Database) -> list[UUID]:
    """Queue what is due; returns the jobs. Safe to call by many processes at once."""
    async with database.read() as session:
        due = await _due(session)
    queued = []
    for kind in due:
        async with database.transaction() as session:
            job = await _queue(session, kind)
        if job is not None:
            queued.append(job.id)
    return queued


async def run_now(session: WriteSession, name: str) -> None:
    """Queue a kind in the caller's transaction, beside what comes by the clock."""
    await service.enqueue(session, name, entity_type=ENTITY, entity_id=None)


def following(due: datetime, now: datetime, every: timedelta) -> datetime:
    """The first time after `now` on the grid of `due`; of a time that is further ahead than a period (the period was made
    shorter, the clock was put back), a period from now."""
    if due > now + every:
        return now + every
    return due + every * ((now - due) // every + 1)


async def _due(session: ReadSession) -> list[JobKind]:
    """Kinds for which it may be time; certain only under the lock."""
    query = select(col(Schedule.name), col(Schedule.next_at), func.clock_timestamp(), col(Job.status))
    rows = await session.execute(query.outerjoin(Job, col(Job.id) == col(Schedule.job_id)))
    known = {name: facts for name, *facts in rows}
    return [kind for kind in kinds.scheduled() if kind.name not in known or _is_time(kind, *known[kind.name])]


def _is_time(kind: JobKind, due: datetime, now: datetime, last: JobStatus | None) -> bool:
    assert kind.every is not None
    return not now < due <= now + kind.every and (last is None or last.final)


async def _queue(session: WriteSession, kind: JobKind) -> Job | None:
    """The next job; None when it is not time, or another process is at it."""
    assert kind.every is not None
    if not await session.scalar(_TRY_LOCK, {"name": kind.name}):
        return None
    made = insert(Schedule).values(name=kind.name, next_at=func.clock_timestamp()).on_conflict_do_nothing()
    await session.execute(made)
    row = (await session.scalars(select(Schedule).where(col(Schedule.name) == kind.name).with_for_update())).one()
    last = await session.get(Job, row.job_id) if row.job_id else None
    now = await session.scalar(select(func.clock_timestamp()))
    assert now is not None
    if not _is_time(kind, row.next_at, now, last.status if last else None):
        return None
    if last is not None and last.status is not JobStatus.succeeded:
        log.warning("schedule.failed_before", kind=kind.name, job_id=str(last.id), error=last.error)
    job = await service.enqueue(session, kind.name, entity_type=ENTITY, entity_id=None)
    row.last_at, row.next_at, row.job_id = now, following(row.next_at, now, kind.every), job.id
    return job
