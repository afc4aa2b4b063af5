"""API keys: made and shown once, listed without their secrets, revoked at once. Managed by their owner in a session only."""

from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlmodel import col

from coreplex.account import keys, tokens
from coreplex.account.cache import announce
from coreplex.account.inputs import CreateApiKey, RevokeApiKey
from coreplex.account.table import ApiKey
from coreplex.errors.tree import Forbidden, Message, NotFound, QuotaExceeded
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.membership import quota
from coreplex.membership.access import open_project
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import flag, moments, reference, text
from coreplex.platform.identifier import new_id, parse_id
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant, usable_scopes
from coreplex.platform.settings import Settings

ORDER = Order(
    {
        "created_at": col(ApiKey.created_at),
        "name": col(ApiKey.name),
        "last_used_at": col(ApiKey.last_used_at),
        "expires_at": col(ApiKey.expires_at),
    }
)


def own(grant: Grant) -> Select[ApiKey]:
    """The caller's keys, revoked ones too."""
    return select(ApiKey).where(col(ApiKey.user_id) == grant.user_id)


KEYS = Listing(
    noun="ApiKey",
    query=select(ApiKey),
    identity=col(ApiKey.id),
    order=ORDER,
    search=Search("the name and the beginning of the key", (col(ApiKey.name), col(ApiKey.prefix))),
    filters={
        "name": text(col(ApiKey.name), "By name."),
        "project_id": reference(col(ApiKey.project_id), "Project", "Only keys that are bound to this project."),
        "is_revoked": flag(col(ApiKey.revoked_at).is_not(None), "Whether they were revoked."),
        "created_at": moments(col(ApiKey.created_at), "By when they were made."),
        "expires_at": moments(col(ApiKey.expires_at), "By when they end."),
        "last_used_at": moments(col(ApiKey.last_used_at), "By when they were last used."),
    },
    visible=lambda grant: col(ApiKey.user_id) == grant.user_id,
)
"""The caller's keys, revoked ones too."""


async def create(session: WriteSession, grant: Grant, wanted: CreateApiKey, settings: Settings) -> tuple[str, ApiKey]:
    """The text of a new key, which is shown now and never again, and the key. Raises Forbidden, QuotaExceeded."""
    if not set(wanted.scopes) <= usable_scopes(grant.principal.user_role):
        raise Forbidden(
            Message("admin_scope_refused", "Only an administrator of this server can make a key with the scope 'admin'.")
        )
    project = await open_project(session, grant, wanted.project_id) if wanted.project_id is not None else None
    await _take_place(session, settings, grant.user_id)
    key_id = new_id()
    secret = keys.new(key_id)
    row = ApiKey(
        id=key_id,
        user_id=grant.user_id,
        project_id=project.id if project else None,
        name=wanted.name,
        prefix=keys.prefix(key_id),
        secret_hash=tokens.digest(secret),
        scopes=list(dict.fromkeys(scope.value for scope in wanted.scopes)),
        expires_at=wanted.end,
    )
    session.add(row)
    await session.flush()
    await _record(session, grant, row, "api_key.created", f"API key “{row.name}” was created.")
    return secret, row


async def _take_place(session: WriteSession, settings: Settings, user_id: UUID) -> None:
    """A place for one more API key that can be used."""
    await quota.lock_account(session, user_id)
    ends = col(ApiKey.expires_at)
    usable = (col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None), or_(ends.is_(None), ends > now()))
    used = await quota.count(session, select(func.count()).where(*usable))
    if used >= settings.max_api_keys:
        raise QuotaExceeded(
            Message(
                "too_many_api_keys",
                "You have {used:,} API keys, and MAX_API_KEYS allows {most:,}. Revoke one that is not used, or ask the server's "
                "administrator to raise it.",
                used=used,
                most=settings.max_api_keys,
            )
        )


async def revoke(session: WriteSession, grant: Grant, wanted: RevokeApiKey) -> UUID:
    """End a key of the caller for good; doing it again changes nothing. Returns its id, to be forgotten after the commit."""
    mine = (col(ApiKey.id) == parse_id(wanted.api_key_id, "API key"), col(ApiKey.user_id) == grant.user_id)
    row = await session.scalar(select(ApiKey).where(*mine).with_for_update())
    if row is None:
        raise NotFound.of("API key")
    if row.revoked_at is None:
        row.revoked_at = now()
        await announce(session, row.id)
        await _record(session, grant, row, "api_key.revoked", f"API key “{row.name}” was revoked.")
    return row.id


async def active(session: ReadSession, user_id: UUID) -> int:
    """How many keys of a user work."""
    return int(await session.scalar(select(func.count()).select_from(ApiKey).where(*_working(user_id))) or 0)


async def revoke_all(session: WriteSession, user_id: UUID) -> int:
    """End every key of a user for good; returns how many that were."""
    gone = update(ApiKey).where(*_working(user_id)).values(revoked_at=now()).returning(col(ApiKey.id))
    ids = (await session.scalars(gone)).all()
    await announce(session, *ids)
    return len(ids)


def _working(user_id: UUID) -> tuple[ColumnElement[bool], ...]:
    endless = col(ApiKey.expires_at).is_(None) | (col(ApiKey.expires_at) > now())
    return (col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None), endless)


async def _record(session: WriteSession, grant: Grant, row: ApiKey, kind: str, message: str) -> None:
    await event.append(
        session,
        entity_type="api_key",
        entity_id=row.id,
        project_id=row.project_id,
        kind=EventKind.audit,
        type=kind,
        message=message,
        actor_id=grant.user_id,
    )
