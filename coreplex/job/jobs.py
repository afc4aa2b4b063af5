"""The kinds of jobs that belong to no concept: the removal of files, and the probe."""

from coreplex.event import service as event
from coreplex.job import probe
from coreplex.job.context import JobContext
from coreplex.job.kinds import JobKind, declare
from coreplex.job.service import STORAGE_DELETE
from coreplex.job.table import Job


async def remove_files(job: Job, context: JobContext) -> None:
    """Delete every file whose key begins with the payload's `prefix`, and what the thing said; the timeline is left alone.

    What a deleted thing left is removed after the deletion is committed. Safe to repeat.
    """
    await context.storage.delete_all(str(job.payload["prefix"]))
    if job.entity_id is not None:
        await event.forget(context.database, job.entity_type, job.entity_id)


declare(JobKind(STORAGE_DELETE, remove_files, description="Removes files nobody needs any more."))
declare(JobKind("probe", probe.run, on_final=probe.on_final, description="Does nothing, to see that workers work."))
