"""Signing in and out: who proves a password gets a session; sessions are rows and end when their row goes."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlmodel import col

from coreplex.account import device_cookie, lockout, passwords, tokens
from coreplex.account.cache import announce
from coreplex.account.table import Session, User
from coreplex.errors.tree import Forbidden, Message, Unauthenticated
from coreplex.platform.clock import now
from coreplex.platform.database import Database, ReadSession, WriteSession
from coreplex.platform.settings import Settings

MOST_SESSIONS = 100
"""Of one account: the next sign-in ends the oldest."""
LIFETIME, LIFETIME_REMEMBERED = timedelta(hours=24), timedelta(days=30)


def lifetime(remember: bool) -> timedelta:
    """How long a session lasts, whether it is used or not."""
    return LIFETIME_REMEMBERED if remember else LIFETIME


async def user_by_email(session: ReadSession, email: str) -> User | None:
    return await session.scalar(select(User).where(func.lower(User.email) == email.lower()))


async def prove(
    database: Database,
    email: str,
    password: str,
    *,
    address: str = "",
    known_cookie: str | None = None,
    session_id: UUID | None = None,
) -> User:
    """The user whose e-mail and password these are, asked from an address, a browser that may be known, or within a session.

    Unauthenticated for a wrong pair, with equal work and words whether the account exists or not; RateLimited while the lockout
    lasts. Holds no connection while hashing.
    """
    async with database.read() as session:
        user = await user_by_email(session, email)
    browser = str(session_id) if session_id else device_cookie.browser_of(known_cookie, user)
    async with lockout.attempt(database, email, address, browser) as attempt:
        right = await passwords.matches(user.password_hash if user else None, password)
        if user is None or not right:
            raise Unauthenticated(Message("wrong_email_or_password", "E-mail or password is wrong."))
        attempt.right = True
    return user


def require_usable(settings: Settings, user: User) -> None:
    """Raise Forbidden for a deactivated or unconfirmed account: said only to who has proved its password."""
    if not user.is_active:
        raise Forbidden(Message("account_deactivated", "This account is deactivated; ask the administrator of the server."))
    if settings.require_email_verification and user.email_verified_at is None:
        raise Forbidden(
            Message("email_not_confirmed", "Confirm your e-mail first: open the link in the mail, or ask for it again.")
        )


async def open_session(
    session: WriteSession, user_id: UUID, *, remember: bool = False, address: str = "", user_agent: str = ""
) -> str:
    """Start a session and return its token, which is the cookie; the user's expired sessions are swept away."""
    expired = (col(Session.user_id) == user_id, col(Session.expires_at) <= now())
    await session.execute(delete(Session).where(*expired))
    token = tokens.new()
    row = Session(
        user_id=user_id,
        token_hash=tokens.digest(token),
        remember=remember,
        user_agent=_text(user_agent, 300),
        address=_text(address, 64),
        expires_at=now() + lifetime(remember),
    )
    session.add(row)
    await session.flush()
    await _end_oldest(session, user_id)
    return token


async def _end_oldest(session: WriteSession, user_id: UUID) -> None:
    """End what is beyond the number of sessions one person may have."""
    newest_first = select(col(Session.id)).where(col(Session.user_id) == user_id).order_by(col(Session.created_at).desc())
    oldest = newest_first.offset(MOST_SESSIONS)
    gone = await session.scalars(delete(Session).where(col(Session.id).in_(oldest)).returning(col(Session.id)))
    await announce(session, *gone.all())


async def end_session(session: WriteSession, token: str | None) -> UUID | None:
    """End the session of this cookie, if there is one; returns its id, to be forgotten after the commit."""
    if not token:
        return None
    gone = await session.scalar(delete(Session).where(col(Session.token_hash) == tokens.digest(token)).returning(col(Session.id)))
    if gone is not None:
        await announce(session, gone)
    return gone


async def end_all_sessions(session: WriteSession, user_id: UUID) -> None:
    """Sign the user out everywhere."""
    await session.execute(delete(Session).where(col(Session.user_id) == user_id))
    await announce(session, user_id)


async def known_account(database: Database, cookie: str | None) -> UUID | None:
    """The account a browser's cookie rightly says it has signed in to before."""
    identity = device_cookie.account_of(cookie)
    if identity is None:
        return None
    async with database.read() as session:
        user = await session.get(User, identity)
    return identity if device_cookie.browser_of(cookie, user) else None


async def keep_hash_current(session: WriteSession, user: User, password: str) -> None:
    """Hash a password just proven again when today's parameters are others."""
    if passwords.outdated(user.password_hash):
        row = await session.get_one(User, user.id)
        row.password_hash = user.password_hash = await passwords.hashed_as_given(password)


def _text(value: str, length: int) -> str:
    return value.replace("\0", "")[:length]
