"""Slow, endless and broken clients on a bare socket, against the web process's own HTTP protocol with shorter deadlines."""

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import uvicorn
from structlog.testing import capture_logs

from coreplex.platform import open_files
from edge import protocol
from edge.socket_protocol import DeadlineSocketProtocol

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


@dataclass
class Application:
    """Answers with the size of the body; refuses at `/refused` without reading it, answers a lot at `/much`. Accepts sockets."""

    disconnects: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            self.disconnects += 1
            return
        size, more = 0, scope["path"] == "/"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return
            size, more = size + len(message["body"]), message["more_body"]
        body = b"x" * (20 << 20) if scope["path"] == "/much" else b"%d" % size
        status = 413 if scope["path"] == "/refused" else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@dataclass
class Served:
    application: Application
    port: int
    server: uvicorn.Server

    async def say(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Everything the server answers until it hangs up; parts are sent with a pause after each."""
        loop = asyncio.get_running_loop()
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", self.port))
            hearing = asyncio.create_task(_hear(client))
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    await loop.sock_sendall(client, part)
                    await asyncio.sleep(pause)
            async with asyncio.timeout(10):
                return await hearing

    async def until_quiet(self) -> None:
        async with asyncio.timeout(10):
            while self.server.server_state.connections:  # noqa: ASYNC110 nobody tells us, so we look
                await asyncio.sleep(0.02)


async def _hear(client: socket.socket) -> bytes:
    heard = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await asyncio.get_running_loop().sock_recv(client, 1 << 16):
            heard += data
    return bytes(heard)


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    for name, seconds in {"HEAD": 0.4, "BODY": 0.6, "ANSWERED": 0.6, "TAKE": 0.4, "LOOK": 0.05, "LINGER": 0.3}.items():
        monkeypatch.setattr(protocol, f"{name}_SECS", seconds)
    application = Application()
    config = uvicorn.Config(
        application,
        http=protocol.DeadlineProtocol,
        ws=DeadlineSocketProtocol,
        lifespan="off",
        log_config=None,
        timeout_keep_alive=1,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        task = asyncio.create_task(server._serve([bound]))
        while not server.started:  # noqa: ASYNC110 nobody tells us, so we look
            await asyncio.sleep(0.01)
        yield Served(application, bound.getsockname()[1], server)
        server.should_exit = server.force_exit = True
        await task


async def test_a_head_that_never_ends_is_ended(served: Served) -> None:
    answer = await served.say(b"GET / HTTP/1.1\r\nHost: localhost\r\n", *[b"X-A: b\r\n"] * 20, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 408 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-content-type-options: nosniff" in head
    assert orjson.loads(body)["code"] == "request_timeout"


@pytest.mark.parametrize("said", [b"", b"\r\n", b"\r\n\r\n\r\n"])
async def test_silence_and_empty_lines_are_no_request(served: Served, said: bytes) -> None:
    assert await served.say(*[said] * 12, pause=0.1) == b""


async def test_a_second_request_has_the_same_deadline(served: Served) -> None:
    answer = await served.say(GET, b"GET / HT", *[b"", b""] * 10, pause=0.1)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"HTTP/1.1 408" in answer


async def test_half_open_connections_are_closed_while_others_are_served(served: Served) -> None:
    silent = [asyncio.create_task(served.say(GET[:number])) for number in range(1, 36) for _ in range(3)]
    while not all(task.done() for task in silent):
        assert (await served.say(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).startswith(b"HTTP/1.1 200")
    await served.until_quiet()


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * (2 << 20),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * (40 << 10) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
        b"GET /" + b"a" * (100 << 10) + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_a_large_head_is_refused(served: Served, head: bytes) -> None:
    assert b"HTTP/1.1 431 Request Header Fields Too Large" in await served.say(head)


async def test_a_large_head_does_not_break_into_the_answer_before_it(served: Served) -> None:
    assert await served.say(GET + b"GET / HTTP/1.1\r\nX-Long: " + b"a" * (2 << 20)) == b""


async def test_heads_up_to_the_limit_pass(served: Served) -> None:
    head = GET.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"a" * (31 << 10) + b"\r\nConnection: close\r\n\r\n")
    assert (await served.say(head)).startswith(b"HTTP/1.1 200")
    assert (await served.say(head[:20_000], head[20_000:], pause=0.05)).startswith(b"HTTP/1.1 200")
    many = GET * 2000 + head
    assert (await served.say(many)).count(b"HTTP/1.1 200") == 2001


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_in_json(served: Served, said: bytes) -> None:
    answer = await served.say(said)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "bad_request"


async def test_a_body_that_stalls_is_ended(served: Served) -> None:
    assert await served.say(POST % 1000, *[b"a"] * 30, pause=0.05) == b""
    assert await served.say(POST % (10 << 20), b"a" * (1 << 20)) == b""
    assert served.application.disconnects == 2


async def test_a_slow_body_that_makes_progress_arrives(served: Served) -> None:
    parts = [b"a" * (64 << 10)] * 6
    head = (POST % (6 * 64 << 10)).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert (await served.say(head, *parts, pause=0.25)).endswith(b"\r\n\r\n393216")


async def test_waiting_for_100_continue_is_not_held_against_the_client(served: Served) -> None:
    answer = await served.say((POST % 4).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"), b"body")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


async def test_an_answered_body_is_not_taken_for_ever(served: Served) -> None:
    head = b"POST /refused HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    answer = await served.say(head, *[chunk] * 60, pause=0.03)
    assert answer.startswith(b"HTTP/1.1 413")
    await served.until_quiet()


async def test_who_does_not_take_the_answer_loses_it(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.send(GET.replace(b"GET /", b"GET /much"))
        await asyncio.sleep(0.1)
        assert served.server.server_state.connections
        await served.until_quiet()


UPGRADE = b"GET /socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
KEY = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


async def test_a_socket_is_opened(served: Served) -> None:
    leave = b"\x88\x80\x00\x00\x00\x00"
    assert (await served.say(UPGRADE + KEY + b"\r\n", leave, pause=0.1)).startswith(b"HTTP/1.1 101 ")
    assert (await served.say(UPGRADE + KEY + b"Content-Length: 0\r\n\r\n", leave, pause=0.1)).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize(
    "head",
    [
        UPGRADE + KEY + b"Content-Length: 100\r\n\r\n",
        UPGRADE + KEY + b"Transfer-Encoding: chunked\r\n\r\n",
        UPGRADE.replace(b"GET", b"POST") + KEY + b"Content-Length: 100\r\n\r\n",
        UPGRADE.replace(b"GET", b"POST") + KEY + b"\r\n",
        UPGRADE + KEY + b"X-A: b\r\n" * 200 + b"\r\n",
        UPGRADE + KEY + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n",
        UPGRADE + b"Sec-WebSocket-Key: short\r\n\r\n",
    ],
)
async def test_what_never_becomes_a_socket_is_refused_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, head: bytes
) -> None:
    caplog.set_level("INFO")
    for name in ("HEAD", "BODY"):
        monkeypatch.setattr(protocol, f"{name}_SECS", 60.0)
    answer = await served.say(head)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 405 ", b"HTTP/1.1 426 "))
    detail_of(answer)
    await served.until_quiet()
    assert not caplog.records


def detail_of(answer: bytes) -> str:
    """The sentence of the one answer there is, which is JSON with the headers of all others."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert answer.count(b"\r\n\r\n") == 1
    assert b"content-type: application/json" in head
    assert b"x-content-type-options: nosniff" in head
    return str(orjson.loads(body)["detail"])


CHUNKED = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "status", "said"),
    [
        ([CHUNKED + b"zz\r\n"], 400, "chunk size"),
        ([CHUNKED, b"2\r\n{}\r\n", b"zz\r\n"], 400, "chunk size"),
        ([CHUNKED + b"f" * 20 + b"\r\n"], 400, "Chunk size overflow"),
        ([CHUNKED + b"2\r\n{}XX0\r\n\r\n"], 400, "chunk data"),
        ([CHUNKED.replace(b"chunked", b"gzip") + b"{}"], 400, "Transfer-Encoding"),
        ([CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n")], 400, "Transfer-Encoding"),
        ([POST % -1], 400, "Content-Length"),
        ([POST.replace(b"%d", b"9" * 19)], 413, "Content-Length"),
        ([POST.replace(b"%d", b"9" * 32)], 413, "Content-Length"),
        ([b"hello\r\n\r\n"], 400, "This is not an HTTP/1.1 request."),
        ([b"\x16\x03\x01\x02\x00\x01"], 400, "This is not an HTTP/1.1 request."),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(
    served: Served, caplog: pytest.LogCaptureFixture, parts: list[bytes], status: int, said: str
) -> None:
    """To the client, and not to the log, which anybody could fill."""
    caplog.set_level("INFO")
    answer = await served.say(*parts, pause=0.05)
    assert not caplog.records
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert said in detail_of(answer)
    await served.until_quiet()


async def test_a_broken_request_does_not_answer_in_the_place_of_the_one_before(served: Served) -> None:
    whole = POST % 2 + b"{}"
    for answer in (await served.say(whole + b"zz\r\n"), await served.say(whole + CHUNKED + b"zz\r\n")):
        assert answer == b"" or answer.startswith(b"HTTP/1.1 200 ")
    await served.until_quiet()


async def test_a_socket_does_not_overtake_an_answer(served: Served) -> None:
    assert b"101" not in await served.say(GET + UPGRADE + KEY + b"\r\n")
    await served.until_quiet()


async def test_a_socket_that_takes_nothing_is_lost(served: Served) -> None:
    """Pings are answered by the protocol itself: neither they nor their answers may pile up."""
    with socket.create_connection(("127.0.0.1", served.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(UPGRADE + KEY + b"\r\n")
        client.setblocking(False)
        ping = b"\x89\xfd\x00\x00\x00\x00" + b"p" * 125
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                while True:
                    await loop.sock_sendall(client, ping * 500)
    await served.until_quiet()
    assert served.application.disconnects == 1


async def test_another_protocol_is_answered_in_this_one(served: Served) -> None:
    h2c = GET.replace(
        b"\r\n\r\n", b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    )
    answer = await served.say(h2c, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", pause=0.1)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert (await served.say(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("length", [b"9" * 19, b"0" * 5000 + b"1", b"1" + b"0" * 18])
async def test_a_length_beyond_all_limits_is_refused_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch, length: bytes
) -> None:
    monkeypatch.setattr(protocol, "BODY_SECS", 60.0)
    answer = await served.say(POST.replace(b"%d", length))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "too_large"


@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"use_uvloop": wanted}) for wanted in (True, False)], ids=["uvloop", "asyncio"]
)
async def test_near_the_limit_of_files_who_waits_goes(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven hundred silent connections of another process, room for four hundred: who asks for something is answered."""
    monkeypatch.setattr(protocol, "HEAD_SECS", 60.0)
    monkeypatch.setattr(protocol, "watch", protocol.Shedding())
    most = (open_files.opened() + 400) * 8 // 7
    monkeypatch.setattr(open_files, "limit", lambda: most)
    open_more = (
        f"held += [socket.create_connection(('127.0.0.1', {served.port})) for _ in range(10)]; print(len(held), flush=True)"
    )
    code = f"import socket, sys; held = []\nfor line in sys.stdin: {open_more}"
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=PIPE, stdout=PIPE)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        with capture_logs() as logs:
            for _ in range(70):
                holder.stdin.write(b"more\n")
                await holder.stdout.readline()  # a burst at a time: what is closed keeps its file until the loop comes round
                await asyncio.sleep(0.02)
                answer = await served.say(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                assert answer.startswith(b"HTTP/1.1 200 "), (most, open_files.opened(), logs)
            assert open_files.opened() <= most * 7 // 8 + 10, "as many as are open at the mark, and one burst"
        assert [line["files_limit"] for line in logs if line["event"] == "connections.shed"] == [most]
    finally:
        holder.kill()
        await holder.wait()
