"""Jobs: PostgreSQL is the truth, Redis only a doorbell.

queued ─claim→ running ─finish→ succeeded | failed | cancelled; running ─release/expiry→ queued again. A claim raises `attempts`
before any work and sets a fresh `token`, the fence: every later write names it and does nothing once another claim came. Times are
the database's own (`now()`), so no worker's clock matters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select, text, update
from sqlmodel import col

from coreplex.database import WriteSession
from coreplex.errors import Conflict
from coreplex.event.notice import notify
from coreplex.identifier import new_id
from coreplex.job.table import Job, JobStatus, JobType

JOBS = "coreplex_jobs"
"""Channel that wakes the relays."""
ORDERS = "coreplex_orders"
"""Channel that tells workers about cancel and stop."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast a dead worker's job is taken over: within lease + sweep."""

    lease: timedelta = timedelta(seconds=20)
    beat: timedelta = timedelta(seconds=5)
    sweep: timedelta = timedelta(seconds=5)
    redispatch: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Orders:
    """What the owner of a running job wants of it."""

    cancel: bool
    stop: bool


async def enqueue(
    session: WriteSession,
    type: JobType,
    *,
    entity_type: str,
    entity_id: UUID | None,
    project_id: UUID | None = None,
    created_by: UUID | None = None,
    payload: dict[str, Any] | None = None,
    max_attempts: int = 3,
) -> Job:
    """Write the job in the transaction that wants it: committed means it will run, rolled back means it never was."""
    job = Job(
        type=type,
        project_id=project_id,
        entity_type=entity_type,
        entity_id=entity_id,
        created_by=created_by,
        payload=payload or {},
        max_attempts=max_attempts,
    )
    session.add(job)
    await session.flush()
    await notify(session, JOBS, str(job.id))
    return job


