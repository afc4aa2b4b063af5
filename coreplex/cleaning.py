"""The job that removes files after the rows that named them are gone."""

from typing import Any

from coreplex.job.context import JobContext
from coreplex.job.handlers import register
from coreplex.job.table import JobType


async def delete_files(context: JobContext) -> dict[str, Any]:
    """Remove every file under the payload's `prefix`. Safe to repeat."""
    await context.services.storage.delete_all(str(context.job.payload["prefix"]))
    return {}


register(JobType.storage_delete, delete_files)
