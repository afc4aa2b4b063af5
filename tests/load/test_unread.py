"""A client that does not take its answers keeps a bounded part of the memory, and the others are answered meanwhile."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from coreplex.platform.memory import MemoryWatch
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from edge.middleware import OuterLayer
from edge.unread import PIECE

LIMIT = 10 * PIECE
BODY = bytes(range(256)) * (LIMIT // 256)
SAYS = {b"/large": BODY, b"/small": b"{}"}


async def answering(scope: Scope, _receive: Receive, send: Send) -> None:
    body = SAYS[scope["path"].encode()]
    await asyncio.sleep(0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Client:
    """Asks, and takes what is answered when it is let."""

    def __init__(self, layer: OuterLayer) -> None:
        self.layer = layer
        self.takes = asyncio.Event()
        self.begun = asyncio.Event()

    async def get(self, path: str = "/large", address: str = "10.0.0.1", method: str = "GET") -> tuple[int, bytes, list[int]]:
        """Status, body, and the sizes of the pieces it came in."""
        status, pieces = 0, []

        async def send(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.body":
                pieces.append(message["body"])
                if message.get("more_body"):
                    self.begun.set()
                    await self.takes.wait()

        async def receive() -> Any:
            await asyncio.Future()

        named = {"type": "http", "method": method, "path": path, "headers": [], "client": (address, 1), "query_string": b""}
        await self.layer(named, receive, send)
        return status, b"".join(pieces), list(map(len, pieces))


@pytest.fixture
def client(settings: Settings) -> Client:
    services = composition.build(settings.model_copy(update={"max_answer_bytes": LIMIT}))
    services.parts[MemoryWatch] = MemoryWatch(1 << 40)
    return Client(OuterLayer(answering, services))


async def test_a_large_answer_leaves_in_pieces(client: Client) -> None:
    client.takes.set()
    assert await client.get() == (200, BODY, [PIECE] * 10)
    assert await client.get("/small") == (200, b"{}", [2])


async def test_who_takes_nothing_is_answered_no_more_until_it_does(client: Client) -> None:
    held = [asyncio.create_task(client.get()) for _ in range(2)]
    await client.begun.wait()
    await asyncio.sleep(0.01)
    for path in ("/small", "/large"):
        status, body, _ = await client.get(path)
        assert (status, b'"busy"' in body, b"read them" in body) == (503, True, True)
    assert (await client.get("/small", "10.0.0.2"))[0] == 200
    client.takes.set()
    assert [one[:2] for one in await asyncio.gather(*held)] == [(200, BODY)] * 2
    assert (await client.get())[:2] == (200, BODY)


async def test_of_many_asked_at_once_only_so_many_are_kept(client: Client) -> None:
    """They all came in before the first was answered."""
    asked = [asyncio.create_task(client.get()) for _ in range(10)]
    await client.begun.wait()
    await asyncio.sleep(0.05)
    assert sorted(one.result()[0] for one in asked if one.done()) == [503] * 8
    client.takes.set()
    assert sorted([status for status, *_ in await asyncio.gather(*asked)]) == [200, 200] + [503] * 8


async def test_what_was_done_is_said_even_so(client: Client) -> None:
    """An answer to a request that changed something is not refused: it would be asked for, and done, again."""
    asked = [asyncio.create_task(client.get(method="POST")) for _ in range(10)]
    await client.begun.wait()
    await asyncio.sleep(0.05)
    assert not any(one.done() for one in asked)
    client.takes.set()
    assert {status for status, *_ in await asyncio.gather(*asked)} == {200}


async def test_who_hangs_up_keeps_nothing(client: Client) -> None:
    held = [asyncio.create_task(client.get()) for _ in range(2)]
    await client.begun.wait()
    await asyncio.sleep(0.01)
    for one in held:
        one.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    assert (await client.get("/small"))[0] == 200
