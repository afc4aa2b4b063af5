"""Subscriptions over Server-Sent Events: replay, follow, resume, refuse, end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
import pytest
from httpx import AsyncClient, Response
from httpx_sse import EventSource, ServerSentEvent

from coreplex.account import cache, recovery
from coreplex.account.table import ApiKey, User
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.listener import notify
from coreplex.platform.services import Services
from schema.door import live, sse
from tests.factories.account import make_key, make_user, sign_in
from tests.graphql.followed import FOLLOW, beginning, make_job, tell

ACCEPT = {"accept": "text/event-stream"}


@pytest.fixture
async def web(address: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(base_url=f"http://{address}", timeout=20) as made:
        yield made


@asynccontextmanager
async def followed(
    web: AsyncClient, job: Job, headers: dict[str, str], **more: Any
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    body = {"query": FOLLOW, "variables": {"job": str(job.id), **more}}
    async with web.stream("POST", "/graphql", json=body, headers={**ACCEPT, **headers}) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield EventSource(response).aiter_sse()


def message_of(event: ServerSentEvent) -> str:
    found = event.json()["data"]["jobEvents"]["message"]
    assert isinstance(found, str)
    return found


async def owner(database: Database) -> tuple[User, ApiKey, dict[str, str], Job]:
    user = await make_user(database)
    row, token = await make_key(database, user)
    return user, row, {"authorization": f"Bearer {token}"}, await make_job(database, user)


async def test_replay_follow_and_resume(web: AsyncClient, database: Database) -> None:
    _, _, key, job = await owner(database)
    start = await beginning(database, job)
    await tell(database, job, "one", "two")
    async with followed(web, job, key, after=start) as events:
        first, second = await anext(events), await anext(events)
        assert [message_of(first), message_of(second)] == ["one", "two"]
        await tell(database, job, "three")
        third = await anext(events)
        assert (message_of(third), third.event) == ("three", "next")
        assert int(third.id) == third.json()["data"]["jobEvents"]["seq"]
    await tell(database, job, "four")
    async with followed(web, job, {**key, "last-event-id": second.id}) as events:
        assert [message_of(await anext(events)) for _ in range(2)] == ["three", "four"]
    async with followed(web, job, key, after=int(third.id)) as events:
        assert message_of(await anext(events)) == "four"


async def test_a_browsers_event_source(web: AsyncClient, database: Database) -> None:
    """It can only GET, says nothing but its cookie and where it was, and is no page of another site."""
    user = await make_user(database)
    job = await make_job(database, user)
    await sign_in(web, user.email)
    start = await beginning(database, job)
    await tell(database, job, "one")
    params = {"query": FOLLOW, "variables": orjson.dumps({"job": str(job.id), "after": start}).decode()}
    async with web.stream("GET", "/graphql", params=params, headers=ACCEPT) as response:
        event = await anext(EventSource(response).aiter_sse())
        assert message_of(event) == "one"
    await tell(database, job, "two")
    async with web.stream("GET", "/graphql", params=params, headers={**ACCEPT, "last-event-id": event.id}) as response:
        assert message_of(await anext(EventSource(response).aiter_sse())) == "two"
    foreign = await web.get("/graphql", params=params, headers={**ACCEPT, "sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403


async def test_strangers_and_others_are_refused_before_the_stream(web: AsyncClient, database: Database) -> None:
    _, _, _, job = await owner(database)
    _, _, other, _ = await owner(database)

    async def ask(headers: dict[str, str], query: str = FOLLOW, job_id: str = str(job.id)) -> Response:
        return await web.post("/graphql", json={"query": query, "variables": {"job": job_id}}, headers=headers)

    assert (await ask(ACCEPT)).status_code == 401
    foreign, missing = await ask({**ACCEPT, **other}), await ask({**ACCEPT, **other}, job_id="nonsense")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["errors"][0]["message"] == missing.json()["errors"][0]["message"]
    assert (await ask(other)).status_code == 400  # without the Accept of a stream
    assert (await ask({**ACCEPT, **other}, "subscription { nothing }")).status_code == 400
    two = "subscription($job: ID!) { a: jobEvents(jobId: $job) { seq } b: jobEvents(jobId: $job) { seq } }"
    assert (await ask({**ACCEPT, **other}, two)).status_code == 400


async def test_a_query_may_be_answered_as_a_stream(web: AsyncClient) -> None:
    response = await web.post("/graphql/stream", json={"query": "{ __typename }"})
    assert response.text == 'event: next\ndata: {"data":{"__typename":"Query"}}\n\nevent: complete\ndata: \n\n'


async def test_a_revoked_key_and_an_ended_session_end_the_stream(
    web: AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.pulsing, "__defaults__", (0.2,))
    user, row, key, job = await owner(database)
    start = await beginning(database, job)
    async with followed(web, job, key, after=start) as events:
        async with database.transaction() as session:
            (await session.get_one(ApiKey, row.id)).revoked_at = now()
            await notify(session, cache.CHANNEL, str(row.id))
        ended = [event async for event in events]
    assert [event.event for event in ended] == ["next", "complete"]
    assert ended[0].json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    csrf = await sign_in(web, user.email)
    async with followed(web, job, {}, after=start) as events:
        async with AsyncClient(base_url=web.base_url, cookies=web.cookies) as tab:
            assert (await tab.post("/api/auth/logout", headers=csrf)).status_code < 300
        ended = [event async for event in events]
    assert ended[-1].event == "complete"


async def test_who_may_no_longer_hears_no_more(web: AsyncClient, database: Database) -> None:
    """Without waiting for a pulse: a member removed, a project deleted, a key revoked, an account closed; others hear on."""
    _, _, key, job = await owner(database)
    start = await beginning(database, job)

    async def member() -> tuple[User, ApiKey, dict[str, str], str]:
        user = await make_user(database)
        row, token = await make_key(database, user)
        body = {"email": user.email, "role": "viewer"}
        added = await web.post(f"/api/projects/{job.project_id}/members", json=body, headers=key)
        return user, row, {"authorization": f"Bearer {token}"}, added.json()["id"]

    async def ended(events: AsyncIterator[ServerSentEvent]) -> str:
        async with asyncio.timeout(live.PULSE_SECS / 2):
            last = [event async for event in events]
        assert last[-1].event == "complete"
        code = last[-2].json()["errors"][0]["extensions"]["code"]
        assert isinstance(code, str)
        return code

    async with followed(web, job, key, after=start) as own:
        for how, code in (("removed", "NOT_FOUND"), ("revoked", "UNAUTHENTICATED"), ("closed", "UNAUTHENTICATED")):
            user, row, theirs, membership = await member()
            async with followed(web, job, theirs, after=start) as events:
                await tell(database, job, how)
                assert message_of([await anext(events), await anext(own)][0]) == how
                if how == "removed":
                    gone = await web.delete(f"/api/projects/{job.project_id}/members/{membership}", headers=key)
                    assert gone.status_code < 300
                else:
                    async with database.transaction() as session:
                        if how == "revoked":
                            (await session.get_one(ApiKey, row.id)).revoked_at = now()
                            await cache.announce(session, row.id)
                        else:
                            await recovery.set_active(session, await session.get_one(User, user.id), False)
                await tell(database, job, "secret")
                assert await ended(events) == code
                assert message_of(await anext(own)) == "secret"
            start = await beginning(database, job)
            await anext(own)
        assert (await web.delete(f"/api/projects/{job.project_id}", headers=key)).status_code < 300
        assert await ended(own) == "NOT_FOUND"


async def test_places_are_limited_and_given_back(web: AsyncClient, database: Database, services: Services) -> None:
    _, _, key, job = await owner(database)
    async with AsyncExitStack() as held:
        streams = [await held.enter_async_context(followed(web, job, key)) for _ in range(sse.MAX_STREAMS)]
        for events in streams:
            await anext(events)
        body = {"query": FOLLOW, "variables": {"job": str(job.id)}}
        assert (await web.post("/graphql", json=body, headers={**ACCEPT, **key})).status_code == 429
    for _ in range(100):
        if not services.listener._waiting:
            break
        await asyncio.sleep(0.02)
    assert not services.listener._waiting, "a client that is gone leaves nothing behind"
    async with followed(web, job, key) as events:
        await anext(events)


async def test_keep_alive_comments(web: AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live.pulsing, "__defaults__", (0.05,))
    _, _, key, job = await owner(database)
    start = await beginning(database, job)
    body = {"query": FOLLOW, "variables": {"job": str(job.id), "after": start}}
    async with web.stream("POST", "/graphql", json=body, headers={**ACCEPT, **key}) as response:
        assert await anext(response.aiter_bytes()) == b":\n"
    await tell(database, job, "one")
    async with followed(web, job, key, after=start) as events:
        assert message_of(await anext(events)) == "one"
        await asyncio.sleep(0.3)
        await tell(database, job, "two")
        assert message_of(await anext(events)) == "two", "a comment is no event"
