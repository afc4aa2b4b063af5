"""The one handler that runs any row of the table: path, query and body become variables, the operation's result the body."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import orjson
from graphql import ExecutionResult
from starlette.requests import Request
from starlette.responses import Response

from coreplex.errors.tree import DomainError, Invalid, Message
from coreplex.platform.client_disconnect import cancelled_by_departure
from coreplex.platform.permissions import Category
from coreplex.platform.services import Services
from edge.body import decode_json, error_answer, json_answer, read_body
from edge.caller import Caller
from edge.idempotency import has_key, once
from edge.large_body import LargeBodies
from edge.request import charge, check_csrf, check_origin, exchange_of
from edge.routing import RouteRow
from rest_compat import columns
from rest_compat.endpoint import Endpoint
from rest_compat.stored import operations
from rest_compat.unknown import parameters, with_warnings
from rest_compat.variables import Binder, Bound, binder_of
from schema import execution
from schema.errors import domain_error
from schema.execution import Operation, open_context

MAX_BODY = 1 << 20
MAX_ROWS_BODY = 24 << 20
"""Of rows: as many as one call may have, of 64 numbers with all their digits, fit in."""
SEVERAL_CALLS = Message("send_several_calls", "Send the rows in several calls.")
SAFE = {"GET", "HEAD", "OPTIONS"}

Handler = Callable[[Request], Awaitable[Response]]


def rows(services: Services, table: Iterable[Endpoint]) -> list[RouteRow]:
    """Method, path and what answers, of every row."""
    return [(row.method, row.path, Row(services, row).answer) for row in table]


class Row:
    """Handles the requests of one endpoint."""

    def __init__(self, services: Services, endpoint: Endpoint) -> None:
        self.services = services
        self.endpoint = endpoint
        self.operation = operations()[endpoint.operation]
        self.binder = binder_of(endpoint)
        self.takes_rows = endpoint.many_rows or Category.predictions in self.operation.charges
        self.large = LargeBodies.of(services)
        self.parse = partial(parse_object, empty_is_fine=endpoint.body_optional)

    async def answer(self, request: Request) -> Response:
        try:
            context = await admit(self.services, request, self.operation)
            async with self.large.place(request) if self.takes_rows else nullcontext():
                return await self._read_and_run(context, request)
        except Exception as error:
            return refusal(error, request)

    async def _read_and_run(self, context: Caller, request: Request) -> Response:
        raw = await self._raw(request)
        body = {} if raw is None else await self.large.parsed(raw, self.parse)
        return await done_once(context, request, self.operation, body, lambda: self._run(context, request, body))

    async def _run(self, context: Caller, request: Request, body: dict[str, Any]) -> Response:
        running = run_with(self.binder, context, request.path_params, query_of(request), body)
        if request.method in SAFE:
            with cancelled_by_departure():
                answered = await running
        else:
            answered = await running
        return json_answer(answered, self.endpoint.status, context.cookies, self.services.settings.max_answer_bytes)

    async def _raw(self, request: Request) -> bytes | None:
        """The body, None where none is taken."""
        if request.method in SAFE or not (self.endpoint.body or self.endpoint.body_optional):
            return None
        if self.takes_rows:
            return await read_body(request, MAX_ROWS_BODY, SEVERAL_CALLS)
        return await read_body(request, MAX_BODY)


def refusal(error: Exception, request: Request) -> Response:
    """The answer to a request whose handler raised."""
    request_id = exchange_of(request).request_id
    return error_answer(error if isinstance(error, DomainError) else domain_error(error, request_id), request_id)


async def done_once(
    context: Caller, request: Request, operation: Operation, said: Any, run: Callable[[], Awaitable[Response]]
) -> Response:
    """The response of `run`, done once per `Idempotency-Key` where something is done. `said`: what the request says."""
    if not has_key(request):
        return await run()

    async def answer() -> tuple[Response, bool]:
        return await run(), True

    fields = operation.keyed
    return await once(context, request, fields, lambda: orjson.dumps(said, option=orjson.OPT_SORT_KEYS), answer)


async def admit(services: Services, request: Request, operation: Operation) -> Caller:
    """Who asks, may they, is the budget left: asked before a byte of the body is read."""
    context = await open_context(services, request)
    await charge(context, operation.charges, request)
    for _, permission in operation.root_fields:
        if permission is not None:
            context.admit(permission)
    if request.method not in SAFE:
        check_origin(request, services.settings)
        if not operation.public:
            check_csrf(context)
    return context


async def run(operation: Operation, variables: dict[str, Any], context: Caller) -> Any:
    """The operation's `result`. Raises the DomainError of its first error."""
    return result_in(await execution.execute(operation, variables, context), context)


def result_in(outcome: ExecutionResult, context: Caller) -> Any:
    """The `result` of what an operation gave. Raises the DomainError of its first error."""
    if outcome.errors:
        raise domain_error(outcome.errors[0], context.request.id)
    assert outcome.data is not None
    return result_of(outcome.data)


async def run_bound(binder: Binder, bound: Bound, context: Caller) -> Any:
    """The same for variables of this binder: complaints about them name places in the request."""
    try:
        return result_in(await execution.run(binder.operation, bound.coerced, context), context)
    except Invalid as error:
        raise binder.placed(error) from None


async def run_with(
    binder: Binder,
    context: Caller,
    path: Mapping[str, str],
    query: Mapping[str, str],
    body: Mapping[str, Any],
) -> Any:
    """The answer's body to what the caller sent."""
    endpoint = binder.endpoint
    cut = endpoint.whole.asked(query) if endpoint.whole else None
    if endpoint.columns:
        found = columns.into_input(body, endpoint.columns)
        with columns.in_callers_words(found):
            bound = binder.bind(path, query, found)
            result = await run_bound(binder, bound, context)
    else:
        bound = binder.bind(path, query, body)
        result = await run_bound(binder, bound, context)
    unknown = parameters(query, binder.accepted) if query else ()
    answer = endpoint.shape(result, bound.given)
    if endpoint.whole and cut is not None:
        answer = endpoint.whole.page(answer, cut)
    return with_warnings(answer, endpoint, path, body, unknown)


def query_of(request: Request) -> Mapping[str, str]:
    """The parameters of the query string; most requests have none to be read."""
    return request.query_params if request.scope["query_string"] else {}


def result_of(data: dict[str, Any]) -> Any:
    """The field aliased `result`, at the root or inside the one resource that leads to it; with fields beside it, all of them."""
    while "result" not in data:
        (data,) = data.values()
    return data["result"] if len(data) == 1 else data


def parse_object(raw: bytes, *, empty_is_fine: bool) -> dict[str, Any]:
    """A JSON object, strictly read. Raises Invalid (422) for anything else (contract A.5)."""
    if not raw.strip():
        if empty_is_fine:
            return {}
        raise Invalid(Message("body_empty", "The body is empty; send a JSON object."))
    body = decode_json(raw, "The body", Invalid)
    if not isinstance(body, dict):
        raise Invalid(Message("body_no_object", "The body must be a JSON object."))
    return body
