"""The job that removes what a deleted thing left in storage and in the log, after the deletion is committed. Safe to repeat."""

from typing import Any

from coreplex.event import service as event
from coreplex.job.context import JobContext
from coreplex.job.table import Job


async def run(job: Job, context: JobContext) -> dict[str, Any] | None:
    """Delete every file whose key begins with the payload's `prefix`, and what the thing said; the timeline is left alone."""
    await context.storage.delete_all(str(job.payload["prefix"]))
    if job.entity_id is not None:
        await event.forget(context.database, job.entity_type, job.entity_id)
    return None
