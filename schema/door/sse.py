"""GraphQL over Server-Sent Events, distinct connections: one request, one operation, a stream of `next` and one `complete`.

An event carries the cursor of its payload as `id`, and a client that comes back with `Last-Event-ID` goes on behind it. Comments
keep idle connections open. When the caller's credential ends, the stream says so and is over.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing

from graphql import ExecutionResult, OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from coreplex.platform.answer_size import require_size
from coreplex.platform.permissions import Principal
from edge.idempotency import once
from resolvers.context import Context
from schema.door.admission import Admitted
from schema.door.answers import dump, executed, media_type, refused
from schema.door.live import Places, Subscription
from schema.door.work import Work
from schema.execution import open_context

EVENT_STREAM = "text/event-stream"
MAX_STREAMS = 32
"""Of one caller in one process."""
ALIVE = b":\n"
"""A comment, and no empty line behind it: some clients take that for an event without data once an earlier one had an id."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def wants_stream(request: Request) -> bool:
    return EVENT_STREAM in request.headers.get("accept", "")


class EventStreams:
    """The streams of one process."""

    def __init__(self, work: Work, places: Places) -> None:
        self.work = work
        self.places = places

    async def answer(self, request: Request, context: Context, admitted: Admitted) -> Response:
        """The streaming response of an admitted operation. Raises the error of a subscription that is refused.

        A subscription reads the variables of the message itself.
        """
        said = admitted.message
        if admitted.operation.kind is not OperationType.SUBSCRIPTION:

            async def answer() -> tuple[Response, bool]:
                result = await self.work.result(context, admitted)
                body = _next(result, context) + framed("complete")
                return Response(body, headers=HEADERS, media_type=EVENT_STREAM), False

            return await once(
                context, request, admitted.operation.keyed, lambda: said.canonical() + b"stream", answer, media_type(request)
            )
        self.places.require(context.identity)

        async def sign_in_again() -> Principal | None:
            return (await open_context(context.services, request)).principal

        subscription = Subscription(admitted.operation, said.variables, context, sign_in_again)
        results = await subscription.open()
        return EventStream(_events(subscription.follow(results), context), self.places.taken(context.identity))


class EventStream(Response):
    """Sends events until they end or the client is gone; holds the place of its caller meanwhile, and what else is let go of."""

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        place: AbstractContextManager[None],
        release: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(headers=HEADERS, media_type=EVENT_STREAM)
        del self.headers["content-length"]
        self.events = events
        self.place = place
        self.release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.place:
            tasks = [asyncio.create_task(self._send(send)), asyncio.create_task(_disconnect(receive))]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                if self.release is not None:  # events that were never begun do not end either
                    await self.release()

    async def _send(self, send: Send) -> None:
        async with aclosing(self.events) as events:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async for event in events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _events(results: AsyncGenerator[ExecutionResult | None, None], context: Context) -> AsyncGenerator[bytes, None]:
    try:
        async with aclosing(results):
            async for result in results:
                yield ALIVE if result is None else _next(result, context)
    except Exception as error:
        yield framed("next", dump(refused(error, context.request.id)))
    yield framed("complete")


def _next(result: ExecutionResult, context: Context) -> bytes:
    data = require_size(dump(executed(result, context.request.id)), context.services.settings.max_answer_bytes)
    return framed("next", data, cursor_of(result))


def cursor_of(result: ExecutionResult) -> str | None:
    """The `seq` of the payload, where it was selected."""
    payload = next(iter((result.data or {}).values()), None)
    found = payload.get("seq") if isinstance(payload, dict) else None
    return str(found) if isinstance(found, int) else None


def framed(name: str, data: bytes = b"", cursor: str | None = None) -> bytes:
    mark = b"id: " + cursor.encode() + b"\n" if cursor else b""
    return b"event: " + name.encode() + b"\n" + mark + b"data: " + data + b"\n\n"
