"""Another e-mail for an account: proved by a mail to it where this server confirms e-mails, taken at once where it does not."""

from sqlalchemy import text

from coreplex.account import mail, one_time
from coreplex.account.cache import announce
from coreplex.account.recovery import record
from coreplex.account.signin import user_by_email
from coreplex.account.table import TokenPurpose, User
from coreplex.errors.tree import Conflict, Invalid, Message, RateLimited
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.settings import Settings

ACCOUNTS = 0x6163636F756E7473  # "accounts"


async def lock(session: WriteSession) -> None:
    """Nobody else takes an address, or a place for an account, until this transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ACCOUNTS})


async def ask(session: WriteSession, settings: Settings, user: User, email: str) -> bool:
    """Give the account another e-mail, or mail a link to it that does; whether a mail was sent.

    A taken e-mail gets the same answer and its owner a mail, or is a Conflict where there is no mailbox to tell
    (docs/decisions/0010). Raises Invalid for the e-mail the account has, RateLimited after enough mails.
    """
    if email == user.email:
        raise Invalid.field(Message("same_email", "is the e-mail of the account already"), "email")
    if not settings.require_email_verification:
        await change(session, settings, user, email, proved=False)
        return False
    token = await one_time.issue(session, user, TokenPurpose.change_email, email)
    if token is None:
        told = Message("mails_an_hour", "At most {most} such mails an hour; go on later.", most=one_time.MAX_PER_HOUR)
        raise RateLimited(told, retry_after=3600)
    owner = await user_by_email(session, email)
    if owner is None or owner.id == user.id:
        await mail.send_email_change(session, settings, email, token)
    elif owner.is_active:
        await mail.send_taken(session, settings, owner)
    return True


async def change(session: WriteSession, settings: Settings, user: User, email: str, *, proved: bool) -> None:
    """Give the account a new e-mail, and tell the old one, whose links end. Raises Conflict for one that is taken."""
    await lock(session)
    owner = await user_by_email(session, email)
    if owner is not None and owner.id != user.id:
        raise Conflict(Message("email_taken", "This e-mail has an account already."))
    before, user.email = user.email, email
    user.email_verified_at, user.updated_at = now() if proved else None, now()
    for purpose in TokenPurpose:
        await one_time.use_up(session, user, purpose)
    await announce(session, user.id)
    await mail.send_email_changed(session, settings, before, user)
    await record(session, user, "user.email_changed", f"{before} is {email} now.")
