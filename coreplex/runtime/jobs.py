"""The jobs of what composes the concepts: the rules of every table are carried out."""

from datetime import timedelta
from typing import Any

from coreplex.job.context import JobContext
from coreplex.job.kinds import JobKind, declare
from coreplex.job.table import Job
from coreplex.runtime import retention


async def run(_job: Job, context: JobContext) -> dict[str, Any]:
    """Remove the rows whose time is over."""
    return {"rows": await retention.purge(context.database, context.settings)}


declare(JobKind("retention", run, every=timedelta(minutes=5)))
