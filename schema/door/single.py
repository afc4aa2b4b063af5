"""GraphQL over Server-Sent Events, single connection: one stream for all operations of a page, which HTTP/1.1 browsers need.

PUT reserves a token, GET opens the stream with it, POST runs an operation whose answers come over the stream under its
`operationId`, DELETE ends one. Each of the four says who it is and must be the same caller.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from coreplex.errors.tree import DomainError, Message, Unauthenticated
from coreplex.platform.answer_size import require_size
from coreplex.platform.permissions import Category, Principal
from coreplex.platform.shared_streams import Held, SharedStreams
from edge.caller import EVENT_STREAM
from edge.request import charge
from resolvers.context import Context
from schema.door import live
from schema.door.admission import Admitted
from schema.door.answers import dump, refused
from schema.door.live import Places, confirm
from schema.door.message import MAX_ID
from schema.door.sse import ALIVE, EventStream, framed
from schema.door.work import Work
from schema.errors import BadRequest
from schema.execution import open_context

MOST_BYTES = 4 << 20
"""Of one answer over a stream for several: Redis hangs up on who does not take what waits for him."""
TOKEN = "X-GraphQL-Event-Stream-Token"  # noqa: S105 a header's name


def token_of(request: Request) -> str | None:
    """The token of a reservation, in the header or the URL."""
    return request.headers.get(TOKEN) or request.query_params.get("token") or None


class SingleConnections:
    """The streams of this process, and what runs here for those of others."""

    def __init__(self, work: Work, places: Places) -> None:
        self.work = work
        self.places = places
        self.shared = SharedStreams.of(work.services)

    async def answer(self, request: Request, context: Context, token: str | None) -> Response:
        """What has no operation in it: a reservation, the opening of its stream, the end of an operation."""
        await charge(context, {Category.general: 1}, request)
        owner = _owner(context)
        if request.method == "PUT":
            self.places.require(owner)
            return PlainTextResponse(await self.shared.reserve(owner), 201)
        key = await self.shared.find(token or "", owner)
        if request.method == "DELETE":
            return await self._end(key, request.query_params.get("operationId", ""))
        self.places.require(owner)
        held = await self.shared.hold(key)
        return EventStream(self._events(request, context, held), self.places.taken(owner), held.release)

    async def _events(self, request: Request, context: Context, held: Held) -> AsyncGenerator[bytes, None]:
        end = asyncio.get_running_loop().time() + live.LIFETIME_SECS
        async with aclosing(held.events(live.PULSE_SECS)) as events:
            async for event in events:
                if event is not None:
                    yield event
                    continue
                try:
                    await confirm(lambda: _signed_in(request, context))
                except Unauthenticated:
                    return
                yield ALIVE
                if asyncio.get_running_loop().time() > end:
                    return

    async def accept(self, request: Request, context: Context, admitted: Admitted, token: str) -> Response:
        """202; the answers come over the stream. Raises what the operation is refused with."""
        key, name = await self.shared.find(token, _owner(context)), _operation_id(admitted)
        await self.shared.begin(key, name)
        running = replace(context, unspent=dict(context.unspent), request=replace(context.request, transport=EVENT_STREAM))
        context.unspent.clear()  # it is known later what was made
        try:
            payloads = await self.work.payloads(running, request, admitted, lambda: _signed_in(request, context))
        except BaseException:
            await self.shared.end(key, name)
            raise
        task = asyncio.create_task(self._run(key, name, payloads, running.request.id))
        self.shared.run(key, name, task)
        return Response(status_code=202)

    async def _run(self, key: str, name: str, payloads: AsyncGenerator[bytes | None, None], request_id: str) -> None:
        """Write an operation's answers until it is over, or nobody hears it any more."""
        with suppress(DomainError):  # without Redis the stream ends too, and its client asks again
            try:
                async with aclosing(payloads):
                    async for payload in payloads:
                        if not await self._told(key, name, payload):
                            return
            except Exception as error:
                await self._next(key, name, dump(refused(error, request_id)))
            await self.shared.write(key, framed("complete", dump({"id": name})))
            await self.shared.end(key, name)

    async def _told(self, key: str, name: str, payload: bytes | None) -> bool:
        """Whether anybody hears of it still. Raises AnswerTooLarge."""
        if payload is None:
            return await self.shared.wanted(key, name)
        return await self._next(key, name, require_size(payload, MOST_BYTES))

    async def _next(self, key: str, name: str, payload: bytes) -> bool:
        return await self.shared.write(key, framed("next", orjson.dumps({"id": name, "payload": orjson.Fragment(payload)})))

    async def _end(self, key: str, name: str) -> Response:
        if not name:
            raise BadRequest(Message("operation_id_missing", "`operationId` in the URL says which operation ends."))
        await self.shared.end(key, name)
        return Response(status_code=200)


def _owner(context: Context) -> str:
    if context.principal is None:
        raise Unauthenticated(
            Message("stream_needs_sign_in", "Sign in, or send an API key, to open an event stream for several operations.")
        )
    return context.identity


async def _signed_in(request: Request, context: Context) -> Principal | None:
    return (await open_context(context.services, request)).principal


def _operation_id(admitted: Admitted) -> str:
    found = (admitted.message.extensions or {}).get("operationId")
    if not isinstance(found, str) or not 0 < len(found) <= MAX_ID:
        raise BadRequest(
            Message(
                "operation_id_not_valid",
                "`extensions.operationId` must name the operation on its stream, in 1 to {most} characters.",
                most=MAX_ID,
            )
        )
    return found
