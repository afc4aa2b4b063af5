"""From an HTTP request to its caller: who asks, by which right of a browser, and what it costs. Used by every door."""

import hmac
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import structlog
from starlette.requests import HTTPConnection, cookie_parser
from starlette.types import Scope

from coreplex.account import authenticate, signin, tokens
from coreplex.account.cookies import known_cookie_name, session_cookie_name
from coreplex.errors.tree import Forbidden, Message, RateLimited, Unauthenticated
from coreplex.platform.fair_places import CALLER
from coreplex.platform.identifier import new_text_id
from coreplex.platform.permissions import FOR_WHAT_IS_MADE, Category
from coreplex.platform.rate import Window
from coreplex.platform.services import Part, Services
from coreplex.platform.settings import Settings
from edge.caller import WEBSOCKET, Caller, RequestFacts

KEY = b"idempotency-key"
KEY_UNUSED = (b"warning", b'299 - "Idempotency-Key has no effect on this request: sent again, it runs again."')
STATE = "coreplex"
"""Key of the request's Exchange in the ASGI scope."""
ADVICE = (
    "A sign-in came with X-Forwarded-For, and TRUSTED_PROXIES is empty. If a proxy of yours sent it, everybody behind it has one "
    "address here and shares its sign-ins per minute: name the proxy in TRUSTED_PROXIES. If not, the header is ignored."
)
log = structlog.get_logger()


Of = TypeVar("Of", bound=Caller)
Headers = Mapping[bytes, bytes]
"""By lower-case name, the first of each."""
NONE: Mapping[str, str] = {}


class Shown(NamedTuple):
    """How a request shows who sends it: what `Authorization` says, or else the session cookie."""

    said: str
    digest: bytes
    """Of the token."""
    by_header: bool

    @classmethod
    def of(cls, headers: Headers, session_cookie: str | None) -> "Shown | None":
        value = headers.get(b"authorization")
        if value is not None:
            said = value.decode("latin-1")
            return cls(said, tokens.digest(said.partition(" ")[2].strip()), True)
        return cls(session_cookie, tokens.digest(session_cookie), False) if session_cookie else None


class Exchange:
    """What the outer layer knows of a request, and what the doors tell it about the response: rate window and request id."""

    def __init__(self, scope: Scope, cookie_name: str) -> None:
        self.headers: Headers = dict(reversed(scope["headers"]))
        self.request_id = request_id_of(self.headers)
        self.address: str = scope["client"][0] if scope.get("client") else ""
        self.cookies = _cookies_of(scope) if b"cookie" in self.headers else NONE
        self.shown = Shown.of(self.headers, self.cookies.get(cookie_name))
        self.reads = scope.get("method") in {"GET", "HEAD"}
        """Whether nothing is done but to answer, which can be refused when the answer is there already."""
        self.read: list[bytes] = []
        """Of the body, what has come and nobody has taken."""
        self.read_whole = False
        self.window: Window | None = None
        self.general: Window | None = None
        """The window of the general budget, when that was charged."""
        self.caller: Caller | None = None
        """Of the request, once it is known who asks."""
        self.keyed: bool | None = None
        """Whether the request's `Idempotency-Key` had an effect; None for a request without one."""


def _cookies_of(scope: Scope) -> dict[str, str]:
    return cookie_parser("; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie"))


def exchange_of(connection: HTTPConnection) -> Exchange:
    found = connection.scope[STATE]
    assert isinstance(found, Exchange)
    return found


def request_id_of(headers: Headers) -> str:
    """The caller's X-Request-Id when it is a UUID, else a fresh one."""
    said = headers.get(b"x-request-id")
    if said is not None:
        with suppress(ValueError):
            return str(UUID(said.decode("ascii")))
    return new_text_id()


async def identify(kind: type[Of], services: Services, connection: HTTPConnection) -> Of:
    """The caller of a request, as a door's kind of it. Raises Unauthenticated for a credential that is sent but wrong."""
    exchange = exchange_of(connection)
    headers, shown = exchange.headers, exchange.shown
    csrf, cursor = headers.get(b"x-csrf-token"), headers.get(b"last-event-id")
    facts = RequestFacts(
        id=exchange.request_id,
        address=exchange.address,
        user_agent=headers.get(b"user-agent", b"")[:300].decode("latin-1"),
        transport=WEBSOCKET if connection.scope["type"] == "websocket" else "http",
        csrf_header=None if csrf is None else csrf.decode("latin-1"),
        session_cookie=exchange.cookies.get(session_cookie_name(services.settings)) if exchange.cookies else None,
        known_cookie=exchange.cookies.get(known_cookie_name(services.settings)) if exchange.cookies else None,
        last_event_id=None if cursor is None else _cursor(cursor.decode("latin-1")),
    )
    exchange.keyed = False if KEY in headers else None
    caller = exchange.caller = kind(services, request=facts)
    if shown is None:
        return caller
    try:
        if shown.by_header:
            caller.principal = await authenticate.by_key(services, bearer_token(shown.said), shown.digest)
        else:
            caller.principal = await authenticate.by_session(services, shown.said, shown.digest)
        CALLER.set(caller.identity)
    except Unauthenticated:
        if not shown.by_header:
            # A stale cookie is an anonymous caller: public endpoints (login above all) must stay reachable.
            return caller
        await charge(caller, {Category.general: 1}, connection)
        raise
    return caller


