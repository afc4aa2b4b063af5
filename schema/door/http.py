"""The GraphQL door over HTTP: `POST /graphql`, and `GET` for queries; the explorer page in development.

Strict about what comes in: one media type, one JSON object, bounded in size and depth. No batches, no multipart. Whatever a
request holds, the answer is JSON with a sentence; 500 only ever means a bug, which is logged and masked.

A GET changes nothing, so it needs no token of a cookie's session; that no page of another site has it sent is seen by `Origin`
and `Sec-Fetch-Site`, which browsers set and pages cannot. Its URL is logged by nobody here.
"""

from contextlib import nullcontext

from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute

from coreplex.errors.tree import DomainError, Message
from coreplex.platform.client_disconnect import cancelled_by_departure
from coreplex.platform.permissions import Category
from coreplex.platform.services import Services
from coreplex.platform.settings import Mode
from edge.body import decode_json, read_body
from edge.idempotency import once
from edge.large_body import LargeBodies
from edge.request import charge, check_origin, exchange_of
from edge.routing import RouteRow
from resolvers.context import Context
from schema.door.admission import Admitted, MethodNotAllowed
from schema.door.answers import document_status, executed, is_request_error, media_type, refuse, respond
from schema.door.caching import shared_secs, told_to_caches
from schema.door.explorer import explorer_page
from schema.door.live import Places
from schema.door.message import (
    BY_REST,
    MAX_BODY,
    MAX_BODY_OF_STRANGERS,
    NOUN,
    GraphQLRequest,
    check_media_type,
    message_of_url,
    parse_message,
)
from schema.door.single import SingleConnections, token_of
from schema.door.sse import MAX_STREAMS, EventStreams, wants_stream
from schema.door.websocket import Sockets
from schema.door.work import PATH, Work
from schema.errors import BadRequest
from schema.execution import open_context

STREAM_PATH = "/graphql/stream"


class GraphQLDoor:
    """Answers GraphQL: HTTP, event streams, sockets."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.work = Work.of(services)
        self.large = LargeBodies.of(services)
        places = Places(MAX_STREAMS, "event streams")
        self.streams = EventStreams(self.work, places)
        self.single = SingleConnections(self.work, places)
        self.sockets = Sockets(services, self.work)

    def rows(self) -> list[RouteRow]:
        """Method, path and what answers, of everything but sockets."""
        rows: list[RouteRow] = [(method, PATH, self.answer) for method in ("GET", "POST")]
        rows += [(method, STREAM_PATH, self.answer) for method in ("GET", "POST", "PUT", "DELETE")]
        return rows

    def sockets_route(self) -> BaseRoute:
        return WebSocketRoute(PATH, self.sockets.serve)

    async def answer(self, request: Request) -> Response:
        """One request, whatever is in it."""
        try:
            return explorer_page() if self._wants_explorer(request) else await self._answer(request)
        except Exception as error:
            return refuse(request, error, exchange_of(request).request_id)

    def _wants_explorer(self, request: Request) -> bool:
        shown = request.method != "POST" and self.services.settings.mode is Mode.development
        return shown and "text/html" in request.headers.get("accept", "") and not request.query_params

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST":
            check_media_type(request)
        check_origin(request, self.services.settings)
        context = await open_context(self.services, request)
        token = token_of(request) if request.url.path == STREAM_PATH else None
        if request.method in {"PUT", "DELETE"} or (token and request.method == "GET"):
            return await self.single.answer(request, context, token)
        may_be_large = request.method == "POST" and context.principal is not None
        async with self.large.place(request) if may_be_large else nullcontext():
            return await self._answer_message(request, context, token)

    async def _answer_message(self, request: Request, context: Context, token: str | None) -> Response:
        message = await self._message(request, context)
        admitted = await self.work.admit(context, request, message)
        if request.method == "HEAD" and admitted.operation.kind is OperationType.SUBSCRIPTION:
            raise MethodNotAllowed(Message("subscription_has_no_head", "A subscription has no head: ask by GET or POST."))
        if token:
            return await self.single.accept(request, context, admitted, token)
        if wants_stream(request) or request.url.path == STREAM_PATH:
            response = await self.streams.answer(request, context, admitted)
        else:
            response = await self._run(request, context, admitted)
        for cookie in context.cookies:
            cookie.write(response)
        return response

    async def _message(self, request: Request, context: Context) -> GraphQLRequest:
        try:
            if request.method != "POST":
                return message_of_url(request)
            return await self.large.parsed(await self._body(request, context), _parsed)
        except DomainError:
            await charge(context, {Category.general: 1}, request)
            raise

    async def _body(self, request: Request, context: Context) -> bytes:
        if context.principal is None:  # places for large bodies are nobody's to hold who has not said who they are
            return await read_body(request, MAX_BODY_OF_STRANGERS)
        return await read_body(request, MAX_BODY, BY_REST)

    async def _run(self, request: Request, context: Context, admitted: Admitted) -> Response:
        if admitted.operation.kind is OperationType.SUBSCRIPTION:
            raise BadRequest(
                Message("subscription_needs_stream", "A subscription needs `Accept: text/event-stream` or a WebSocket.")
            )

        reads = exchange_of(request).reads = admitted.operation.kind is OperationType.QUERY

        async def answer() -> tuple[Response, bool]:
            with cancelled_by_departure() if reads else nullcontext():
                result = await self.work.result(context, admitted)
            status = document_status(request) if is_request_error(result) else 200
            body = executed(result, context.request.id, admitted.cost)
            return respond(request, body, status, self.services.settings.max_answer_bytes), not (result.errors or context.refused)

        if admitted.message.safe:
            return told_to_caches(request, *await answer(), shared_secs(admitted.operation, context))
        return await once(context, request, admitted.operation.keyed, admitted.message.canonical, answer, media_type(request))


def _parsed(raw: bytes) -> GraphQLRequest:
    return parse_message(decode_json(raw, NOUN, BadRequest))
