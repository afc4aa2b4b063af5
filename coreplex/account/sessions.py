"""The browsers a person is signed in with: listed, and signed out from elsewhere. A session ends everywhere at once."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, select
from sqlmodel import col

from coreplex.account.cache import announce
from coreplex.account.inputs import EndSession
from coreplex.account.recovery import record
from coreplex.account.table import Session, User
from coreplex.errors.tree import NotFound
from coreplex.platform.database import WriteSession
from coreplex.platform.filtering import moments, text
from coreplex.platform.identifier import parse_id
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant


def own(grant: Grant) -> Select[Session]:
    """The caller's sessions that have not ended."""
    return select(Session).where(_own(grant))


def _own(grant: Grant) -> ColumnElement[bool]:
    return and_(col(Session.user_id) == grant.user_id, col(Session.expires_at) > func.now())


SESSIONS = Listing(
    noun="BrowserSession",
    query=select(Session),
    identity=col(Session.id),
    order=Order(
        {
            "created_at": col(Session.created_at),
            "last_seen_at": col(Session.last_seen_at),
            "expires_at": col(Session.expires_at),
        }
    ),
    search=Search("what the browser calls itself", (col(Session.user_agent),)),
    filters={
        "user_agent": text(col(Session.user_agent), "By what the browser calls itself."),
        "created_at": moments(col(Session.created_at), "By when they were begun."),
        "last_seen_at": moments(col(Session.last_seen_at), "By when they were last used."),
        "expires_at": moments(col(Session.expires_at), "By when they end."),
    },
    visible=_own,
)
"""The caller's sessions that have not ended."""


async def end(session: WriteSession, grant: Grant, wanted: EndSession) -> UUID:
    """Sign one of the caller's browsers out; returns the session's id, to be forgotten after the commit."""
    mine = (col(Session.id) == parse_id(wanted.session_id, "Session"), col(Session.user_id) == grant.user_id)
    gone = await session.scalar(delete(Session).where(*mine).returning(col(Session.id)))
    if gone is None:
        raise NotFound.of("Session")
    await _tell(session, grant, [gone], "session.ended", "A session was ended.")
    return gone


async def end_others(session: WriteSession, grant: Grant) -> tuple[UUID, ...]:
    """Sign the caller out everywhere but here; returns the sessions' ids, to be forgotten after the commit."""
    others = (col(Session.user_id) == grant.user_id, col(Session.id) != grant.principal.credential_id)
    gone = tuple(await session.scalars(delete(Session).where(*others).returning(col(Session.id))))
    if gone:
        await _tell(session, grant, gone, "session.others_ended", f"{len(gone)} other sessions were ended.")
    return gone


async def _tell(session: WriteSession, grant: Grant, ended: Sequence[UUID], kind: str, message: str) -> None:
    await announce(session, *ended)
    await record(session, await session.get_one(User, grant.user_id), kind, message)
