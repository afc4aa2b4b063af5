"""A listener that webhooks are sent to: it keeps what came, and answers as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answer`: the bytes of it, or what is done instead."""

    port: int = 0
    answer: Answer = OK
    connections: int = 0
    written: int = 0
    """Bytes that a torrent got rid of."""
    requests: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.requests.append(Request(head[0], headers, body))
            if callable(self.answer):
                await self.answer(writer)
            else:
                writer.write(self.answer)
                await writer.drain()
        writer.close()

    async def torrent(self, writer: asyncio.StreamWriter) -> None:
        """An answer that never ends, as fast as it is taken."""
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(bytes(256 * 1024))
            await writer.drain()
            self.written += 256 * 1024


async def hang(writer: asyncio.StreamWriter) -> None:
    """No answer, for as long as somebody waits for it."""
    while not writer.is_closing():  # noqa: ASYNC110 nobody tells
        await asyncio.sleep(0.05)


def drip(beginning: bytes) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    """That, and then a byte each tenth of a second."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    return answer


@asynccontextmanager
async def receiving(answer: Answer = OK, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(answer=answer)
    server = await asyncio.start_server(receiver.serve, host, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    yield receiver
    server.close()
