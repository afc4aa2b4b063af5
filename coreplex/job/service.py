"""The life of a job: queued → running → succeeded | failed | cancelled, and back to queued when an attempt came to nothing.

The row is the truth and the outbox; a message in Redis is a doorbell. A claim raises `attempts` and sets a new `token`: from then
on only its holder can change the job (the fence), and only while it keeps the lease alive. Time is the database's. Every change
locks the row first, then runs the handler's hook, then appends its event, so that concurrent changes meet in one order. They all
stand in this one file, which is longer than others for it: whoever adds a change sees the lock and the fence of those beside it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Select, Uuid, all_, and_, func, literal, or_, select, update
from sqlmodel import col

from coreplex.errors.tree import Message
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.job import kinds
from coreplex.job.lifecycle import FollowsJob, JobStatus
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.platform import tracing
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.identifier import new_id
from coreplex.platform.listener import notify

QUEUED = "coreplex_jobs"
"""Channel: a job waits for its message."""
ORDERS = "coreplex_job_orders"
"""Channel: the holder of this job should ask for its orders now."""

STORAGE_DELETE = "storage_delete"
"""The kind of job that removes files (`coreplex.job.jobs`)."""
CANCELLED = Message("job_cancelled", "cancelled")
MAX_ERROR = 4000


Due = tuple[UUID, str]
"""A job and its kind."""


@dataclass(frozen=True)
class Orders:
    """What the holder of a job has been asked to do."""

    cancel: bool = False
    """End at once and keep nothing more."""
    stop: bool = False
    """End the search and keep the best."""


async def enqueue(
    session: WriteSession,
    kind: str,
    *,
    entity_type: str,
    entity_id: UUID | None,
    created_by: UUID | None = None,
    project_id: UUID | None = None,
    payload: dict[str, Any] | None = None,
    max_attempts: int | None = None,
    delay: timedelta | None = None,
) -> Job:
    """Queue a job in the caller's transaction: it runs if that commits, `delay` from now, and never was if it does not.

    Raises LookupError for a kind that no concept has declared.
    """
    job = Job(
        type=kind,
        project_id=project_id,
        entity_type=entity_type,
        entity_id=entity_id,
        created_by=created_by,
        payload=payload or {},
        max_attempts=max_attempts or kinds.kind_of(kind).attempts,
        not_before=_from_now(delay.total_seconds()) if delay is not None else None,
        traceparent=tracing.traceparent(),
    )
    session.add(job)
    await session.flush()
    await _record(session, job)
    await notify(session, QUEUED)
    return job


async def enqueue_once(session: WriteSession, kind: str, *, entity_type: str, entity_id: UUID) -> None:
    """Queue a job that looks for itself what there is to do, unless one waits that will begin after the caller's transaction."""
    about = (col(Job.type) == kind, col(Job.entity_type) == entity_type, col(Job.entity_id) == entity_id)
    fresh = (col(Job.status) == JobStatus.queued, col(Job.attempts) == 0, col(Job.not_before).is_(None))
    # Held, so that nobody claims it before the caller's transaction has ended: then it sees what that has written.
    held = select(col(Job.id)).where(*about, *fresh).limit(1).with_for_update(read=True, key_share=True, skip_locked=True)
    if await session.scalar(held) is None:
        await enqueue(session, kind, entity_type=entity_type, entity_id=entity_id)
    else:
        await notify(session, QUEUED)  # who dispatches passes over what is held


async def enqueue_for(session: WriteSession, row: FollowsJob, kind: str, created_by: UUID | None = None) -> Job:
    """Queue a job of a project's row, which follows it from now on, and no earlier one that may still end."""
    found: Any = row
    job = await enqueue(
        session,
        kind,
        entity_type=type(row).__name__.lower(),
        entity_id=found.id,
        project_id=found.project_id,
        created_by=created_by,
    )
    row.job_id, row.started_at, row.finished_at = job.id, None, None
    row.enter(JobStatus.queued)
    return job


