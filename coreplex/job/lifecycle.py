"""The life of what runs as a job: the columns of the job, and of each row whose life is a job's, declared once.

How far it is, what it is doing, and whether it was told to stop or to end are the job's own; a row that follows asks its job.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlmodel import Field, SQLModel

from coreplex.errors.tree import Message
from coreplex.platform.clock import now
from coreplex.platform.columns import maybe_moment, maybe_notice, moment, word


class JobStatus(StrEnum):
    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def final(self) -> bool:
        return self in {JobStatus.succeeded, JobStatus.failed, JobStatus.cancelled}


class Lifecycle(SQLModel):
    """Columns of a job, of what follows one, and of each part of that."""

    model_config = {"arbitrary_types_allowed": True}  # messages

    status: JobStatus = word(JobStatus, JobStatus.queued)
    error: Message | None = maybe_notice()
    created_at: datetime = moment()
    started_at: datetime | None = maybe_moment()
    finished_at: datetime | None = maybe_moment()

    def enter(self, status: JobStatus, error: Message | None = None) -> None:
        """Take on a status. When it began is the first time it ran; only an end has an error."""
        self.status, self.error = status, error if status.final else None
        if status is JobStatus.running:
            self.started_at = self.started_at or now()
        if status.final:
            self.finished_at = now()


class FollowsJob(Lifecycle):
    """Columns of a row whose life is that of a job: queued by `enqueue_for`, kept in step by the hooks of the job's kind."""

    job_id: UUID | None = Field(default=None, foreign_key="jobs.id", ondelete="SET NULL", index=True)
    """None once the job is no longer kept."""
