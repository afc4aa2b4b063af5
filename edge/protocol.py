"""HTTP/1.1 with deadlines: uvicorn has none, so a few hundred clients that never finish a sentence would hold every place.

A head (request line and headers) must be whole within five seconds and 32 KiB, a body must make progress, and who asked for an
answer must take it. Time in which we ourselves do not read is never held against the client. What is refused before the
application hears of it gets the same JSON body and safe headers as everything else. Near the limit of open files who waits goes.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus

import orjson
from httptools import HttpParserError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from coreplex.errors.tree import TooLarge, Unavailable
from coreplex.platform.identifier import new_id
from edge.middleware import DEFAULTS, SAFE_HEADERS, Headers
from edge.rate_memory import STATE, RateMemory
from edge.sending import WholeAnswers
from edge.shedding import Shedding

HEAD_SECS = 5.0
HEAD_BYTES = 32 << 10
LENGTH_DIGITS = 18
"""A body of more digits than this is larger than any limit, and than what most programs can count."""
BODY_SECS, BODY_BYTES = 20.0, 64 << 10
"""In each period so many bytes of a body, or its end: 3.3 KB/s, and a link may fail for twenty seconds."""
ANSWERED_SECS = 30.0
"""How long a body is still taken, and thrown away, after its answer was sent: closing at once would destroy the answer."""
TAKE_SECS = 60.0
"""How long a client may leave a full buffer of an answer untouched."""
LOOK_SECS, LINGER_SECS = 1.0, 1.0

REFUSALS = {
    HTTPStatus.BAD_REQUEST: "This is not an HTTP/1.1 request.",
    HTTPStatus.REQUEST_TIMEOUT: f"The headers took longer than {HEAD_SECS:g} seconds.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request's Content-Length is larger than anything this server takes.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"The headers are larger than {HEAD_BYTES >> 10} KiB.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The server has as many connections as it can hold; try again shortly.",
}
TOO_LONG = "Content-Length overflow"
CODES = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLarge.code, HTTPStatus.SERVICE_UNAVAILABLE: Unavailable.code}
UPGRADE_HAS_A_BODY = "A request for a WebSocket has no body, and follows no request that waits for its answer."
NO_HOST = "An HTTP/1.1 request names its host, once: the header Host."
NO_HANDSHAKE = "This is no WebSocket handshake: GET, at most 128 headers of 8 KiB each."
watch = Shedding()
clients_log = logging.getLogger("uvicorn.clients")
"""In the place of `uvicorn.error`, for failures of ours only: what clients do wrong is said to them. A line for each refused
request or socket would let anybody push everything else out of a log that is bounded."""
clients_log.setLevel(logging.ERROR)


class Refused(Exception):
    """Raised inside the parser, which makes it an HttpParserError: the request ends with this status."""

    def __init__(self, status: HTTPStatus, sentence: str | None = None) -> None:
        self.status = status
        self.sentence = sentence or REFUSALS[status]


class DeadlineProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools; give it as `uvicorn.Config(http=DeadlineProtocol)`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.logger = clients_log
        self._timer: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._head_open = self._body_open = self._refused = False
        self._head_bytes = self._raw_head_bytes = 0
        self._since = self.loop.time()
        self._wait_for_head()
        if not watch.admits(self.connections):
            self.shed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        size = len(data) if self._body_open else HEAD_BYTES
        for start in range(0, len(data), size):
            if not self._feed(data[start : start + size]):
                return
        if self._timer is None:
            self._wait()

    def _feed(self, piece: bytes) -> bool:
        """Whether the connection is still ours to read from. A header without an end is counted here, in raw bytes."""
        headers = getattr(self, "headers", None)
        super().data_received(piece)
        if self._refused or self.transport.is_closing() or self.transport.get_protocol() is not self:
            return False
        self._raw_head_bytes = self._raw_head_bytes + len(piece) if self._head_open and self.headers is headers else 0
        if self._raw_head_bytes > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return not self._refused

    def _wait(self) -> None:
        if self._body_open:
            self._body_bytes, self._answered = 0, float("inf")
            self._period_ends = self.loop.time() + BODY_SECS
            self._after(LOOK_SECS, self._look_at_body)
        elif self._head_open or not self._answering:
            self._wait_for_head()  # whatever came has ended uvicorn's keep-alive period, also if it began no request

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    # Shedding

    @property
    def waits_since(self) -> float | None:
        """Since when it is idle, in the middle of a head, or sends what was answered already; None while it is served."""
        return None if self._answering or self._refused or self.transport.is_closing() else self._since

    def shed(self) -> None:
        """Hang up at once: a moment to linger would keep the file. Who has said nothing since its last answer may ask again."""
        if self._head_open or self.cycle is None:
            self.transport.write(self._refusal(HTTPStatus.SERVICE_UNAVAILABLE))
        self._refused = True
        self.transport.close()

    # The head

    def _wait_for_head(self) -> None:
        self._after(HEAD_SECS, self._head_is_late)

    def _head_is_late(self) -> None:
        if self.flow.read_paused or self._answering:
            self._wait_for_head()
        elif self._head_open:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open, self._head_bytes, self._since = True, 0, self.loop.time()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head_bytes += len(url)
        if self._head_bytes > HEAD_BYTES:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value) + len(": \r\n")
        if self._head_bytes > HEAD_BYTES:
            raise Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if len(value) > LENGTH_DIGITS and self.headers[-1][0] == b"content-length":
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def on_headers_complete(self) -> None:
        if self.parser.get_http_version() == "1.1" and [name for name, _ in self.headers].count(b"host") != 1:
            raise Refused(HTTPStatus.BAD_REQUEST, NO_HOST)  # RFC 9112, 3.2
        upgrade = self.parser.should_upgrade()
        to_socket = upgrade and self._should_upgrade()
        if to_socket and (self._answering or self._announces_body):
            raise Refused(HTTPStatus.BAD_REQUEST, UPGRADE_HAS_A_BODY)
        self._cancel()
        self._head_open, self._body_open = False, not to_socket
        super().on_headers_complete()
        if not to_socket:
            self.cycle.send = WholeAnswers(self.cycle)  # type: ignore[method-assign]  # its task runs later
        if upgrade and not to_socket:
            self.cycle.keep_alive = False  # the parser takes what follows for another protocol, which nobody here speaks

    @property
    def _announces_body(self) -> bool:
        """The parser would wait for that body before it hands the connection over, and no deadline holds meanwhile."""
        headers = dict(self.headers)
        return b"transfer-encoding" in headers or bool(headers.get(b"content-length", b"").strip(b"0"))

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: a protocol we do not speak (h2c) is answered as a plain request, as RFC 9110 has it."""

    # The body

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._timer is not None:
            self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        self._cancel()
        self._body_open = False
        super().on_message_complete()

    def _look_at_body(self) -> None:
        now = self.loop.time()
        if not self._answering:
            self._answered = min(self._answered, now)
        if self.flow.read_paused or self.cycle.waiting_for_100_continue or self._body_bytes >= BODY_BYTES:
            self._body_bytes, self._period_ends = 0, now + BODY_SECS
        if now >= self._period_ends or now >= self._answered + ANSWERED_SECS:
            self.transport.close()
        else:
            self._after(LOOK_SECS, self._look_at_body)

    # The answer

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking = self.loop.call_later(TAKE_SECS, self.transport.abort)

    def resume_writing(self) -> None:
        self._taken()
        super().resume_writing()

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    # Refusals

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to what its parser does not take; the parser keeps what one of our own callbacks raised."""
        error = sys.exception()
        context = getattr(error, "__context__", None)
        reason = context if isinstance(context, Refused) else _as_parsed(error)
        self._refuse(reason.status, reason.sentence)

    def _refuse(self, status: HTTPStatus, sentence: str | None = None) -> None:
        """Say why and hang up, after a moment in which the rest is thrown away: the kernel would take the answer back."""
        self._refused = True
        broken_body = self._body_open and self._answering and not (self.cycle.response_started or self.pipeline)
        if self._answering and not broken_body:
            self.transport.close()  # not into the middle of another answer, nor in its place
            return
        if broken_body:  # the application is told that no more of it comes, and is not heard any more
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(self._refusal(status, sentence))
        self.transport.write_eof()
        self._after(LINGER_SECS, self.transport.close)

    def _refusal(self, status: HTTPStatus, sentence: str | None = None) -> bytes:
        return refusal(status, sentence, rates(self.app_state, self.client))

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._cancel()
        self._timer = self.loop.call_later(seconds, action)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _as_parsed(error: BaseException | None) -> Refused:
    """What the parser says is wrong, in its own fixed words. It says nothing useful of what begins as no request does."""
    if str(error) == TOO_LONG:
        return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if type(error) is not HttpParserError or "PRI" in str(error):
        return Refused(HTTPStatus.BAD_REQUEST)
    return Refused(HTTPStatus.BAD_REQUEST, f"{REFUSALS[HTTPStatus.BAD_REQUEST][:-1]}: {error}.".replace("`", ""))


def rates(app_state: Mapping[str, object], client: tuple[str, int] | None) -> Headers:
    """Rate headers of an answer that the application does not hear of: those of the network it goes to."""
    memory = app_state.get(STATE)
    return memory.of_address(client[0] if client else "").headers if isinstance(memory, RateMemory) else ()


def refusal(status: HTTPStatus, sentence: str | None, more: Headers) -> bytes:
    """The bytes of an answer that says so."""
    headers, body = refused(status, sentence, more)
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode()), *(b": ".join(header) for header in headers.items())]
    return b"\r\n".join([*lines, b"", body])


def refused(status: HTTPStatus, sentence: str | None, more: Headers) -> tuple[dict[bytes, bytes], bytes]:
    """Headers and body of such an answer."""
    request_id = str(new_id())
    code = CODES.get(status, status.name.lower())
    body = orjson.dumps({"detail": sentence or REFUSALS[status], "code": code, "request_id": request_id})
    headers = {
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(body),
        b"x-request-id": request_id.encode(),
        b"connection": b"close",
        **dict(SAFE_HEADERS),
        **DEFAULTS,
        **dict(more),
    }
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers[b"retry-after"] = b"1"
    return headers, body