async def enqueue_removal(
    session: WriteSession,
    entity_type: str,
    entity_id: UUID,
    *,
    prefix: str,
    created_by: UUID | None = None,
    delay: timedelta | None = None,
) -> Job:
    """Queue the removal of every file whose key begins with `prefix`, `delay` from now."""
    return await enqueue(
        session,
        STORAGE_DELETE,
        entity_type=entity_type,
        entity_id=entity_id,
        created_by=created_by,
        payload={"prefix": prefix},
        delay=delay,
    )


async def claim(session: WriteSession, job_id: UUID, worker: str, timing: Timing) -> Job | None:
    """Take the job: one more attempt, a new token, a lease. None when it is not there to be taken.

    A job that has used up its attempts, or was cancelled while nobody held it, is ended instead.
    """
    job = await session.scalar(_locked(col(Job.id) == job_id, or_(_waiting(), _expired())))
    if job is None or await _ended_instead(session, job):
        return None
    job.status = JobStatus.running
    job.attempts += 1
    job.token = new_id()
    job.worker = worker
    job.lease_until = _from_now(timing.lease)
    job.started_at = job.started_at or _from_now(0)
    job.not_before = None
    await _changed(session, job)
    return job


async def heartbeat(
    session: WriteSession, job_id: UUID, token: UUID, timing: Timing, progress: float | None = None, message: str | None = None
) -> Orders | None:
    """Renew the lease and say how far the work is. None when the job belongs to somebody else by now: stop working."""
    values: dict[str, Any] = {"lease_until": _from_now(timing.lease)}
    if progress is not None:
        values["progress"] = min(max(progress, 0.0), 1.0)
    if message is not None:
        values["message"] = message.replace("\0", "")
    query = update(Job).where(_held(job_id, token)).values(values)
    cancel, stop = col(Job.cancel_requested_at).is_not(None), col(Job.stop_requested_at).is_not(None)
    row = (await session.execute(query.returning(cancel, stop).execution_options(synchronize_session=False))).one_or_none()
    return None if row is None else Orders(*row)


async def hold(session: WriteSession, job_id: UUID, token: UUID) -> Job | None:
    """The job, locked until the transaction ends; None when the fence is lost."""
    return await session.scalar(_locked(_held(job_id, token)))


async def finish(session: WriteSession, job_id: UUID, token: UUID, result: dict[str, Any] | None = None) -> bool:
    """End well, unless a cancellation came first. False when the fence is lost, here and below."""
    job = await hold(session, job_id, token)
    if job is None:
        return False
    if job.cancel_requested_at is not None:
        await _cancel(session, job)
    else:
        job.result, job.progress, job.message = result, 1.0, ""  # nothing goes on any more
        await _end(session, job, JobStatus.succeeded)
    return True


async def fail(session: WriteSession, job_id: UUID, token: UUID, error: Message) -> bool:
    """End badly, for good; a job that was to be cancelled ends as cancelled."""
    job = await hold(session, job_id, token)
    if job is None:
        return False
    if job.cancel_requested_at is not None:
        await _cancel(session, job)
    else:
        await _end(session, job, JobStatus.failed, error)
    return True


async def retry(session: WriteSession, job_id: UUID, token: UUID, error: Message, delay: timedelta) -> bool:
    """Try again after `delay`; without attempts left, fail."""
    job = await hold(session, job_id, token)
    if job is None:
        return False
    if job.cancel_requested_at is not None or job.attempts >= job.max_attempts:
        return await fail(session, job_id, token, error)
    job.error = error.cut(MAX_ERROR)
    await _requeue(session, job, _from_now(delay.total_seconds()))
    return True


async def cancelled(session: WriteSession, job_id: UUID, token: UUID) -> bool:
    """The holder did as it was ordered."""
    job = await hold(session, job_id, token)
    if job is None:
        return False
    await _cancel(session, job)
    return True


async def release(session: WriteSession, job_id: UUID, token: UUID) -> bool:
    """Give the job back unharmed, because the worker has to stop; the attempt does not count."""
    job = await hold(session, job_id, token)
    if job is None:
        return False
    job.attempts -= 1
    await _requeue(session, job)
    return True


