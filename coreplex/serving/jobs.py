"""The jobs of the inference log."""

from datetime import timedelta
from typing import Any

from coreplex.job.context import JobContext
from coreplex.job.kinds import JobKind, declare
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.serving.log import orphaned_rows, partitions


async def tend_partitions(_job: Job, context: JobContext) -> dict[str, Any]:
    """Make the next weeks' partitions; remove what is older than it is kept, and what deleted deployments left."""
    database, days = context.database, context.settings.inference_log_days
    moment = now()
    horizon = moment - timedelta(days=days) if days else None
    made, dropped = await partitions.make_ahead(database), await partitions.drop_over(database, moment, horizon)
    return {"made": made, "dropped": dropped, "rows": await orphaned_rows.remove(database, moment, horizon)}


declare(JobKind("inference_log", tend_partitions, every=timedelta(minutes=5)))
