"""The jobs of webhooks: what is due is sent, and looked for where the job that was to send it was given up."""

from datetime import timedelta

from coreplex.job.context import JobContext
from coreplex.job.kinds import JobKind, Queue, declare
from coreplex.job.table import Job
from coreplex.webhook import outbox, sending


async def ring_for_missed(_job: Job, context: JobContext) -> None:
    """Give webhooks with something due a job."""
    await context.save(outbox.ring_for_missed)


declare(JobKind(outbox.SEND, sending.run, Queue.webhooks, description="Sends what is due to a webhook."))
declare(JobKind("webhooks_waiting", ring_for_missed, every=timedelta(minutes=1)))
