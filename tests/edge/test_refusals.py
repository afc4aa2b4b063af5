"""Whatever refuses, on a bare socket of the whole server: a sentence in JSON, and what is left of the caller's budget."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import orjson
import pytest
import uvicorn

from asgi import configuration, create_app
from coreplex.platform.settings import Settings

LIMIT = 9
DAY = 86400
FRONT = "https://front.example"
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def check(self, status: int, remaining: int) -> None:
        assert self.status == status, self
        assert self.headers["x-ratelimit-limit"] == str(LIMIT), self
        assert self.headers["x-ratelimit-remaining"] == str(remaining), self
        assert self.headers["x-ratelimit-reset"] == str((int(time.time()) // DAY + 1) * DAY)
        assert self.headers["x-request-id"]
        assert self.headers["x-content-type-options"] == "nosniff"

    @property
    def detail(self) -> str:
        assert self.headers["content-type"] == "application/json"
        return str(orjson.loads(self.body)["detail"])


class Raw:
    """Says bytes to a port, and reads one answer."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def say(self, *parts: bytes) -> Answer:
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", self.port))
            await loop.sock_sendall(client, b"".join(parts))
            heard = bytearray()
            async with asyncio.timeout(20):
                while b"\r\n\r\n" not in heard or not heard.startswith(b"HTTP/1.1 101"):
                    data = await loop.sock_recv(client, 1 << 16)
                    if not data:
                        break
                    heard += data
        head, _, body = bytes(heard).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        counted = [name for name, _ in headers if name.startswith(("x-", "content-"))]
        assert len(counted) == len(set(counted)), f"said twice: {headers}"
        together: dict[str, str] = {}
        for name, value in headers:
            together[name] = f"{together[name]}, {value}" if name in together else value
        return Answer(int(first.split(" ")[1]), together, body)


@pytest.fixture
async def raw(settings: Settings) -> AsyncIterator[Raw]:
    """The server as `asgi` runs it, after one request of a stranger of this address: nine, less one, are left."""
    chosen = settings.model_copy(update={"rate_limit_general": f"{LIMIT}/day", "cors_origins": (FRONT,)})
    server = uvicorn.Server(configuration(chosen, create_app(chosen)))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        serving = asyncio.create_task(server.serve([bound]))
        while not server.started:  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(0.01)
        made = Raw(bound.getsockname()[1])
        (await made.say(b"GET /api/projects HTTP/1.1\r\n", HOST, CLOSE, b"\r\n")).check(401, LIMIT - 1)
        yield made
        server.should_exit = True
        await serving


def test_an_idle_connection_outlives_the_pause_of_a_client_that_polls(settings: Settings) -> None:
    """With uvicorn's own 5 s, one of 27 polls every 5 s met a connection that was being closed."""
    assert configuration(settings, create_app(settings)).timeout_keep_alive > 60


async def test_what_the_parser_refuses(raw: Raw) -> None:
    for said, status in {
        b"hello\r\n\r\n": 400,
        b"GET / HTTP/9.9\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n": 400,
        b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * (40 << 10) + b"\r\n\r\n": 431,
        b"GET /" + b"a" * (40 << 10) + b" HTTP/1.1\r\n" + HOST + b"\r\n": 431,
        b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n": 413,
    }.items():
        answer = await raw.say(said)
        answer.check(status, LIMIT - 1)
        assert answer.detail


async def test_a_request_of_http_1_1_names_its_host(raw: Raw) -> None:
    for headers in (b"", HOST + HOST, HOST + b"Host: other\r\n"):
        answer = await raw.say(b"GET /health HTTP/1.1\r\n", headers, b"\r\n")
        answer.check(400, LIMIT - 1)
        assert "Host" in answer.detail
    (await raw.say(b"GET /health HTTP/1.1\r\n", HOST, CLOSE, b"\r\n")).check(200, LIMIT - 1)
    (await raw.say(b"GET /health HTTP/1.0\r\n\r\n")).check(200, LIMIT - 1)


async def test_a_large_body_a_wrong_method_and_what_is_not_there(raw: Raw) -> None:
    answer = await raw.say(b"POST /api/auth/verify-email HTTP/1.1\r\n", HOST, CLOSE, b"\r\n")
    answer.check(405, LIMIT - 1)
    assert answer.headers["allow"]
    assert answer.detail
    for line, status in {b"GET /nowhere": 404, b"PATCH /api/projects": 405, b"OPTIONS /api/projects": 405}.items():
        answer = await raw.say(line, b" HTTP/1.1\r\n", HOST, CLOSE, b"\r\n")
        answer.check(status, LIMIT - 1)
        assert answer.detail
    login = await raw.say(b"POST /api/auth/login HTTP/1.1\r\n", HOST, CLOSE, b"Content-Length: 3000000\r\n\r\n")
    assert (login.status, "x-ratelimit-remaining" in login.headers) == (413, True)
    assert login.detail


@pytest.mark.parametrize(
    ("origin", "method", "headers", "said"),
    [
        ("https://evil.example", "GET", "", "CORS_ORIGINS"),
        (FRONT, "TRACE", "", "method"),
        (FRONT, "GET", "X-Strange", "headers"),
    ],
)
async def test_a_refused_preflight(raw: Raw, origin: str, method: str, headers: str, said: str) -> None:
    asked = f"Origin: {origin}\r\nAccess-Control-Request-Method: {method}\r\n"
    asked += f"Access-Control-Request-Headers: {headers}\r\n" if headers else ""
    answer = await raw.say(b"OPTIONS /api/projects HTTP/1.1\r\n", HOST, CLOSE, asked.encode(), b"\r\n")
    answer.check(403, LIMIT - 1)
    assert said in answer.detail
    assert answer.headers.get("access-control-allow-origin") == (FRONT if origin == FRONT else None)
    assert "Origin" in answer.headers["vary"]


async def test_a_preflight_that_is_allowed(raw: Raw) -> None:
    asked = f"Origin: {FRONT}\r\nAccess-Control-Request-Method: POST\r\n".encode()
    (await raw.say(b"OPTIONS /api/projects HTTP/1.1\r\n", HOST, CLOSE, asked, b"\r\n")).check(200, LIMIT - 1)


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (b"GET /graphql", UPGRADE + KEY + b"Origin: https://evil.example\r\n", 403),
        (b"GET /nowhere", UPGRADE + KEY, 404),
        (b"GET /graphql", UPGRADE, 400),
        (b"POST /graphql", UPGRADE + KEY, 405),
        (b"GET /graphql", UPGRADE + KEY + b"X-A: b\r\n" * 200, 400),
    ],
)
async def test_a_refused_handshake(raw: Raw, line: bytes, headers: bytes, status: int) -> None:
    answer = await raw.say(line, b" HTTP/1.1\r\n", HOST, headers, b"\r\n")
    answer.check(status, LIMIT - 1)
    body = orjson.loads(answer.body)
    assert body.get("detail") or body["errors"][0]["message"], "REST's words, or GraphQL's at its address"


async def test_a_handshake(raw: Raw) -> None:
    protocol = b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n"
    (await raw.say(b"GET /graphql HTTP/1.1\r\n", HOST, UPGRADE, KEY, protocol, b"\r\n")).check(101, LIMIT - 1)
