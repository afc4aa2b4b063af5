"""From credential to principal: what is asked of the database, what is remembered, and that nothing is remembered too long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from coreplex.account import api_key, authenticate, keys, recovery, signin, tokens
from coreplex.account.cache import AccessCache
from coreplex.account.inputs import RevokeApiKey
from coreplex.account.table import ApiKey, Session, User
from coreplex.errors.tree import Unauthenticated
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.permissions import Credential, Grant, Scope
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from tests.factories.account import make_key, make_user


@pytest.fixture
async def start(settings: Settings) -> AsyncIterator[Callable[[], asyncio.Future[Services]]]:
    """Starts as many processes' worth of services as a test asks for."""
    made: list[Services] = []

    async def one() -> Services:
        services = composition.build(settings)
        made.append(services)
        await services.start()
        return services

    yield one  # type: ignore[misc]
    for services in made:
        await services.stop()


@pytest.fixture
async def services(start: Callable[[], asyncio.Future[Services]]) -> Services:
    return await start()


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements this pool sends."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def within_a_second(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 1
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def refused(services: Services, key: str) -> bool:
    try:
        await authenticate.by_key(services, key)
    except Unauthenticated:
        return True
    return False


async def test_a_key_is_its_owner_with_its_own_scopes(services: Services, database: Database) -> None:
    user = await make_user(database)
    row, key = await make_key(database, user, [Scope.read, Scope.predict])
    principal = await authenticate.by_key(services, key)
    assert (principal.user_id, principal.email, principal.credential_id) == (user.id, user.email, row.id)
    assert principal.credential is Credential.api_key
    assert principal.scopes == {Scope.read, Scope.predict}
    assert principal.csrf_token is None


async def test_a_known_key_costs_no_statement_and_a_mistyped_one_neither(services: Services, database: Database) -> None:
    _, key = await make_key(database, await make_user(database))
    first = await authenticate.by_key(services, key)
    with counted(services.database) as sent:
        for _ in range(100):
            assert await authenticate.by_key(services, key) is first
        for wrong in ("", "x", key[:-1], key[:40] + ("a" if key[40] != "a" else "b") + key[41:], key.upper(), key + "é"):
            assert await refused(services, wrong)
    assert sent == []


async def test_a_forged_key_with_a_right_checksum_is_refused(services: Services, database: Database) -> None:
    row, key = await make_key(database, await make_user(database))
    assert await refused(services, keys.new(row.id)), "right id, other secret"
    assert await refused(services, keys.new(uuid4())), "unknown id"
    assert not await refused(services, key)


async def test_last_use_is_noted_once_a_minute(services: Services, database: Database) -> None:
    row, key = await make_key(database, await make_user(database))

    async def noted() -> object:
        async with database.read() as session:
            return (await session.get_one(ApiKey, row.id)).last_used_at

    await authenticate.by_key(services, key)
    first = await noted()
    assert first is not None
    AccessCache.of(services).clear()
    await authenticate.by_key(services, key)
    assert await noted() == first
    async with database.transaction() as session:
        await session.execute(text("UPDATE api_keys SET last_used_at = now() - interval '61 s'"))
    AccessCache.of(services).clear()
    await authenticate.by_key(services, key)
    assert await noted() != first


async def test_revocation_is_heard_by_every_process(start: Callable[[], asyncio.Future[Services]], database: Database) -> None:
    here, there = await start(), await start()
    user = await make_user(database)
    row, key = await make_key(database, user)
    grant = Grant(await authenticate.by_key(there, key))
    await authenticate.by_key(here, key)
    async with here.database.transaction() as session:
        await api_key.revoke(session, grant, RevokeApiKey(api_key_id=str(row.id)))
        assert not await refused(there, key), "not before the commit"
    digest = tokens.digest(key)
    await within_a_second(lambda: AccessCache.of(there).get(digest) is None and AccessCache.of(here).get(digest) is None)
    assert await refused(here, key)
    assert await refused(there, key)


async def test_deactivation_ends_keys_and_sessions(services: Services, database: Database) -> None:
    user = await make_user(database)
    _, key = await make_key(database, user)
    async with database.transaction() as session:
        cookie = await signin.open_session(session, user.id)
    await authenticate.by_key(services, key)
    await authenticate.by_session(services, cookie)
    async with database.transaction() as session:
        await recovery.set_active(session, await session.get_one(User, user.id), False)
    await within_a_second(lambda: AccessCache.of(services).get(tokens.digest(key)) is None)
    assert await refused(services, key)
    with pytest.raises(Unauthenticated):
        await authenticate.by_session(services, cookie)


