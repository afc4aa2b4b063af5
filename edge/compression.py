"""Answers are compressed as their callers ask: zstd or gzip, quickly rather than tightly.

Never: an answer that holds a secret (`Caller.secret`) or sets a cookie, because the length of what was compressed tells how much
of a secret somebody guessed who has a text of his own put beside it (BREACH); a stream, which would wait for more; what is small.
A file to download is sent as it is.
"""

import asyncio
import zlib
from collections.abc import Callable

import zstandard
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.preference import weights
from edge.request import STATE, Exchange

LEAST = 2 << 10
"""Bytes of a body that is worth it: a smaller one goes in the same two packets."""
LARGE = 64 << 10
"""Larger ones are compressed in a thread; to go there and back takes a tenth of a millisecond, this much half of one."""
KINDS = (b"application/json", b"application/graphql-response+json", b"text/html")
Pack = Callable[[bytes], bytes]


def _zstd(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(body)


def _gzip(body: bytes) -> bytes:
    return zlib.compress(body, level=1, wbits=31)


CODINGS: dict[str, Pack] = {"zstd": _zstd, "gzip": _gzip}
"""What is spoken, the better first: of answers like ours zstd takes a third of gzip's time and leaves less."""


class Compression:
    """Around the application, below what writes headers of every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = _compressing(scope[STATE], send)
        await self.app(scope, receive, send)


def _compressing(exchange: Exchange, send: Send) -> Send:
    held: Message | None = None

    async def sending(message: Message) -> None:
        nonlocal held
        if message["type"] == "http.response.start" and _is_text(message):
            held = message
            return
        if held is not None:
            start, held = held, None
            start["headers"] = [*start["headers"], (b"vary", b"Accept-Encoding")]
            stays = message.get("more_body", False) or len(message.get("body", b"")) < LEAST
            coding = None if stays else _wanted(exchange, start)
            if coding is not None:
                body = await _packed(coding, message["body"])
                start, message = _said(start, coding, body), {**message, "body": body}
            await send(start)
        await send(message)

    return sending


def _wanted(exchange: Exchange, start: Message) -> str | None:
    """The coding of an answer; None where it stays as it is."""
    if not 200 <= start["status"] < 300 or _is_secret(exchange, start):
        return None
    return chosen(exchange.headers.get(b"accept-encoding", b"").decode("latin-1"))


async def _packed(coding: str, body: bytes) -> bytes:
    pack = CODINGS[coding]
    return await asyncio.to_thread(pack, body) if len(body) > LARGE else pack(body)


def chosen(accepted: str) -> str | None:
    """The coding that is liked best, among equals the better one; None for none."""
    if not accepted:
        return None
    liked = weights(accepted)
    anything = liked.get("*", 0.0)
    best = max(CODINGS, key=lambda coding: liked.get(coding, anything))
    weight = liked.get(best, anything)
    return best if weight > 0 and weight >= liked.get("identity", 0.0) else None


def _is_text(start: Message) -> bool:
    for name, value in start["headers"]:
        if name == b"content-type":
            return value.partition(b";")[0] in KINDS
    return False


def _is_secret(exchange: Exchange, start: Message) -> bool:
    told = exchange.caller is not None and exchange.caller.secret
    return told or any(name in (b"set-cookie", b"content-encoding") for name, _ in start["headers"])


def _said(start: Message, coding: str, body: bytes) -> Message:
    kept = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    own = [(b"content-encoding", coding.encode()), (b"content-length", b"%d" % len(body))]
    return {**start, "headers": [*kept, *own]}
