"""The outermost layer of every HTTP answer: request id, rate headers, safe headers, and one JSON body for what nobody caught."""

from collections.abc import Iterable
from urllib.parse import urlsplit

import orjson
import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coreplex.account.cookies import session_cookie_name
from coreplex.errors.tree import AWAY_SECS, Busy
from coreplex.platform.client_disconnect import CONNECTION
from coreplex.platform.database import is_unavailable
from coreplex.platform.fair_places import CALLER
from coreplex.platform.memory import MemoryWatch, NoMemory
from coreplex.platform.services import Services
from coreplex.platform.settings import Mode
from edge.admission import Admission
from edge.body import extensions
from edge.error_page import wants_page, with_pages
from edge.rate_memory import RateMemory
from edge.request import KEY_UNUSED, STATE, Exchange, give_back
from edge.unread import PIECE, Unread

log = structlog.get_logger()

Headers = Iterable[tuple[bytes, bytes]]
SAFE_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
DEFAULTS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; sandbox",
}
FOREIGN_HOST = "This server is not known by that name; the administrator sets its address as PUBLIC_URL."
PROBES = frozenset({"/health", "/ready", "/api/health", "/metrics"})
"""Asked for by machines that know no name of ours, under load above all, and the same for everybody who gets them."""
HSTS = (b"strict-transport-security", b"max-age=31536000")


def host_of(scope: Scope) -> str:
    """The host the request is for, without port, lower case; empty when there is none, several, or none that makes sense."""
    found = [value for name, value in scope["headers"] if name == b"host"]
    try:
        return (urlsplit(f"//{found[0].decode('ascii')}").hostname or "").rstrip(".") if len(found) == 1 else ""
    except ValueError:
        return ""


class OuterLayer:
    def __init__(self, app: ASGIApp, services: Services) -> None:
        self.app = app
        self.services = services
        self.rate_memory = RateMemory.of(services)
        self.admission = Admission.of(services)
        self.unread = Unread.of(services)
        self.cookie_name = session_cookie_name(services.settings)
        self.hosts = services.settings.known_hosts if services.settings.mode is Mode.production else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            return await self.app(scope, receive, send)
        exchange = scope[STATE] = Exchange(scope, self.cookie_name)
        who = self.admission.caller(exchange)
        CALLER.set(who)
        short = MemoryWatch.of(self.services).short and scope["path"] not in PROBES
        foreign = self.hosts is not None and scope["path"] not in PROBES and host_of(scope) not in self.hosts
        if scope["type"] == "websocket":
            return await self._handshake(scope, receive, send, FOREIGN_HOST if foreign else NoMemory() if short else None)
        CONNECTION.set(receive)
        started, place = False, None
        if wants_page(scope):
            send = with_pages(send)

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                if exchange.reads and message["status"] < 400:
                    self.unread.require_read(CALLER.get())
                started = True
                self.admission.leave(place)
                if exchange.caller is not None and exchange.caller.unspent:
                    await give_back(exchange, exchange.caller)
                message["headers"] = [*message.get("headers", ()), *self._headers(message, exchange, scope)]
            if len(message.get("body", b"")) > PIECE:
                await self.unread.send(message, send)
            else:
                await send(message)

        if foreign:
            return await _say(sending, 400, FOREIGN_HOST, "bad_request", exchange)
        if short:
            return await _busy(sending, NoMemory(), scope, exchange)
        try:
            if scope["path"] not in PROBES:
                place = await self.admission.enter(scope, who)
                self.unread.require_read(who)
            await self.app(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            await self._fail(error, scope, exchange, sending)
        finally:
            self.admission.leave(place)

    async def _handshake(self, scope: Scope, receive: Receive, send: Send, refused: str | Busy | None) -> None:
        """A socket: what answers its handshake has the headers of every answer, a refusal also the body."""
        exchange: Exchange = scope[STATE]

        async def sending(message: Message) -> None:
            kind = message["type"].removeprefix("websocket.")
            if kind in {"accept", "http.response.start"}:
                headers = self._headers({"status": 101, **message}, exchange, scope)
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        async def answering(message: Message) -> None:
            await sending({**message, "type": f"websocket.{message['type']}"})

        if refused is None:
            await self.app(scope, receive, sending)
        elif isinstance(refused, Busy):
            await _busy(answering, refused, scope, exchange)
        else:
            await _say(answering, 400, refused, "bad_request", exchange)

    def _headers(self, message: Message, exchange: Exchange, scope: Scope) -> list[tuple[bytes, bytes]]:
        if exchange.general is not None:
            self.rate_memory.note(exchange, exchange.general)
        window = exchange.window or self.rate_memory.of_caller(exchange)
        present = {name.lower() for name, _ in message.get("headers", ())}
        added = [*SAFE_HEADERS, (b"x-request-id", exchange.request_id.encode()), *window.headers]
        added += [item for item in DEFAULTS.items() if item[0] not in present]
        if self.services.settings.secure_cookies:
            added.append(HSTS)
        if exchange.keyed is False and message["status"] < 400:
            added.append(KEY_UNUSED)
        return added

    async def _fail(self, error: Exception, scope: Scope, exchange: Exchange, send: Send) -> None:
        if isinstance(error, Busy):
            return await _busy(send, error, scope, exchange)
        if isinstance(error, MemoryError):
            log.error("out_of_memory", exc_info=error, request_id=exchange.request_id)
            return await _busy(send, NoMemory(), scope, exchange)
        away = is_unavailable(error)
        if away:
            log.warning("unavailable", error=repr(error), request_id=exchange.request_id)
        else:
            log.error("unhandled_error", exc_info=error, request_id=exchange.request_id)
        detail = (
            "A part of the server is not reachable at the moment; try again shortly."
            if away
            else f"Internal error; give the request id {exchange.request_id} to the administrator of this server."
        )
        again = [(b"retry-after", b"%d" % AWAY_SECS)] if away else []
        await _say(send, 503 if away else 500, detail, "unavailable" if away else "internal", exchange, again)
        return None


async def _busy(send: Send, error: Busy, scope: Scope, exchange: Exchange) -> None:
    """The refusal of a request that was not looked at, in the words of its door."""
    retry = [(b"retry-after", str(error.retry_after).encode())]
    if scope["path"].startswith("/graphql"):
        told = {"message": error.message, "extensions": extensions(error, exchange.request_id)}
        await _send(send, error.status, {"errors": [told]}, retry)
    else:
        await _say(send, error.status, error.message, error.code, exchange, retry)


async def _say(send: Send, status: int, detail: str, code: str, exchange: Exchange, more: Headers = ()) -> None:
    await _send(send, status, {"detail": detail, "code": code, "request_id": exchange.request_id}, more)


async def _send(send: Send, status: int, content: object, more: Headers) -> None:
    body = orjson.dumps(content)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
