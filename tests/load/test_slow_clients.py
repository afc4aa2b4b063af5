"""Clients that hold connections and say little: they are gone in seconds, and nobody else notices them."""

import asyncio
import contextlib
import resource
import socket
import statistics
import time
from urllib.parse import urlsplit

import httpx
import pytest

from coreplex.platform import open_files
from edge.protocol import HEAD_SECS
from tests.stack import Stack

TRICKLING = 800
UPGRADE = (
    b"GET /graphql HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
)


@pytest.mark.slow
async def test_eight_hundred_trickling_clients(stack: Stack) -> None:
    address = urlsplit(stack.base_url)
    place = (address.hostname, address.port)
    before = await _latencies(stack, 2.0)
    began = time.monotonic()
    clients = [asyncio.create_task(_trickle(place)) for _ in range(TRICKLING)]
    during = await _latencies(stack, HEAD_SECS - 1)
    lives = await asyncio.gather(*clients)
    assert time.monotonic() - began < HEAD_SECS + 3
    assert max(lives) < HEAD_SECS + 1
    assert min(lives) > HEAD_SECS / 2, "they are let be until the deadline"
    print(f"p99 before {_p99(before) * 1000:.0f} ms, during {_p99(during) * 1000:.0f} ms, longest life {max(lives):.2f} s")
    assert _p99(during) < max(0.1, 4 * _p99(before))


@pytest.mark.slow
@pytest.mark.parametrize("said", [UPGRADE + b"Content-Length: 100\r\n\r\n", UPGRADE + b"\r\n", b"GET / HT", b""])
async def test_sixteen_hundred_connections_at_a_limit_of_fifteen_hundred_files(stack: Stack, said: bytes) -> None:
    open_files.allow_many()
    address = urlsplit(stack.base_url)
    web = stack.children["web"].pid
    before = resource.prlimit(web, resource.RLIMIT_NOFILE)
    resource.prlimit(web, resource.RLIMIT_NOFILE, (1500, before[1]))
    try:
        with contextlib.ExitStack() as held:
            for number in range(1600):
                client = held.enter_context(socket.create_connection((address.hostname, address.port)))
                with contextlib.suppress(ConnectionError):
                    client.sendall(said)
                if number % 200 == 199:
                    async with httpx.AsyncClient(base_url=stack.base_url) as fresh:
                        assert (await fresh.get("/health")).status_code == 200
    finally:
        resource.prlimit(web, resource.RLIMIT_NOFILE, before)


async def _trickle(place: tuple[str | None, int | None]) -> float:
    """How long a connection lives that sends a header line every half second."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, place)
        began = time.monotonic()
        with contextlib.suppress(ConnectionError):
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\n")
            hearing = asyncio.create_task(_heard(client))
            while not (await asyncio.wait({hearing}, timeout=0.5))[0]:
                await loop.sock_sendall(client, b"X-A: b\r\n")
        return time.monotonic() - began


async def _heard(client: socket.socket) -> None:
    with contextlib.suppress(ConnectionError):
        await asyncio.get_running_loop().sock_recv(client, 4096)


async def _latencies(stack: Stack, seconds: float) -> list[float]:
    found = []
    async with httpx.AsyncClient(base_url=stack.base_url) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            assert (await client.get("/health")).status_code == 200
            found.append(time.perf_counter() - began)
            await asyncio.sleep(0.01)
    return found


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]