def _cursor(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None


def bearer_token(value: str) -> str:
    """The token of `Authorization: Bearer …`. Raises Unauthenticated for another scheme."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated(Message("credential_not_a_key", "Send the API key as `Authorization: Bearer <key>`."))
    return token.strip()


def check_csrf(caller: Caller) -> None:
    """Raise Forbidden when a write by cookie lacks the session's own token in `X-CSRF-Token`."""
    if not caller.by_cookie:
        return
    assert caller.principal is not None
    sent, expected = caller.request.csrf_header or "", caller.principal.csrf_token or ""
    if not expected or not hmac.compare_digest(sent.encode(), expected.encode()):
        raise Forbidden(_wrong_token(caller.request.transport))


def _wrong_token(transport: str) -> Message:
    if transport == WEBSOCKET:
        return Message(
            "csrf_token_of_connection_wrong",
            "`csrfToken` in the payload of connection_init is missing or is not this session's csrf_token.",
        )
    return Message("csrf_token_wrong", "The header X-CSRF-Token is missing or is not this session's csrf_token.")


async def charge(caller: Caller, charges: Mapping[Category, int], connection: HTTPConnection) -> None:
    """Take a request's price from the caller's budget; the tightest window goes into the response headers."""
    exchange = exchange_of(connection)
    if Category.authentication in charges:
        Forwarded.of(caller.services).look(connection)
        caller.known_account = await signin.known_account(caller.services.database, caller.request.known_cookie)
    for category, amount in charges.items():
        try:
            window = await caller.services.limiter.charge(caller.payer(category), category, amount)
        except RateLimited as error:
            exchange.window = error.window if isinstance(error.window, Window) else exchange.window
            exchange.general = exchange.window if category is Category.general else exchange.general
            raise
        if category is Category.general:
            exchange.general = window
        if category in FOR_WHAT_IS_MADE:
            caller.unspent[category] = window
        if exchange.window is None or window.remaining < exchange.window.remaining:
            exchange.window = window


async def give_back(exchange: Exchange, caller: Caller) -> None:
    """Return what was charged for things that were not made. A refusal costs what any other request does, while it has budget."""
    limiter = caller.services.limiter
    for category, window in caller.unspent.items():
        with suppress(RateLimited):
            exchange.general = await limiter.charge(caller.payer(Category.general), Category.general)
            exchange.window = await limiter.give_back(caller.payer(category), category, window)
    caller.unspent.clear()


def check_origin(connection: HTTPConnection, settings: Settings) -> None:
    """Raise Forbidden when a browser sends the request for a page of another site (also for `Origin: null`).

    Programs send neither header and are not concerned; what a cookie may do is asked further by `check_csrf`.
    """
    headers = exchange_of(connection).headers
    if b"origin" not in headers:
        foreign = headers.get(b"sec-fetch-site") in {b"cross-site", b"same-site"}
    else:
        origin = headers[b"origin"].decode("latin-1")
        foreign = not (_same_host(origin, connection, settings) or origin in settings.cors_origins)
    if foreign:
        raise Forbidden(
            Message("origin_refused", "Pages of this origin may not use the API; the setting CORS_ORIGINS names those that may.")
        )


def _same_host(origin: str, connection: HTTPConnection, settings: Settings) -> bool:
    try:
        parts, own = urlsplit(origin), urlsplit(settings.base_url)
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return False
    # Behind a proxy that ends TLS the scheme seen here is not the browser's, so only the host is compared.
    return parts.netloc in {connection.headers.get("host"), own.netloc}


class Forwarded(Part):
    """Warns once in a process of a proxy that seems to stand before it and that `TRUSTED_PROXIES` does not name."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.silent = bool(services.settings.trusted_proxies)

    def look(self, connection: HTTPConnection) -> None:
        """At a request that addresses are counted for."""
        if not self.silent and "x-forwarded-for" in connection.headers:
            self.silent = True
            log.warning("proxy_not_trusted", advice=ADVICE, address=connection.client.host if connection.client else "")