async def request_cancel(session: WriteSession, job: Job, reason: Message = CANCELLED) -> bool:
    """Order the end of a job: at once when it is queued, by its holder when it runs. False when it has ended already."""
    return await _request(session, job, "cancel_requested_at", reason)


async def cancel_all(session: WriteSession, ids: Select[UUID | None], reason: Message) -> None:
    """Order the end of every job of these ids, such as those of rows that are about to be deleted."""
    query = select(Job).where(col(Job.id).in_(ids), col(Job.status).in_(OPEN)).order_by(col(Job.id))
    for job in (await session.scalars(query)).all():
        await request_cancel(session, job, reason)


async def end_and_hold(session: WriteSession, row: FollowsJob) -> bool:
    """Order the end of the job that a row follows, and hold the row, after the job, as its worker does. False when somebody has
    deleted the row meanwhile."""
    running = await session.get(Job, row.job_id) if row.job_id is not None and not row.status.final else None
    if running is not None:
        await request_cancel(session, running)
    followed: Any = row
    return await session.get(type(row), followed.id, populate_existing=True, with_for_update=True) is not None


async def request_stop(session: WriteSession, job: Job) -> bool:
    """Order to end the search and keep the best; a queued job, having none, is cancelled. False when it has ended already."""
    return await _request(session, job, "stop_requested_at")


async def cancel_project(session: WriteSession, project_id: UUID) -> None:
    """Order the end of every job of a project."""
    query = select(Job).where(col(Job.project_id) == project_id, col(Job.status).in_(OPEN)).order_by(col(Job.id))
    for job in (await session.scalars(query)).all():
        await request_cancel(session, job)


async def due_for_dispatch(
    session: WriteSession, timing: Timing, in_queue: Collection[UUID] | None = None, limit: int = 500
) -> list[Due]:
    """Queued jobs that need a message, marked as having got one: new ones, and, given `in_queue`, those whose message was lost.

    `in_queue` are the jobs whose messages wait in Redis: they get no second one however long that takes, so nothing piles up.
    """
    dispatched = col(Job.dispatched_at)
    needed: ColumnElement[bool] = dispatched.is_(None)
    if in_queue is not None:
        moment = func.clock_timestamp()  # a message of the future: the clock was put back since
        old = or_(dispatched < moment - timedelta(seconds=timing.redispatch), dispatched > moment)
        needed = or_(needed, and_(old, col(Job.id) != all_(literal(list(in_queue), _IDS))))
    wanted = select(col(Job.id)).where(_waiting(), _known(), needed)
    wanted = wanted.order_by(col(Job.created_at)).limit(limit).with_for_update(skip_locked=True)
    query = update(Job).where(col(Job.id).in_(wanted.scalar_subquery())).values(dispatched_at=_from_now(0))
    query = query.returning(col(Job.id), col(Job.type)).execution_options(synchronize_session=False)
    return [(row[0], row[1]) for row in await session.execute(query)]


async def expired(session: ReadSession, limit: int = 100) -> list[UUID]:
    """Jobs whose holder has not been heard of for a lease."""
    query = select(col(Job.id)).where(_expired(), _known()).order_by(col(Job.lease_until)).limit(limit)
    return list((await session.scalars(query)).all())


async def shorten_waits(session: WriteSession, timing: Timing) -> None:
    """Let no lease, and no pause before another attempt, last longer than one that is given now: where the clock was put back,
    the dead would be waited for, and the failed would wait."""
    leased = and_(col(Job.status) == JobStatus.running, col(Job.lease_until) > _from_now(2 * timing.lease))
    paused = and_(
        col(Job.status) == JobStatus.queued, col(Job.attempts) > 0, col(Job.not_before) > _from_now(2 * timing.backoff_most)
    )
    for query in (
        update(Job).where(leased).values(lease_until=_from_now(timing.lease)),
        update(Job).where(paused).values(not_before=_from_now(timing.backoff_most)),
    ):
        await session.execute(query.execution_options(synchronize_session=False))


async def take_back(session: WriteSession, job_id: UUID) -> bool:
    """Queue an expired job again, or end it when it was cancelled or has no attempt left. False when somebody was faster."""
    query = _locked(col(Job.id) == job_id, _expired(), skip=True)
    job = await session.scalar(query)
    if job is None:
        return False
    if not await _ended_instead(session, job):
        await _requeue(session, job)
    return True


