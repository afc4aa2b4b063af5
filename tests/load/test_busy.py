"""One caller has at most a share of the pool, and who waits for it too long is told that the server is busy."""

import asyncio

import pytest
from httpx import AsyncClient
from sqlalchemy import text

from coreplex.errors.tree import Busy
from coreplex.platform import database as module
from coreplex.platform.database import Database
from coreplex.platform.fair_places import working_for
from coreplex.platform.settings import Settings
from tests.factories.account import bearer, browser, make_key, make_user, serving


async def hold(database: Database, caller: str, end: asyncio.Event) -> None:
    with working_for(caller):
        async with database.read() as session:
            await session.execute(text("SELECT 1"))
            await end.wait()


async def test_one_caller_leaves_connections_for_the_others(database: Database) -> None:
    end = asyncio.Event()
    greedy = [asyncio.create_task(hold(database, "greedy", end)) for _ in range(20)]
    await asyncio.sleep(0.1)
    with working_for("modest"):
        async with asyncio.timeout(20):
            await database.ping()
    end.set()
    await asyncio.gather(*greedy)
    assert database.places.used == 0


async def test_a_session_within_a_session_waits_for_nobody(database: Database) -> None:
    """Every place of the caller is taken by requests that open a second session: none waits for another."""

    async def nested() -> None:
        async with database.transaction() as outer:
            await outer.execute(text("SELECT 1"))
            await asyncio.sleep(0.05)
            await database.ping()

    async with asyncio.timeout(20):
        await asyncio.gather(*(nested() for _ in range(6)))
    assert database.places.used == 0


async def test_waiting_too_long_is_busy(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL_PATIENCE_SECS", 0.05)
    small, end = Database(database.url, pool_size=1), asyncio.Event()
    holder = asyncio.create_task(hold(small, "a", end))
    await asyncio.sleep(0.2)
    with pytest.raises(Busy, match="busy"):
        await small.ping()
    end.set()
    await holder
    await small.ping()
    await small.close()


async def test_both_doors_say_busy(settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    key = (await make_key(database, await make_user(database)))[1]
    monkeypatch.setattr(module, "POOL_PATIENCE_SECS", 0.05)
    async with serving(settings.model_copy(update={"database_pool_size": 1})) as app, browser(app) as client:
        headers, end = bearer(key), asyncio.Event()
        assert (await client.get("/api/projects", headers=headers)).status_code == 200
        holder = asyncio.create_task(hold(app.state.services.database, "somebody", end))
        await asyncio.sleep(0.2)
        await _check(client, headers)
        end.set()
        await holder
        assert (await client.get("/api/projects", headers=headers)).status_code == 200


async def _check(client: AsyncClient, headers: dict[str, str]) -> None:
    rest = await client.get("/api/projects", headers=headers)
    assert (rest.status_code, rest.json()["code"], rest.headers["Retry-After"]) == (503, "busy", "1")
    assert "not reachable" not in rest.text
    answer = await client.post("/graphql", json={"query": "{ projects(first: 1) { totalCount } }"}, headers=headers)
    (error,) = answer.json()["errors"]
    assert (error["extensions"]["code"], error["extensions"]["retryAfter"]) == ("BUSY", 1)
