"""The jobs of the account: mails are sent, and those that were written before there was a mail server are looked for."""

from datetime import timedelta

from coreplex.account import delivery, mail
from coreplex.job.context import JobContext
from coreplex.job.kinds import JobKind, declare
from coreplex.job.table import Job


async def enqueue_waiting(_job: Job, context: JobContext) -> None:
    """Give mails that were written while no mail server was set up their job."""
    if context.settings.smtp_url is not None:
        await context.save(mail.enqueue_waiting)


declare(JobKind(mail.MAIL_SEND, delivery.run, attempts=mail.SEND_ATTEMPTS, description="Sends a mail."))
declare(JobKind("mails_waiting", enqueue_waiting, every=timedelta(minutes=5)))
