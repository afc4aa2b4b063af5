"""Sends one mail of the outbox by SMTP: the handler of `mail_send` jobs. Never logs what a mail says.

A mail that went out keeps its row but not its body, which held a one-time link.
"""

from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any

import aiosmtplib

from coreplex.account.table import Mail
from coreplex.errors.tree import Invalid, Message, Unavailable
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.settings import Settings
from coreplex.platform.smtp import server_of

TIMEOUT_SECS = 20.0
SENT_BODY = "(sent; the text is not kept)"


def compose(settings: Settings, mail: Mail) -> EmailMessage:
    """The mail as plain text, its subject in one line. Raises ValueError for a header that no mail may have."""
    message = EmailMessage()
    message["From"] = settings.mail_from
    message["To"] = mail.recipient
    message["Subject"] = " ".join("".join(one if one.isprintable() else " " for one in mail.subject).split())
    message["Date"] = formatdate(mail.created_at.timestamp(), usegmt=True)
    message["Message-ID"] = make_msgid(str(mail.id), parseaddr(settings.mail_from)[1].rpartition("@")[2] or "localhost")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    return message


async def send(settings: Settings, mail: Mail) -> None:
    """Hand one mail to the mail server. Raises aiosmtplib.SMTPException or OSError when it does not take it."""
    if settings.smtp_url is None:
        raise OSError("SMTP_URL is not set any more")
    server = server_of(settings.smtp_url.get_secret_value())
    await aiosmtplib.send(compose(settings, mail), timeout=TIMEOUT_SECS, **server)


async def run(job: Job, context: JobContext) -> None:
    """Send the mail the job names, once. A mail server that does not take it is asked again, ever later (Unavailable)."""
    assert job.entity_id is not None
    async with context.database.read() as session:
        mail = await session.get(Mail, job.entity_id)
    if mail is None or mail.sent_at is not None:
        return
    try:
        await send(context.settings, mail)
    except ValueError as error:
        trouble = str(error)[:500]
        await context.save(lambda session: _note(session, mail, last_error=trouble))
        raise Invalid(Message("mail_not_written", "The mail cannot be written ({trouble}).", trouble=trouble)) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        trouble = f"{type(error).__name__}: {error}"[:500]
        await context.save(lambda session: _note(session, mail, last_error=trouble))
        raise Unavailable(
            Message("mail_not_taken", "The mail server did not take the mail ({trouble}).", trouble=trouble)
        ) from error
    await context.save(lambda session: _note(session, mail, last_error=None, sent_at=now(), body=SENT_BODY))


async def _note(session: WriteSession, mail: Mail, **changes: Any) -> None:
    row = await session.get_one(Mail, mail.id)
    row.sqlmodel_update({"attempts": mail.attempts + 1, **changes})
