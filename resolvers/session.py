"""Who asks: what the credential of a request is, for a question that strangers may ask too."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, union_all
from sqlmodel import col

from coreplex.account.cookies import signed_out
from coreplex.account.table import ApiKey, Session
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import Credential, Principal, Scope
from resolvers.context import Info
from resolvers.loading import Rows, batch

api_keys = Rows(ApiKey)


@dataclass(frozen=True)
class WhoAsks:
    """The caller's credential in the words of the contract; all empty for a stranger."""

    user_id: UUID | None = None
    credential_id: UUID | None = None
    api_key_id: UUID | None = None
    project_id: UUID | None = None
    csrf_token: str | None = None
    scopes: tuple[Scope, ...] = ()

    @classmethod
    def of(cls, principal: Principal) -> "WhoAsks":
        by_key = principal.credential is Credential.api_key
        return cls(
            user_id=principal.user_id,
            credential_id=principal.credential_id,
            api_key_id=principal.credential_id if by_key else None,
            project_id=principal.project_id,
            csrf_token=principal.csrf_token,
            scopes=tuple(scope for scope in Scope if scope in principal.scopes),
        )


async def who_asks(info: Info) -> WhoAsks:
    """The caller. A cookie whose session has ended is that of a stranger, and is taken from the browser."""
    context = info.context
    if context.principal is not None:
        return WhoAsks.of(context.principal)
    if context.request.session_cookie is not None:
        context.cookies.extend(signed_out(context.services.settings))
    return WhoAsks()


async def _ends(session: ReadSession, ids: list[UUID]) -> Mapping[UUID, datetime | None]:
    sessions = select(col(Session.id), col(Session.expires_at)).where(col(Session.id).in_(ids))
    keys = select(col(ApiKey.id), col(ApiKey.expires_at)).where(col(ApiKey.id).in_(ids))
    found: Any = await session.execute(union_all(sessions, keys))
    return dict(found.all())


ends = batch(_ends)
"""When credentials end, by the id of the session or key."""
