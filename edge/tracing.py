"""A span around each request: below the caller's own, where it sends a `traceparent`."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coreplex.platform import tracing
from edge.middleware import PROBES
from edge.request import STATE
from edge.routing import PATTERN

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""Any other is named `_OTHER`, by the semantic conventions: callers make up no names of spans."""


class Traced:
    """The outermost layer, where traces are sent. Of the path only the pattern of its route is told."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"} or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        asked = scope.get("method", "GET")
        method = asked if asked in METHODS else "_OTHER"
        parent = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        with tracing.span(method, "server", {"http.request.method": method}, parent):

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _describe(scope, method, message["status"])
                await send(message)

            await self.app(scope, receive, sending)


def _describe(scope: Scope, method: str, status: int) -> None:
    route = scope.get(PATTERN)
    told = {"http__response__status_code": status, "coreplex__request_id": scope[STATE].request_id}
    told |= {"http__route": route} if route else {}
    tracing.describe(f"{method} {route}" if route else None, failed=status >= 500, **told)