async def test_a_session_holds_every_scope_and_its_csrf_token(services: Services, database: Database) -> None:
    user = await make_user(database)
    async with database.transaction() as session:
        cookie = await signin.open_session(session, user.id, user_agent="x\0" * 400, address="::1")
    principal = await authenticate.by_session(services, cookie)
    assert principal.scopes == set(Scope)
    assert principal.csrf_token == tokens.csrf_of(cookie)
    with counted(services.database) as sent:
        assert await authenticate.by_session(services, cookie) is principal
    assert sent == []
    for wrong in ("", "x", "x" * 43, cookie[:-1] + ("a" if cookie[-1] != "a" else "b"), "\ud800" * 43):
        with pytest.raises(Unauthenticated):
            await authenticate.by_session(services, wrong)


async def test_a_known_credential_is_known_for_what_it_is(services: Services, database: Database) -> None:
    """Remembered or not, a session is no API key, and a key is no session."""
    user = await make_user(database)
    _, key = await make_key(database, user)
    async with database.transaction() as session:
        cookie = await signin.open_session(session, user.id)
    for _ in range(2):
        await authenticate.by_key(services, key)
        await authenticate.by_session(services, cookie)
        assert await refused(services, cookie)
        with pytest.raises(Unauthenticated):
            await authenticate.by_session(services, key)


async def test_credentials_expire(services: Services, database: Database) -> None:
    user = await make_user(database)
    _, key = await make_key(database, user, expires_at=now() - timedelta(seconds=1))
    assert await refused(services, key)
    async with database.transaction() as session:
        cookie = await signin.open_session(session, user.id)
        await session.execute(text("UPDATE sessions SET expires_at = now() - interval '1 s'"))
    with pytest.raises(Unauthenticated):
        await authenticate.by_session(services, cookie)
    async with database.transaction() as session:
        await signin.open_session(session, user.id)
        left = (await session.execute(text("SELECT count(*) FROM sessions"))).scalar_one()
    assert left == 1, "signing in swept the expired one"


async def test_expiry_is_checked_on_what_is_remembered_too(services: Services, database: Database) -> None:
    _, key = await make_key(database, await make_user(database), expires_at=now() + timedelta(seconds=1.7))
    assert not await refused(services, key)
    assert AccessCache.of(services).get(tokens.digest(key)) is not None
    await asyncio.sleep(1.8)
    assert await refused(services, key)


async def test_what_was_read_before_a_change_is_not_remembered(services: Services, database: Database) -> None:
    _, key = await make_key(database, await make_user(database))
    principal = await authenticate.by_key(services, key)
    cache, digest = AccessCache.of(services), tokens.digest(key)
    generation = cache.generation
    cache.heard(str(principal.user_id))
    cache.put(digest, principal, generation, 60)
    assert cache.get(digest) is None


async def test_a_process_that_cannot_hear_remembers_nothing(settings: Settings, database: Database) -> None:
    _, key = await make_key(database, await make_user(database))
    deaf = composition.build(settings)
    assert not await refused(deaf, key)
    with counted(deaf.database) as sent:
        assert not await refused(deaf, key)
    assert len(sent) > 0
    await deaf.stop()


async def test_the_cache_is_bounded(services: Services, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = AccessCache.of(services)
    monkeypatch.setattr(cache, "most", 3)
    user = await make_user(database)
    made = [await make_key(database, user) for _ in range(5)]
    for _, key in made:
        assert not await refused(services, key)
    assert sum(cache.get(tokens.digest(key)) is not None for _, key in made) <= 3


async def test_a_session_row_holds_no_cookie(database: Database) -> None:
    user = await make_user(database)
    async with database.transaction() as session:
        cookie = await signin.open_session(session, user.id, remember=True)
    async with database.read() as session:
        row = (await session.execute(text("SELECT row_to_json(s)::text FROM sessions s"))).scalar_one()
        found = await session.get(Session, (await session.execute(text("SELECT id FROM sessions"))).scalar_one())
    assert cookie not in row
    assert cookie.encode().hex() not in row
    assert found is not None
    assert timedelta(days=29) < found.expires_at - now() <= timedelta(days=30)
