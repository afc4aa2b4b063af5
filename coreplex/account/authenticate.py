"""Finds the Principal of a credential, API key or session cookie, for every door.

A known credential is answered from the process's cache in microseconds. Refuses with Unauthenticated, and never says whether a
credential was wrong, expired or revoked.
"""

import hmac
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlmodel import col

from coreplex.account import keys, tokens
from coreplex.account.cache import AccessCache
from coreplex.account.table import ApiKey, Session, User
from coreplex.errors.tree import Message, Unauthenticated, Unavailable
from coreplex.platform.clock import now
from coreplex.platform.permissions import Credential, Principal, Scope, usable_scopes
from coreplex.platform.services import Services

TOUCH_EVERY = timedelta(minutes=1)
ALL_SCOPES = frozenset(Scope)


async def by_key(services: Services, token: str, digest: bytes | None = None) -> Principal:
    """The owner of an API key, with the key's scopes. `digest`: the token's, where it was made already."""
    cache, digest = AccessCache.of(services), digest or tokens.digest(token)
    known = cache.get(digest)
    if known is not None and known.credential is Credential.api_key:
        return known
    key_id, generation = keys.id_of(token), cache.generation
    if key_id is None:
        raise _bad_key()
    try:
        async with services.database.read() as session:
            query = select(ApiKey, User).join(User, col(User.id) == col(ApiKey.user_id)).where(col(ApiKey.id) == key_id)
            found = (await session.execute(query)).one_or_none()
    except Unavailable:
        known = cache.last_known(digest)
        if known is None or known.credential is not Credential.api_key:
            raise
        return known
    if found is None or not hmac.compare_digest(found[0].secret_hash, digest):
        raise _bad_key()
    key, user = found
    if key.revoked_at is not None or not user.is_active or (key.expires_at is not None and key.expires_at <= now()):
        raise _bad_key()
    scopes = usable_scopes(user.role) & {Scope(word) for word in key.scopes}  # a key does not outlive what its owner was
    principal = _principal(user, key, Credential.api_key, scopes, project_id=key.project_id)
    cache.put(digest, principal, generation, _left(key.expires_at))
    await _touch(services, col(ApiKey.id) == key.id, col(ApiKey.last_used_at), key.last_used_at)
    return principal


async def by_session(services: Services, cookie: str, digest: bytes | None = None) -> Principal:
    """The person signed in with a session cookie; holds every scope. `digest`: the cookie's, where it was made already."""
    cache, digest = AccessCache.of(services), digest or tokens.digest(cookie)
    known = cache.get(digest)
    if known is not None and known.credential is Credential.session:
        return known
    if len(cookie) != tokens.LENGTH:
        raise _bad_session()
    generation = cache.generation
    async with services.database.read() as session:
        query = select(Session, User).join(User, col(User.id) == col(Session.user_id)).where(col(Session.token_hash) == digest)
        found = (await session.execute(query)).one_or_none()
    if found is None:
        raise _bad_session()
    row, user = found
    if not user.is_active or row.expires_at <= now():
        raise _bad_session()
    principal = _principal(user, row, Credential.session, ALL_SCOPES, csrf_token=tokens.csrf_of(cookie))
    cache.put(digest, principal, generation, _left(row.expires_at))
    await _touch(services, col(Session.id) == row.id, col(Session.last_seen_at), row.last_seen_at)
    return principal


def _principal(user: User, row: ApiKey | Session, credential: Credential, scopes: frozenset[Scope], **more: Any) -> Principal:
    return Principal(user.id, user.email, user.name, user.role, user.plan, credential, row.id, scopes, **more)


async def _touch(services: Services, row: Any, column: Any, last: datetime | None) -> None:
    """Note the use of a credential, at most once a minute. It is a courtesy: that the database refuses is no reason to."""
    due = now() - TOUCH_EVERY
    if last is not None and last > due:
        return
    statement = update(column.class_).where(row, or_(column.is_(None), column < due)).values({column: now()})
    with suppress(Unavailable):
        async with services.database.transaction() as session:
            await session.execute(statement)


def _left(ends: datetime | None) -> float | None:
    """Seconds until then."""
    return None if ends is None else (ends - now()).total_seconds()


def _bad_key() -> Unauthenticated:
    return Unauthenticated(Message("api_key_not_valid", "This API key is not valid: mistyped, expired or revoked."))


def _bad_session() -> Unauthenticated:
    return Unauthenticated(Message("session_ended", "The session has ended; sign in again."))
