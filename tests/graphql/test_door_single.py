"""Event streams that carry several operations: reserved, opened once, used from any process, ended with what runs for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from httpx import AsyncClient, Response
from httpx_sse import EventSource, ServerSentEvent
from sqlalchemy import text
from starlette.applications import Starlette

from coreplex.account import cache
from coreplex.account.table import ApiKey
from coreplex.job.table import Job
from coreplex.platform import shared_streams
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.platform.shared_streams import SharedStreams
from schema.door import live, single
from tests.factories.account import make_key, make_user, serving, sign_in
from tests.graphql.conftest import served_on
from tests.graphql.followed import FOLLOW, beginning, make_job, tell

PATH = "/graphql/stream"
TOKEN = "X-GraphQL-Event-Stream-Token"
CREATE = "mutation($name: String!) { createProject(input: {name: $name}) { project { name } } }"
Events = AsyncIterator[ServerSentEvent]


@pytest.fixture
async def owner(database: Database) -> tuple[dict[str, str], Job, ApiKey]:
    user = await make_user(database)
    row, token = await make_key(database, user)
    return {"authorization": f"Bearer {token}"}, await make_job(database, user), row


@pytest.fixture
async def web(address: str, owner: Any) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=f"http://{address}", headers=owner[0], timeout=20) as made:
        yield made


async def reserve(web: AsyncClient) -> str:
    answer = await web.put(PATH)
    assert answer.status_code == 201, answer.text
    return answer.text


@asynccontextmanager
async def opened(web: AsyncClient, token: str) -> AsyncIterator[Events]:
    async with web.stream("GET", PATH, params={"token": token}) as response:
        assert response.status_code == 200, await response.aread()
        yield EventSource(response).aiter_sse()


async def post(web: AsyncClient, token: str, id: Any, query: str, **variables: Any) -> Response:
    body = {"query": query, "variables": variables, "extensions": {"operationId": id}}
    return await web.post(PATH, json=body, headers={TOKEN: token})


async def heard(events: Events) -> tuple[str, Any]:
    event = await asyncio.wait_for(anext(events), 15)
    return event.event, event.json()


async def test_several_operations_on_one_stream(web: AsyncClient, owner: Any, database: Database) -> None:
    _, job, _ = owner
    start = await beginning(database, job)
    token = await reserve(web)
    async with opened(web, token) as events:
        assert (await post(web, token, "q", "{ __typename }")).status_code == 202
        name, data = await heard(events)
        assert (name, data["id"], data["payload"]["data"]) == ("next", "q", {"__typename": "Query"})
        assert await heard(events) == ("complete", {"id": "q"})
        for id in ("a", "b"):
            assert (await post(web, token, id, FOLLOW, job=str(job.id), after=start)).status_code == 202
        await tell(database, job, "one")
        both = sorted([(await heard(events))[1]["id"] for _ in range(2)])
        assert both == ["a", "b"]
        assert (await web.delete(PATH, params={"operationId": "a"}, headers={TOKEN: token})).status_code == 200
        await asyncio.sleep(0.3)
        await tell(database, job, "two")
        name, data = await heard(events)
        assert (data["id"], data["payload"]["data"]["jobEvents"]["message"]) == ("b", "two")
        assert (await post(web, token, "m", CREATE, name="By stream")).status_code == 202
        assert (await heard(events))[1]["payload"]["data"]["createProject"]["project"]["name"] == "By stream"


async def test_each_request_may_come_to_another_process(
    app: Starlette, settings: Settings, owner: Any, database: Database
) -> None:
    header, job, _ = owner
    async with AsyncExitStack() as held:
        webs = []
        for made in (app, await held.enter_async_context(serving(settings))):
            found = await held.enter_async_context(served_on(made, settings))
            webs.append(await held.enter_async_context(AsyncClient(base_url=f"http://{found}", headers=header, timeout=20)))
        one, other = webs
        token = await reserve(other)
        async with opened(one, token) as events:
            start = await beginning(database, job)
            assert (await post(other, token, "s", FOLLOW, job=str(job.id), after=start)).status_code == 202
            await tell(database, job, "over there")
            assert (await heard(events))[1]["payload"]["data"]["jobEvents"]["message"] == "over there"
            assert (await one.delete(PATH, params={"operationId": "s"}, headers={TOKEN: token})).status_code == 200
            await asyncio.sleep(0.3)
            assert (await post(other, token, "s", "{ __typename }")).status_code == 202, "its name is free again"
            assert (await heard(events))[1]["payload"]["data"] == {"__typename": "Query"}


async def test_who_may_use_a_stream(web: AsyncClient, owner: Any, database: Database, address: str) -> None:
    _, stranger_token = await make_key(database, await make_user(database))
    token = await reserve(web)
    async with AsyncClient(base_url=f"http://{address}") as nobody:
        assert (await nobody.put(PATH)).status_code == 401
        assert (await nobody.get(PATH, params={"token": token})).status_code == 401
        other = {"authorization": f"Bearer {stranger_token}"}
        assert (await nobody.get(PATH, params={"token": token}, headers=other)).status_code == 404
        assert (await web.put(PATH, headers={"origin": "https://evil.example"})).status_code == 403
    assert (await post(web, token, "q", "{ __typename }")).status_code == 404, "nobody has opened it"
    assert (await web.get(PATH, params={"token": "unknown"})).status_code == 404
    async with opened(web, token) as events:
        second = await web.get(PATH, params={"token": token})
        assert (second.status_code, second.json()["errors"][0]["extensions"]["code"]) == (409, "CONFLICT")
        foreign = await web.post(
            PATH, json={"query": "{ __typename }", "extensions": {"operationId": "x"}}, headers={TOKEN: token, **other}
        )
        assert foreign.status_code == 404
        assert (await post(web, token, "q", "{ __typename }")).status_code == 202
        assert (await heard(events))[0] == "next"


async def test_refusals_answer_the_request_and_leave_nothing(web: AsyncClient, owner: Any, database: Database) -> None:
    _, job, _ = owner
    token = await reserve(web)
    async with opened(web, token) as events:
        for id, query, status in (
            ("a", "{ nothing }", 400),
            ("a", 'subscription { jobEvents(jobId: "nonsense") { seq } }', 404),
            ("", "{ __typename }", 400),
            (3, "{ __typename }", 400),
            (None, "{ __typename }", 400),
            ("x" * 201, "{ __typename }", 400),
        ):
            assert (await post(web, token, id, query)).status_code == status, query
        assert (await post(web, token, "a", FOLLOW, job=str(job.id))).status_code == 202, "the name was not used up"
        assert (await post(web, token, "a", "{ __typename }")).status_code == 409
        assert (await web.delete(PATH, headers={TOKEN: token})).status_code == 400
        assert (await heard(events))[1]["id"] == "a"


async def test_a_cookie_needs_its_token_and_what_sets_cookies_goes_by_post(address: str, database: Database) -> None:
    user = await make_user(database)
    async with AsyncClient(base_url=f"http://{address}") as web:
        csrf = await sign_in(web, user.email)
        token = await reserve(web)
        async with opened(web, token) as events:
            assert (await post(web, token, "m", CREATE, name="x")).status_code == 403
            web.headers.update(csrf)
            assert (await post(web, token, "l", "mutation { logout { ok } }")).status_code == 202
            _, data = await heard(events)
            assert "send it by POST" in data["payload"]["errors"][0]["message"]
    async with database.read() as session:
        assert await session.scalar(text("SELECT count(*) FROM projects")) == 0
        assert await session.scalar(text("SELECT count(*) FROM sessions")) == 1


async def test_it_ends_with_its_credential(
    web: AsyncClient, owner: Any, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PULSE_SECS", 0.2)
    token = await reserve(web)
    async with opened(web, token) as events:
        async with database.transaction() as session:
            (await session.get_one(ApiKey, owner[2].id)).revoked_at = now()
            await cache.announce(session, owner[2].id)
        async with asyncio.timeout(10):
            assert [event async for event in events] == []


async def test_what_runs_ends_with_its_stream(
    web: AsyncClient, owner: Any, app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_streams, "MOST", 2)
    streams, job = SharedStreams.of(app.state.services), owner[1]
    token = await reserve(web)
    async with opened(web, token):
        for id in ("a", "b"):
            assert (await post(web, token, id, FOLLOW, job=str(job.id))).status_code == 202
        assert (await post(web, token, "c", FOLLOW, job=str(job.id))).status_code == 429
        assert len(streams._running) == 2
    async with asyncio.timeout(10):
        while streams._running:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (await web.get(PATH, params={"token": token})).status_code == 404


async def test_a_large_answer_is_asked_for_by_itself(web: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single, "MOST_BYTES", 100)
    token = await reserve(web)
    async with opened(web, token) as events:
        assert (await post(web, token, "q", "{ projects { nodes { id name createdAt } } }")).status_code == 202
        _, data = await heard(events)
        assert data["payload"]["errors"][0]["extensions"]["code"] == "ANSWER_TOO_LARGE"
        assert (await heard(events))[0] == "complete"


async def test_without_redis_it_says_so(settings: Settings, owner: Any) -> None:
    away = settings.model_copy(update={"redis_url": "redis://localhost:1/0"})
    async with serving(away) as made, served_on(made, away) as found:
        async with AsyncClient(base_url=f"http://{found}", headers=owner[0]) as web:
            answer = await web.put(PATH)
            assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")