async def claim(session: WriteSession, job_id: UUID, worker: str, timing: Timing) -> Job | None:
    """Take a job that waits (or whose worker went silent) for one attempt; None when there is nothing to take."""
    statement = (
        update(Job)
        .where(col(Job.id) == job_id, _claimable(), col(Job.attempts) < col(Job.max_attempts))
        .values(
            status=JobStatus.running,
            attempts=col(Job.attempts) + 1,
            token=new_id(),
            worker=worker[:128],
            lease_until=func.now() + timing.lease,
            started_at=func.coalesce(col(Job.started_at), func.now()),
            message="",
        )
        .returning(Job)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return await session.scalar(statement)


def _claimable() -> ColumnElement[bool]:
    waiting = (col(Job.status) == JobStatus.queued) & or_(col(Job.not_before).is_(None), col(Job.not_before) <= func.now())
    silent = (col(Job.status) == JobStatus.running) & (col(Job.lease_until) < func.now())
    return or_(waiting, silent)


def _mine(job_id: UUID, token: UUID | None) -> ColumnElement[bool]:
    return (col(Job.id) == job_id) & (col(Job.token) == token) & (col(Job.status) == JobStatus.running)


async def heartbeat(session: WriteSession, job: Job, timing: Timing, progress: float | None, message: str | None) -> Orders | None:
    """Renew the lease and hear the orders; None when the fence is lost: stop and write nothing."""
    values: dict[str, Any] = {"lease_until": func.now() + timing.lease}
    if progress is not None:
        values["progress"] = progress
    if message is not None:
        values["message"] = message[:500]
    statement = update(Job).where(_mine(job.id, job.token)).values(**values)
    found = (
        await session.execute(statement.returning(col(Job.cancel_requested_at), col(Job.stop_requested_at)))
    ).one_or_none()
    return Orders(found[0] is not None, found[1] is not None) if found else None


async def holds_fence(session: WriteSession, job: Job) -> bool:
    """Lock the job's row for this transaction and say whether it is still ours."""
    query = select(col(Job.id)).where(_mine(job.id, job.token)).with_for_update()
    return await session.scalar(query) is not None


async def finish(
    session: WriteSession, job: Job, status: JobStatus, *, result: dict[str, Any] | None = None, error: str | None = None
) -> bool:
    """End the job; False when the fence was lost and nothing was written."""
    values: dict[str, Any] = {"status": status, "result": result, "error": error, "finished_at": func.now(), "lease_until": None}
    if status is JobStatus.succeeded:
        values["progress"] = 100.0
    done = await session.scalar(update(Job).where(_mine(job.id, job.token)).values(**values).returning(col(Job.id)))
    return done is not None


async def release(session: WriteSession, job: Job, *, counted: bool, delay: timedelta = timedelta(0)) -> bool:
    """Give the job back to the queue: `counted=False` when the worker only shuts down, True to try again after an error."""
    values: dict[str, Any] = {
        "status": JobStatus.queued,
        "token": None,
        "lease_until": None,
        "dispatched_at": None,
        "not_before": func.now() + delay,
    }
    if not counted:
        values["attempts"] = col(Job.attempts) - 1
    done = await session.scalar(update(Job).where(_mine(job.id, job.token)).values(**values).returning(col(Job.id)))
    await notify(session, JOBS, str(job.id))
    return done is not None


async def undispatched(session: WriteSession, timing: Timing, limit: int = 100) -> Sequence[UUID]:
    """Waiting jobs whose doorbell has not rung, or rang long ago; stamps them. Several relays may ask at once."""
    due = or_(col(Job.dispatched_at).is_(None), col(Job.dispatched_at) < func.now() - timing.redispatch)
    waiting = (
        select(col(Job.id))
        .where(col(Job.status) == JobStatus.queued, due, or_(col(Job.not_before).is_(None), col(Job.not_before) <= func.now()))
        .order_by(col(Job.created_at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    ids = (await session.scalars(waiting)).all()
    if ids:
        await session.execute(update(Job).where(col(Job.id).in_(ids)).values(dispatched_at=func.now()))
    return ids


async def silent(session: WriteSession, limit: int = 100) -> Sequence[Job]:
    """Running jobs whose lease ran out, locked for this transaction."""
    query = select(Job).where(col(Job.status) == JobStatus.running, col(Job.lease_until) < func.now())
    return (await session.scalars(query.limit(limit).with_for_update(skip_locked=True))).all()


async def requeue(session: WriteSession, job: Job) -> None:
    """Put a silent job back in the queue; its late worker finds the fence gone."""
    job.status, job.token, job.lease_until, job.dispatched_at = JobStatus.queued, None, None, None
    session.add(job)
    await notify(session, JOBS, str(job.id))


async def end(session: WriteSession, job: Job, status: JobStatus, error: str) -> None:
    """End a locked job that nobody runs: poison, or cancelled while it waited."""
    job.status, job.error, job.token, job.lease_until = status, error, None, None
    session.add(job)
    await session.execute(text("UPDATE jobs SET finished_at = now() WHERE id = :id"), {"id": job.id})


async def request_cancel(session: WriteSession, job: Job) -> Job:
    """End a job: at once when it waits, by its worker when it runs. Raises Conflict when it has ended."""
    locked = await _lock(session, job)
    if locked.status is JobStatus.queued:
        from coreplex.job.handlers import on_final

        await end(session, locked, JobStatus.cancelled, "cancelled")
        await on_final(session, locked)
    else:
        await session.execute(text("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id"), {"id": job.id})
        await notify(session, ORDERS, str(job.id))
    return locked


async def request_stop(session: WriteSession, job: Job) -> Job:
    """Ask a running job to end early and keep what it has; a waiting one is cancelled."""
    locked = await _lock(session, job)
    if locked.status is JobStatus.queued:
        return await request_cancel(session, locked)
    await session.execute(text("UPDATE jobs SET stop_requested_at = now() WHERE id = :id"), {"id": job.id})
    await notify(session, ORDERS, str(job.id))
    return locked


async def cancel_project(session: WriteSession, project_id: UUID) -> None:
    """Tell the workers of a project's running jobs; the rows go with the project."""
    query = select(col(Job.id)).where(col(Job.project_id) == project_id, col(Job.status) == JobStatus.running)
    for job_id in (await session.scalars(query)).all():
        await notify(session, ORDERS, str(job_id))


async def _lock(session: WriteSession, job: Job) -> Job:
    query = select(Job).where(col(Job.id) == job.id).with_for_update().execution_options(populate_existing=True)
    locked = (await session.scalars(query)).one()
    if locked.status.final:
        raise Conflict(f"The job has ended already: {locked.status}.")
    return locked
