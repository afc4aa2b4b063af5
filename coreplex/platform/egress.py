"""The one way out: a request to an address that a caller chose.

The name is looked up once, every address it has must be public (`public_address`), and the connection goes to one that was
judged, with the name in SNI and in Host: a name that changes its mind leads nowhere else. No redirect is followed, no proxy of
the environment is used, and nothing takes longer than it may: the loop only ever waits.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address

import h11

from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.public_address import Network, Target, may_go_to, target_of

CONNECT_SECS, TOTAL_SECS = 5.0, 10.0
MOST_BYTES = 1024**2
"""Of an answer that are read at all."""
CHUNK = 64 * 1024

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a name and a port to addresses. Raises OSError."""


class NoAnswer(Exception):
    """There was none; `message` says why, and nothing of what is inside the network."""

    def __init__(self, message: Message) -> None:
        super().__init__(message)
        self.message = message


NOT_ALLOWED = Message("egress_refused", "Its host has an address that is not public; WEBHOOK_ALLOWED_NETWORKS opens networks.")
TOO_SLOW = Message("egress_too_slow", "It did not answer within {seconds} seconds.", seconds=int(TOTAL_SECS))
NO_CONNECTION_YET = Message("egress_unreached", "No connection came about within {seconds} seconds.", seconds=int(CONNECT_SECS))
NO_HTTP = Message("egress_no_http", "What it answered is not HTTP/1.1.")
BROKEN = Message("egress_broken", "The connection ended before an answer.")


async def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, as the system finds them."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(_look_ups(), lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@cache
def _look_ups() -> ThreadPoolExecutor:
    """Threads of their own: a name server that says nothing holds one longer than we wait for it."""
    return ThreadPoolExecutor(4, thread_name_prefix="look-up")


@cache
def trusted() -> ssl.SSLContext:
    """The system's certificate authorities."""
    return ssl.create_default_context()


@dataclass
class _Seen:
    """What has come of an answer."""

    status: int | None = None
    bytes: int = 0


@dataclass(frozen=True)
class Egress:
    """Sends requests out; `opened`: networks beside the public ones."""

    opened: Sequence[Network] = ()
    resolve: Resolve = look_up
    tls: Callable[[], ssl.SSLContext] = field(default=trusted)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of the answer; its body is read, up to MOST_BYTES, and kept by nobody. Raises NoAnswer."""
        seen = _Seen()
        try:
            async with asyncio.timeout(TOTAL_SECS):
                await self._post(target_of(url), headers, body, seen)
        except (NoAnswer, WrongValue, TimeoutError, OSError, EOFError, h11.ProtocolError) as error:
            if seen.status is None:  # else whatever became of the rest
                raise NoAnswer(_told(error)) from error
        assert seen.status is not None
        return seen.status

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes, seen: _Seen) -> None:
        reader, writer = await self._connect(target)
        try:
            said = {"host": target.authority, **headers, "content-length": str(len(body)), "connection": "close"}
            http = h11.Connection(h11.CLIENT, max_incomplete_event_size=CHUNK)
            request = h11.Request(method="POST", target=target.path, headers=list(said.items()))
            writer.write(b"".join(http.send(one) or b"" for one in (request, h11.Data(data=body), h11.EndOfMessage())))
            # What is written waits in the kernel or here; whoever takes it slowly is timed as who answers slowly.
            await _read(http, reader, seen)
        finally:
            writer.transport.abort()

    async def _connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to one of the target's addresses, which were all judged. Raises NoAnswer, OSError."""
        tls, name = (self.tls(), target.host) if target.scheme == "https" else (None, None)

        async def opened(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(address, target.port, limit=CHUNK, ssl=tls, server_hostname=name)

        try:
            async with asyncio.timeout(CONNECT_SECS):
                addresses = await self._judged(target)
                for other in addresses[:-1]:
                    with suppress(OSError):
                        return await opened(other)
                return await opened(addresses[-1])
        except TimeoutError:
            raise NoAnswer(NO_CONNECTION_YET) from None

    async def _judged(self, target: Target) -> Sequence[str]:
        literal = target.literal
        try:
            found = [str(literal)] if literal else await self.resolve(target.host, target.port)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise NoAnswer(Message("egress_unknown_name", "The name {host} was not found.", host=target.host))
        if not all(may_go_to(ip_address(one.partition("%")[0]), self.opened) for one in found):
            raise NoAnswer(NOT_ALLOWED)
        return found


async def _read(http: h11.Connection, reader: asyncio.StreamReader, seen: _Seen) -> None:
    """Note the status of the answer, and read the rest of it while it comes, or until it is too much. Raises EOFError."""
    while True:
        event = http.next_event()
        if isinstance(event, h11.Response):
            seen.status = event.status_code
        if event is h11.NEED_DATA:
            data = await reader.read(CHUNK)
            seen.bytes += len(data)
            if seen.status is None and (not data or seen.bytes > MOST_BYTES):
                raise EOFError
            http.receive_data(data)
        if isinstance(event, h11.EndOfMessage | h11.ConnectionClosed) or seen.bytes > MOST_BYTES:
            return


def _told(error: Exception) -> Message:
    """Why there was no answer, in words that tell nothing of what is inside the network."""
    match error:
        case NoAnswer():
            return error.message
        case WrongValue():
            return Message("egress_wrong_url", "Its URL {trouble}.", trouble=error.message)
        case ssl.SSLCertVerificationError():
            return Message("egress_certificate", "Its certificate was not accepted: {trouble}.", trouble=error.verify_message)
        case ssl.SSLError():
            return Message("egress_tls", "No encrypted connection came about.")
        case ConnectionRefusedError():
            return Message("egress_connection_refused", "It refused the connection.")
        case ConnectionError() | EOFError():
            return BROKEN
        case h11.ProtocolError():
            return NO_HTTP
        case TimeoutError():
            return TOO_SLOW
        case _:
            return Message("egress_no_way", "No connection to it came about.")
