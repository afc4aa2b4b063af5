"""The job that removes what a deleted thing left in storage, after the deletion is committed. Safe to repeat."""

from typing import Any

from coreplex.job.context import JobContext
from coreplex.job.table import Job


async def run(job: Job, context: JobContext) -> dict[str, Any] | None:
    """Delete every file whose key begins with the payload's `prefix`."""
    await context.storage.delete_all(str(job.payload["prefix"]))
    return None
