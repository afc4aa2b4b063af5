"""The web application: Starlette, which is asked only for what the table of rows does not know.

The layers around every answer stand around both, so that a row is reached by its path and nothing else: Starlette's own layers
for exceptions and its routes cost a tenth of a short request.
"""

from collections.abc import Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from edge.routing import TableRoute


class Application(Starlette):
    """`layers` is given what answers, and returns it with everything around it."""

    def __init__(self, table: TableRoute, routes: Sequence[BaseRoute], layers: Callable[[ASGIApp], ASGIApp], **more: Any) -> None:
        super().__init__(routes=[table, *routes], **more)
        self._table = table
        self._entrance = layers(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        await self._entrance(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Without Starlette's answer to what nobody caught: that is the outermost layer's."""
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = self._table.find(scope) if scope["type"] == "http" else None
        if answer is None:
            return await super().__call__(scope, receive, send)
        response = await answer(Request(scope, receive, send))
        await response(scope, receive, send)
        return None
