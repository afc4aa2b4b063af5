"""The GraphQL door over HTTP: `POST /graphql` and nothing else, save the explorer page in development.

Strict about what comes in: one media type, one JSON object, bounded in size and depth. No GET queries, no batches, no multipart.
Whatever a body holds, the answer is JSON with a sentence; 500 only ever means a bug, which is logged and masked.
"""

from contextlib import nullcontext

from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from coreplex.errors.tree import DomainError
from coreplex.platform.client_disconnect import cancelled_by_departure
from coreplex.platform.fair_places import FairPlaces, Limits
from coreplex.platform.permissions import Category
from coreplex.platform.services import Services
from coreplex.platform.settings import Mode
from edge.body import decode_json, read_body
from edge.idempotency import once
from edge.request import charge, check_origin, exchange_of
from resolvers.context import Context
from schema.door.admission import Admitted, admit
from schema.door.answers import executed, is_request_error, media_type, refuse, respond
from schema.door.explorer import explorer_page
from schema.door.message import BY_REST, MAX_BODY, NOUN, Message, check_media_type, parse_message
from schema.door.sse import EventStreams, wants_stream
from schema.door.websocket import Sockets
from schema.errors import BadRequest
from schema.execution import open_context, run

COSTLY = 500
"""From this price on a query is run beside no other one of its caller: building it holds up everybody for a tenth of a second."""
COSTLY_PLACES = Limits(total=4, each=1, patience=30.0, waiting_each=60, retry_after=5)
PATH = "/graphql"
STREAM_PATH = "/graphql/stream"


class MethodNotAllowed(DomainError):
    code, status = "method_not_allowed", 405


class GraphQLDoor:
    """The routes of GraphQL: HTTP, event streams, sockets."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.streams = EventStreams()
        self.sockets = Sockets(services)
        self.costly = FairPlaces(COSTLY_PLACES, "costly answers")

    def routes(self) -> list[BaseRoute]:
        return [
            WebSocketRoute(PATH, self.sockets.serve),
            Route(PATH, self.answer, methods=["GET", "POST"]),
            Route(STREAM_PATH, self.answer, methods=["POST"]),
        ]

    async def answer(self, request: Request) -> Response:
        """One request, whatever is in it."""
        try:
            return await self._page(request) if request.method != "POST" else await self._post(request)
        except Exception as error:
            return refuse(request, error, exchange_of(request).request_id)

    async def _page(self, request: Request) -> Response:
        shown = self.services.settings.mode is Mode.development and "text/html" in request.headers.get("accept", "")
        if shown and not request.query_params:
            return explorer_page()
        response = refuse(request, MethodNotAllowed("GraphQL is served by POST only."), exchange_of(request).request_id)
        response.headers["Allow"] = "POST"
        return response

    async def _post(self, request: Request) -> Response:
        check_media_type(request)
        check_origin(request, self.services.settings)
        context = await open_context(self.services, request)
        message = await self._message(request, context)
        admitted = await admit(context, request, message)
        if wants_stream(request) or request.url.path == STREAM_PATH:
            response = await self.streams.answer(request, context, admitted, message)
        else:
            response = await self._run(request, context, admitted, message)
        for cookie in context.cookies:
            cookie.write(response)
        return response

    async def _message(self, request: Request, context: Context) -> Message:
        try:
            return parse_message(decode_json(await read_body(request, MAX_BODY, BY_REST), NOUN, BadRequest))
        except DomainError:
            await charge(context, {Category.general: 1}, request)
            raise

    async def _run(self, request: Request, context: Context, admitted: Admitted, message: Message) -> Response:
        if admitted.operation.kind is OperationType.SUBSCRIPTION:
            raise BadRequest("A subscription needs `Accept: text/event-stream` or a WebSocket.")

        reads = exchange_of(request).reads = admitted.operation.kind is OperationType.QUERY

        async def answer() -> tuple[Response, bool]:
            with cancelled_by_departure() if reads else nullcontext():
                async with self.costly.place() if reads and admitted.cost >= COSTLY else nullcontext():
                    result = await run(admitted.operation, admitted.variables, context)
            status = 400 if is_request_error(result) else 200
            body = executed(result, context.request.id, admitted.cost)
            return respond(request, body, status, self.services.settings.max_answer_bytes), not result.errors

        return await once(context, request, admitted.operation.keyed, message.canonical, answer, media_type(request))
