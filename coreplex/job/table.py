"""The row of a background job: truth about it, and outbox of the queue."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from coreplex.job.lifecycle import Lifecycle
from coreplex.platform.bound import Bound, Rule
from coreplex.platform.columns import document, key, maybe_document, maybe_moment, moment, reference

MAX_KIND = 32


class Job(Lifecycle, table=True):
    """Claimed by a conditional update that raises `attempts` and sets a new `token` (the fence) with a lease."""

    __tablename__ = "jobs"
    __bound__ = Bound(
        "`JOB_DAYS` after their end; 7 days those of the server itself (mails, cleaning), a day those that run by the clock.",
        (
            Rule("project_id IS NOT NULL AND finished_at < :horizon", "job_days"),
            Rule("project_id IS NULL AND finished_at < :horizon", timedelta(days=7)),
            Rule("entity_type = 'schedule' AND finished_at < :horizon", timedelta(days=1)),
        ),
    )
    __table_args__ = (
        Index("ix_jobs_undispatched", "created_at", postgresql_where=text("status = 'queued'")),
        Index("ix_jobs_leases", "lease_until", postgresql_where=text("status = 'running'")),
        Index("ix_jobs_entity", "entity_type", "entity_id"),
        Index("ix_jobs_created_at", "created_at"),
        Index("ix_jobs_finished_at", "finished_at"),
    )

    id: UUID = key()
    type: str = Field(max_length=MAX_KIND)
    """The name of its kind (`coreplex.job.kinds`)."""
    project_id: UUID | None = reference("projects.id", default=None)
    entity_type: str = Field(default="", max_length=32)
    entity_id: UUID | None = None
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    payload: dict[str, Any] = document()
    result: dict[str, Any] | None = maybe_document()
    progress: float = 0.0
    """Share done, 0 to 1."""
    message: str = ""
    attempts: int = 0
    max_attempts: int = 3
    token: UUID | None = None
    worker: str | None = Field(default=None, max_length=128)
    traceparent: str | None = Field(default=None, max_length=64)
    """Of the request that queued it, where traces are sent (`coreplex.platform.tracing`)."""
    lease_until: datetime | None = maybe_moment()
    not_before: datetime | None = maybe_moment()
    dispatched_at: datetime | None = maybe_moment()
    cancel_requested_at: datetime | None = maybe_moment()
    stop_requested_at: datetime | None = maybe_moment()


def percent(progress: float) -> float:
    """Progress as everybody outside is told it: 0 to 100."""
    return round(100 * progress, 1)


class Worker(SQLModel, table=True):
    """A worker process that is alive: readiness asks for a recent `seen_at`."""

    __tablename__ = "workers"
    __bound__ = Bound("A day after they were last seen.", (Rule("seen_at < :horizon", timedelta(days=1)),))

    id: str = Field(primary_key=True, max_length=128)
    started_at: datetime = moment()
    seen_at: datetime = moment()


class Schedule(SQLModel, table=True):
    """When a kind of job that runs by the clock is due (`coreplex.job.schedule`)."""

    __tablename__ = "schedules"
    __bound__ = Bound(
        "One for each kind of job that runs by the clock; of a kind that is not there any more, 30 days after it was due.",
        (Rule("next_at < :horizon", timedelta(days=30)),),
    )

    name: str = Field(primary_key=True, max_length=MAX_KIND)
    next_at: datetime = moment()
    last_at: datetime | None = maybe_moment()
    job_id: UUID | None = reference("jobs.id", default=None, on_delete="SET NULL")
    """Its last job."""
