"""The row of a background job: truth about it, and outbox of the queue."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from coreplex.platform.columns import document, key, maybe_document, maybe_moment, moment, reference, word

MAX_KIND = 32


class JobStatus(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def final(self) -> bool:
        return self in {JobStatus.succeeded, JobStatus.failed, JobStatus.cancelled}


class Job(SQLModel, table=True):
    """Claimed by a conditional update that raises `attempts` and sets a new `token` (the fence) with a lease."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_undispatched", "created_at", postgresql_where=text("status = 'queued'")),
        Index("ix_jobs_leases", "lease_until", postgresql_where=text("status = 'running'")),
        Index("ix_jobs_entity", "entity_type", "entity_id"),
    )

    id: UUID = key()
    type: str = Field(max_length=MAX_KIND)
    """The name of its kind (`coreplex.job.kinds`)."""
    status: JobStatus = word(JobStatus, JobStatus.queued)
    project_id: UUID | None = reference("projects.id", default=None)
    entity_type: str = Field(default="", max_length=32)
    entity_id: UUID | None = None
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    payload: dict[str, Any] = document()
    result: dict[str, Any] | None = maybe_document()
    error: str | None = None
    progress: float = 0.0
    """Share done, 0 to 1."""
    message: str = ""
    attempts: int = 0
    max_attempts: int = 3
    token: UUID | None = None
    worker: str | None = Field(default=None, max_length=128)
    lease_until: datetime | None = maybe_moment()
    not_before: datetime | None = maybe_moment()
    dispatched_at: datetime | None = maybe_moment()
    cancel_requested_at: datetime | None = maybe_moment()
    stop_requested_at: datetime | None = maybe_moment()
    created_at: datetime = moment(index=True)
    started_at: datetime | None = maybe_moment()
    finished_at: datetime | None = maybe_moment(index=True)


def percent(progress: float) -> float:
    """Progress as everybody outside is told it: 0 to 100."""
    return round(100 * progress, 1)


class Worker(SQLModel, table=True):
    """A worker process that is alive: readiness asks for a recent `seen_at`."""

    __tablename__ = "workers"

    id: str = Field(primary_key=True, max_length=128)
    started_at: datetime = moment()
    seen_at: datetime = moment()