async def _request(session: WriteSession, job: Job, order: str, reason: Message = CANCELLED) -> bool:
    locked = await session.scalar(_locked(col(Job.id) == job.id))
    if locked is None or locked.status.final:
        return False
    if order == "cancel_requested_at" and locked.cancel_requested_at is None:
        locked.error = None if reason is CANCELLED else reason  # with which its holder ends it
    setattr(locked, order, getattr(locked, order) or _from_now(0))
    if locked.status is JobStatus.queued:
        await _end(session, locked, JobStatus.cancelled, reason)
    else:
        session.add(locked)
        await session.flush()
        await session.refresh(locked)
        await notify(session, ORDERS, str(job.id))
    return True


async def _ended_instead(session: WriteSession, job: Job) -> bool:
    if job.cancel_requested_at is not None:
        await _cancel(session, job)
    elif job.attempts >= job.max_attempts:
        given_up = Message(
            "job_given_up", "The job was given up: its worker died {times} times while it ran.", times=job.attempts
        )
        await _end(session, job, JobStatus.failed, given_up)
    else:
        return False
    return True


async def _cancel(session: WriteSession, job: Job) -> None:
    """End it for the reason it was ordered to end for."""
    await _end(session, job, JobStatus.cancelled, job.error or CANCELLED)


async def _end(session: WriteSession, job: Job, status: JobStatus, error: Message | None = None) -> None:
    job.status = status
    job.error = error.cut(MAX_ERROR) if error else None
    job.token = job.lease_until = None
    job.finished_at = _from_now(0)
    await _changed(session, job)


async def _requeue(session: WriteSession, job: Job, not_before: Any = None) -> None:
    job.status = JobStatus.queued
    job.token = job.worker = job.lease_until = job.dispatched_at = None
    job.not_before = not_before
    await _changed(session, job)
    await notify(session, QUEUED)


async def _changed(session: WriteSession, job: Job) -> None:
    session.add(job)
    await session.flush()
    await session.refresh(job)
    await kinds.tell(session, job)
    await session.flush()
    await _record(session, job)


async def _record(session: WriteSession, job: Job) -> None:
    """Jobs of a project leave a trace on their entity; the server's own housekeeping leaves none."""
    if job.project_id is None or job.entity_id is None:
        return
    await event.append(
        session,
        entity_type=job.entity_type,
        entity_id=job.entity_id,
        project_id=job.project_id,
        kind=EventKind.state,
        type=f"job.{job.status}",
        message=job.error or "",
        level="error" if job.status is JobStatus.failed else "info",
        data={"job_id": str(job.id), "status": str(job.status), "attempt": job.attempts},
    )


_IDS = ARRAY(Uuid())
OPEN = (JobStatus.queued, JobStatus.running)


def _locked(*conditions: ColumnElement[bool], skip: bool = False) -> Any:
    query = select(Job).where(*conditions, _known()).with_for_update(skip_locked=skip)
    return query.execution_options(populate_existing=True)


def _known() -> ColumnElement[bool]:
    """Of kinds this code knows: a newer server's jobs are left to its workers."""
    return col(Job.type).in_(kinds.names())


def _waiting() -> ColumnElement[bool]:
    not_before = col(Job.not_before)
    return and_(col(Job.status) == JobStatus.queued, or_(not_before.is_(None), not_before <= func.clock_timestamp()))


def _expired() -> ColumnElement[bool]:
    return and_(col(Job.status) == JobStatus.running, col(Job.lease_until) < func.clock_timestamp())


def _held(job_id: UUID, token: UUID) -> ColumnElement[bool]:
    return and_(col(Job.id) == job_id, col(Job.token) == token, col(Job.status) == JobStatus.running)


def _from_now(seconds: float) -> Any:
    """The database's time, as an expression: `clock_timestamp`, because a wait for a lock must not shorten a lease."""
    moment: ColumnElement[datetime] = func.clock_timestamp() + timedelta(seconds=seconds)
    return moment
