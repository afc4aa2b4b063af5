"""Subscriptions over WebSocket: who gets in, what may be said, and that nothing said breaks it."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import orjson
import pytest
from httpx import AsyncClient
from hypothesis import HealthCheck, given
from hypothesis import settings as run_with
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.websockets import WebSocket, WebSocketDisconnect
from structlog.testing import capture_logs
from websockets import ClientConnection, ConnectionClosed, InvalidStatus, connect

from coreplex.account import cache
from coreplex.account.table import ApiKey
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.listener import notify
from coreplex.platform.settings import Settings
from resolvers.context import Context
from schema.door import websocket
from schema.door.live import Places
from schema.door.work import Work
from tests.factories.account import make_key, make_user, sign_in
from tests.graphql.conftest import served_on
from tests.graphql.followed import FOLLOW, beginning, make_job, tell

PROTOCOL: Any = ["graphql-transport-ws"]


def dial(address: str, **more: Any) -> connect:
    return connect(f"ws://{address}/graphql", **{"subprotocols": PROTOCOL, **more})


async def say(socket: ClientConnection, message: Any) -> None:
    await socket.send(orjson.dumps(message).decode())


async def hear(socket: ClientConnection) -> dict[str, Any]:
    found = orjson.loads(await asyncio.wait_for(socket.recv(), 10))
    assert isinstance(found, dict)
    return found


async def said(socket: ClientConnection) -> str | None:
    """The next message; None when the socket is closed."""
    try:
        return orjson.loads(await asyncio.wait_for(socket.recv(), 10))["type"]
    except ConnectionClosed:
        return None


async def closed(socket: ClientConnection) -> int:
    """The code the server closes with, whatever it says before."""
    while await said(socket) is not None:
        pass
    assert socket.close_code is not None
    return socket.close_code


def subscribe(job: Job, id: str = "1", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "subscribe", "payload": {"query": FOLLOW, "variables": {"job": str(job.id), **more}}}


async def greet(socket: ClientConnection, token: str) -> None:
    await say(socket, {"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
    assert await hear(socket) == {"type": "connection_ack"}


@pytest.fixture
async def owned(database: Database) -> tuple[str, Job, ApiKey]:
    user = await make_user(database)
    row, token = await make_key(database, user)
    return token, await make_job(database, user), row


async def test_follow_resume_and_complete(address: str, database: Database, owned: tuple[str, Job, ApiKey]) -> None:
    token, job, _ = owned
    start = await beginning(database, job)
    async with dial(address) as socket:
        await greet(socket, token)
        await say(socket, {"type": "ping"})
        assert await hear(socket) == {"type": "pong"}
        await say(socket, subscribe(job, after=start))
        one, two = await tell(database, job, "one", "two")
        heard = [await hear(socket), await hear(socket)]
        assert [h["payload"]["data"]["jobEvents"] for h in heard] == [
            {"seq": one, "message": "one"},
            {"seq": two, "message": "two"},
        ]
        await say(socket, {"id": "1", "type": "complete"})
        await say(socket, subscribe(job, "again", after=one))
        assert (await hear(socket))["payload"]["data"]["jobEvents"]["message"] == "two"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
async def test_pages_of_other_sites_get_no_socket(address: str, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(address, origin=origin):
            pass
    assert refused.value.response.status_code == 403
    error = orjson.loads(refused.value.response.body)["errors"][0]
    assert (error["extensions"]["code"], "CORS_ORIGINS" in error["message"]) == ("FORBIDDEN", True)


async def test_a_socket_says_that_a_key_has_no_effect(address: str) -> None:
    async with dial(address) as plain, dial(address, additional_headers={"Idempotency-Key": "k"}) as keyed:
        assert plain.response is not None
        assert keyed.response is not None
        assert "Warning" not in plain.response.headers
        assert "Idempotency-Key has no effect" in keyed.response.headers["Warning"]


async def test_a_cookie_opens_a_socket_and_logout_closes_it(
    address: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "PULSE_SECS", 0.1)
    user = await make_user(database)
    async with AsyncClient(base_url=f"http://{address}") as web:
        csrf = await sign_in(web, user.email)
        header = {"Cookie": "; ".join(f"{name}={value}" for name, value in web.cookies.items())}
        async with dial(address, origin=f"http://{address}", additional_headers=header) as socket:
            await say(socket, {"type": "connection_init"})
            assert await hear(socket) == {"type": "connection_ack"}
            assert (await web.post("/api/auth/logout", headers=csrf)).status_code < 300
            assert await closed(socket) == 4403


async def test_a_revoked_key_closes_the_socket(
    address: str, database: Database, owned: tuple[str, Job, ApiKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "PULSE_SECS", 0.1)
    token, job, row = owned
    async with dial(address) as socket:
        await greet(socket, token)
        await say(socket, subscribe(job))
        async with database.transaction() as session:
            (await session.get_one(ApiKey, row.id)).revoked_at = now()
            await notify(session, cache.CHANNEL, str(row.id))
        assert await closed(socket) == 4403


async def test_who_says_nothing_or_nothing_true_is_let_go(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "INIT_SECS", 0.2)
    async with dial(address) as silent:
        assert await closed(silent) == 4408
    for payload in (None, {}, {"Authorization": "Bearer no"}, {"apiKey": "no"}, {"apiKey": 3}, {"Authorization": "Basic x"}):
        async with dial(address) as socket:
            await say(socket, {"type": "connection_init", "payload": payload})
            assert await closed(socket) == 4403
    async with dial(address) as early:
        await say(early, {"id": "1", "type": "subscribe", "payload": {"query": "subscription { x }"}})
        assert await closed(early) == 4401
    async with dial(address, subprotocols=["graphql-ws"]) as legacy:
        assert await closed(legacy) == 4406


async def test_only_allowed_ones(address: str, database: Database, owned: tuple[str, Job, ApiKey]) -> None:
    token, _, _ = owned
    foreign = await make_job(database, await make_user(database))
    async with dial(address) as socket:
        await greet(socket, token)
        for query in ("{ nothing }", "subscription { nothing }", "{", ""):
            await say(socket, {"id": "1", "type": "subscribe", "payload": {"query": query}})
            assert (await hear(socket))["type"] == "error"
        await say(socket, subscribe(foreign))
        heard = await hear(socket)
        assert heard["payload"][0]["extensions"]["code"] == "NOT_FOUND"


async def test_so_many_operations_and_so_many_sockets(address: str, database: Database, owned: tuple[str, Job, ApiKey]) -> None:
    token, job, _ = owned
    start = await beginning(database, job)
    async with AsyncExitStack() as held:
        sockets = [await held.enter_async_context(dial(address)) for _ in range(websocket.MAX_SOCKETS)]
        for socket in sockets:
            await greet(socket, token)
        further = await held.enter_async_context(dial(address))
        await say(further, {"type": "connection_init", "payload": {"apiKey": token}})
        assert await closed(further) == 4429
        assert further.close_reason == "At most 32 sockets at once; close one first."
        for number in range(websocket.MAX_OPERATIONS + 1):
            await say(sockets[0], subscribe(job, str(number), after=start))
        refused = await hear(sockets[0])
        assert (refused["id"], refused["type"]) == (str(websocket.MAX_OPERATIONS), "error")
    async with dial(address) as again:
        await greet(again, token)


async def test_strangers_of_one_network_are_few(
    address: str, owned: tuple[str, Job, ApiKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "INIT_SECS", 60.0)
    async with AsyncExitStack() as held:
        strangers = [await held.enter_async_context(dial(address)) for _ in range(websocket.MAX_STRANGERS)]
        with pytest.raises(InvalidStatus) as refused:
            await held.enter_async_context(dial(address))
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["Retry-After"]
        await greet(strangers[0], owned[0])
        known = await held.enter_async_context(dial(address))
        await greet(known, owned[0])
        await strangers[1].close()
        async with dial(address) as again:
            await greet(again, owned[0])


async def test_strangers_are_counted_by_the_address_that_a_trusted_proxy_names(
    app: Starlette, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "INIT_SECS", 60.0)
    behind = settings.model_copy(update={"trusted_proxies": ("127.0.0.1",)})
    async with served_on(app, behind) as address, AsyncExitStack() as held:
        for number in range(websocket.MAX_STRANGERS + 5):
            forwarded = {"X-Forwarded-For": f"203.0.113.{number}"}
            await held.enter_async_context(dial(address, additional_headers=forwarded))
        for _ in range(websocket.MAX_STRANGERS - 1):
            await held.enter_async_context(dial(address, additional_headers=forwarded))
        with pytest.raises(InvalidStatus):
            await held.enter_async_context(dial(address, additional_headers=forwarded))


async def test_every_message_to_a_client_that_left_says_so(app: Starlette) -> None:
    """The first one finds it out; to Starlette the second is a mistake of ours."""
    steps = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        return steps.pop()

    async def send(message: Any) -> None:
        if message["type"] == "websocket.send":
            raise OSError("gone")

    socket = WebSocket({"type": "websocket", "path": "/", "headers": []}, receive, send)
    await socket.accept()
    session = websocket.Session(socket, Context(app.state.services), Places(1, "sockets"), Work(app.state.services))
    for _ in range(2):
        with pytest.raises(WebSocketDisconnect):
            await session._send({"type": "pong"})


MALFORMED: list[Any] = [
    "",
    "{",
    "null",
    "[]",
    "1",
    '"x"',
    "{}",
    '{"type": null}',
    '{"type": "hello"}',
    '{"type": "subscribe"}',
    '{"type": "subscribe", "id": 1}',
    '{"type": "subscribe", "id": ""}',
    '{"type": "complete", "id": []}',
    '{"type": "complete"}',
    '{"type": NaN}',
    "[" * 30_000,
    '{"a":' * 10_000,
    b"\x00\xff",
    b'{"type": "ping"}',
    '{"type": "ping", "payload": ' + "[" * 40 + "]" * 40 + "}",
]


@pytest.mark.parametrize("number", range(len(MALFORMED)))
async def test_malformed_frames_close_in_order(address: str, owned: tuple[str, Job, ApiKey], number: int) -> None:
    with capture_logs() as logs:
        async with dial(address) as socket:
            await greet(socket, owned[0])
            await socket.send(MALFORMED[number])
            assert await closed(socket) == 4400
        async with dial(address) as socket:
            await socket.send(MALFORMED[number])
            assert await closed(socket) in {4400, 4401}
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_protocol_offences(address: str, owned: tuple[str, Job, ApiKey]) -> None:
    token, job, _ = owned
    async with dial(address) as socket:
        await greet(socket, token)
        await say(socket, {"type": "connection_init"})
        assert await closed(socket) == 4429
    async with dial(address) as socket:
        await greet(socket, token)
        await say(socket, subscribe(job))
        await say(socket, subscribe(job))
        assert await closed(socket) == 4409
    async with dial(address) as socket:
        await greet(socket, token)
        await socket.send("x" * (1 << 17))
        assert await closed(socket) == 1009


KINDS = st.sampled_from(["subscribe", "complete", "ping", "pong", "connection_init", "next", "error", ""])
ANYTHING: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)


@pytest.fixture
async def listening(address: str, owned: tuple[str, Job, ApiKey]) -> tuple[str, str]:
    return address, owned[0]


@run_with(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries({}, optional={"type": KINDS | ANYTHING, "id": st.text() | ANYTHING, "payload": ANYTHING}))
async def test_any_message_is_answered_or_closed(listening: tuple[str, str], message: dict[str, Any]) -> None:
    address, token = listening
    with capture_logs() as logs:
        async with dial(address) as socket:
            await greet(socket, token)
            await socket.send(json.dumps(message))
            await say(socket, {"type": "ping"})
            while await said(socket) not in {"pong", None}:
                pass
            assert socket.close_code is None or 4400 <= socket.close_code < 4500
    assert not [line for line in logs if line["log_level"] == "error"]
