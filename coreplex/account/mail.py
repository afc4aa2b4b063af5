"""The mails an account gets, and the outbox they wait in.

A mail is a row written in the transaction that wants it; with SMTP set up, a job sends it afterwards. Links are built from the
server's own address in the settings only, never from what a request says its host is.
"""

from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import exists, select
from sqlmodel import col

from coreplex.account import one_time
from coreplex.account.table import Mail, User
from coreplex.job import service as job
from coreplex.job.table import Job
from coreplex.membership.table import Membership
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.permissions import Role
from coreplex.platform.settings import Settings

ENTITY = "mail"
MAIL_SEND = "mail_send"
SEND_ATTEMPTS = 290
"""About a day: the pauses of a job grow to five minutes (job/timing.py)."""
STALE = max(one_time.LIFETIME.values())
"""An older mail that nobody tried to send is left alone: every link of its time has ended."""
MOST_AT_ONCE = 500


async def post(session: WriteSession, settings: Settings, recipient: str, subject: str, body: str) -> Mail:
    """Put a plain-text mail into the outbox."""
    mail = Mail(recipient=recipient, subject=subject, body=body)
    session.add(mail)
    await session.flush()
    if settings.smtp_url is not None:
        await _enqueue(session, mail.id)
    return mail


async def editors_of(session: ReadSession, project_id: UUID) -> list[str]:
    """The addresses of a project's owner, and of who may change something in it, as far as they are confirmed."""
    editing = col(Membership.project_id) == project_id, col(Membership.role) != Role.viewer
    members = select(col(Membership.user_id)).where(*editing)
    query = select(col(User.email)).where(col(User.id).in_(members), col(User.email_verified_at).is_not(None))
    return list((await session.scalars(query.order_by(col(User.email)))).all())


async def enqueue_waiting(session: WriteSession) -> int:
    """Jobs for the mails that were written while no mail server was set up; returns how many."""
    asked = exists().where(col(Job.entity_type) == ENTITY, col(Job.entity_id) == col(Mail.id))
    young = col(Mail.created_at) > now() - STALE
    query = select(col(Mail.id)).where(col(Mail.sent_at).is_(None), young, ~asked).order_by(col(Mail.created_at))
    waiting = (await session.scalars(query.limit(MOST_AT_ONCE))).all()
    for mail_id in waiting:
        await _enqueue(session, mail_id)
    return len(waiting)


async def _enqueue(session: WriteSession, mail_id: UUID) -> None:
    await job.enqueue(session, MAIL_SEND, entity_type=ENTITY, entity_id=mail_id)


async def send_verification(session: WriteSession, settings: Settings, user: User, token: str) -> Mail:
    """Goes to an address nobody has proved yet: it holds no text the registering person chose, the name least of all."""
    link = f"{settings.base_url}/auth/verify-email?{urlencode({'token': token})}"
    body = f"""Hello,

please confirm that this is your e-mail by opening

{link}

within 48 hours, or with GET {settings.base_url}/api/auth/verify-email?token=… and this token:

{token}

If you did not register at {settings.base_url}, do nothing: the account stays unusable.
"""
    return await post(session, settings, user.email, "Confirm your e-mail", body)


async def send_reset(session: WriteSession, settings: Settings, user: User, token: str) -> Mail:
    link = f"{settings.base_url}/auth/reset-password?{urlencode({'token': token})}"
    body = f"""Hello {user.name},

somebody, hopefully you, asked for a new password at {settings.base_url}. To choose one, open

{link}

within an hour, or send this token with the new password to POST {settings.base_url}/api/auth/reset-password:

{token}

If it was not you, do nothing: the old password stays.
"""
    return await post(session, settings, user.email, "Choose a new password", body)


async def send_email_change(session: WriteSession, settings: Settings, recipient: str, token: str) -> Mail:
    """Goes to an address nobody has proved yet: it holds nothing the account's owner chose."""
    link = f"{settings.base_url}/auth/verify-email?{urlencode({'token': token})}"
    body = f"""Hello,

somebody, hopefully you, wants to use this e-mail for an account at {settings.base_url}. To confirm that it is yours, open

{link}

within 48 hours, or with GET {settings.base_url}/api/auth/verify-email?token=… and this token:

{token}

If it was not you, do nothing: the account keeps its old e-mail.
"""
    return await post(session, settings, recipient, "Confirm your new e-mail", body)


async def send_email_changed(session: WriteSession, settings: Settings, before: str, user: User) -> Mail:
    """Goes to the address the account had."""
    body = f"""Hello {user.name},

your account at {settings.base_url} has another e-mail now; this one is no longer used.

If it was not you, tell the administrator of the server.
"""
    return await post(session, settings, before, "Your e-mail was changed", body)


async def send_invitation(session: WriteSession, settings: Settings, recipient: str, inviter: str, token: str, days: int) -> Mail:
    """Goes to an address nobody has proved yet: of what the inviting person could choose it holds their e-mail only."""
    link = f"{settings.base_url}/auth/accept-invitation?{urlencode({'token': token})}"
    body = f"""Hello,

{inviter} invites you to work together in a project at {settings.base_url}. To see which, and to accept, open

{link}

within {days} days. Programs send this token with `register` or `acceptInvitation` to POST {settings.base_url}/graphql:

{token}

If you do not know {inviter}, do nothing: nobody is let in by this without the token above.
"""
    return await post(session, settings, recipient, "An invitation to a project", body)


async def send_taken(session: WriteSession, settings: Settings, user: User) -> Mail:
    body = f"""Hello {user.name},

somebody, perhaps you, wanted to use this e-mail for an account at {settings.base_url}, where it has one already.

If it was you, sign in, or ask for a new password if you forgot it. If not, there is nothing to do.
"""
    return await post(session, settings, user.email, "You have an account already", body)


async def send_password_changed(
    session: WriteSession, settings: Settings, user: User, *, active_keys: int, revoked_keys: int
) -> Mail:
    keys = f"{revoked_keys} API keys were revoked." if revoked_keys else "No API key was revoked."
    if active_keys:
        keys = f"{active_keys} API keys of the account still work; after signing in, revoke those that others may know."
    body = f"""Hello {user.name},

the password of your account at {settings.base_url} was changed and every other session was ended. {keys}

If it was not you, ask for a new password at once and tell the administrator of the server.
"""
    return await post(session, settings, user.email, "Your password was changed", body)
