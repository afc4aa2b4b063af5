"""The job that removes what a deleted thing left in storage and in the log, after the deletion is committed. Safe to repeat."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from coreplex.event import service as event
from coreplex.job import service
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession

STORAGE_DELETE = "storage_delete"


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
    job = await service.enqueue(
        session,
        STORAGE_DELETE,
        entity_type=entity_type,
        entity_id=entity_id,
        created_by=created_by,
        payload={"prefix": prefix},
    )
    if delay is not None:
        job.not_before = now() + delay
    return job


async def run(job: Job, context: JobContext) -> dict[str, Any] | None:
    """Delete every file whose key begins with the payload's `prefix`, and what the thing said; the timeline is left alone."""
    await context.storage.delete_all(str(job.payload["prefix"]))
    if job.entity_id is not None:
        await event.forget(context.database, job.entity_type, job.entity_id)
    return None
