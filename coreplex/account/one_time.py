"""Tokens of the links in mails to an account: good once, for a while, and stored as digests."""

from datetime import timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlmodel import col

from coreplex.account import tokens
from coreplex.account.table import OneTimeToken, TokenPurpose, User
from coreplex.errors.tree import BadInput, Message
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession

LIFETIME = {
    TokenPurpose.verify_email: timedelta(hours=48),
    TokenPurpose.reset_password: timedelta(hours=1),
    TokenPurpose.change_email: timedelta(hours=48),
}
MAX_PER_HOUR = 5
"""Of one kind, for one account: nobody's mailbox can be flooded through us."""


async def issue(session: WriteSession, user: User, purpose: TokenPurpose, email: str | None = None) -> str | None:
    """A new token, of an `email` that the account does not have yet; None when the account had its share for this hour."""
    recent = select(func.count()).where(
        col(OneTimeToken.user_id) == user.id,
        col(OneTimeToken.purpose) == purpose,
        col(OneTimeToken.created_at) > now() - timedelta(hours=1),
    )
    if (await session.scalar(recent) or 0) >= MAX_PER_HOUR:
        return None
    token = tokens.new()
    row = OneTimeToken(user_id=user.id, purpose=purpose, token_hash=tokens.digest(token), email=email)
    row.expires_at = now() + LIFETIME[purpose]
    session.add(row)
    return token


async def redeem(session: WriteSession, token: str, *purposes: TokenPurpose) -> tuple[User, str | None]:
    """Use the token up; returns whose it was and the e-mail it was for. Raises BadInput for one that is unknown, used or old."""
    told = (col(OneTimeToken.user_id), col(OneTimeToken.email))
    statement = update(OneTimeToken).where(*_good(token, *purposes)).values(used_at=now()).returning(*told)
    found = (await session.execute(statement)).first()
    if found is None:
        raise _bad()
    return await session.get_one(User, found.user_id, with_for_update=True), found.email


async def require_good(session: ReadSession, token: str, purpose: TokenPurpose) -> None:
    """Raise BadInput unless `redeem` would accept the token now: asked before a costly hash."""
    if await session.scalar(select(col(OneTimeToken.id)).where(*_good(token, purpose))) is None:
        raise _bad()


async def use_up(session: WriteSession, user: User, purpose: TokenPurpose) -> None:
    """End every open token of this kind."""
    mine = (col(OneTimeToken.user_id) == user.id, col(OneTimeToken.purpose) == purpose, col(OneTimeToken.used_at).is_(None))
    await session.execute(update(OneTimeToken).where(*mine).values(used_at=now()))


def _good(token: str, *purposes: TokenPurpose) -> tuple[ColumnElement[bool], ...]:
    return (
        col(OneTimeToken.token_hash) == tokens.digest(token),
        col(OneTimeToken.purpose).in_(purposes),
        col(OneTimeToken.used_at).is_(None),
        col(OneTimeToken.expires_at) > now(),
    )


def _bad() -> BadInput:
    return BadInput(
        Message("token_not_valid", "This token is not valid: mistyped, used already, or too old. Ask for a new mail.")
    )
