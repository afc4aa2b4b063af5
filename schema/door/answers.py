"""What goes back to a GraphQL caller: results, refusals, and the status that fits.

200 with data or errors of fields; 400 when nothing could be executed (syntax, validation, limits, variables); the error's own
status when a request is refused as a whole. Every body is JSON `{"errors": [{"message", "extensions": {code, status, …}}]}`.
"""

import sys
from typing import Any

import orjson
from graphql import ExecutionResult
from starlette.requests import HTTPConnection
from starlette.responses import Response

from coreplex.errors.tree import DomainError
from coreplex.platform.answer_size import require_size
from edge.body import JSON_TYPE
from schema.cost import MAX_COST
from schema.errors import BadDocument, domain_error, extensions, graphql_error

RESPONSE_TYPE = "application/graphql-response+json"


def executed(result: ExecutionResult, request_id: str, cost: int | None = None) -> dict[str, Any]:
    """The body of an executed operation. A request error (wrong variables) has no `data`, as the spec says."""
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = [graphql_error(error, request_id) for error in result.errors]
    if not is_request_error(result):
        body["data"] = result.data
    if cost is not None:
        body["extensions"] = {"cost": {"requested": cost, "limit": MAX_COST}}
    return body


def is_request_error(result: ExecutionResult) -> bool:
    """Whether execution never began: an error without a place in the result."""
    return result.data is None and any(error.path is None for error in result.errors or ())


def refused(error: BaseException, request_id: str) -> dict[str, Any]:
    """The body of a request that was not executed."""
    seen = domain_error(error, request_id)
    if isinstance(seen, BadDocument):
        return {"errors": [graphql_error(one, request_id) for one in seen.found]}
    return {"errors": [{"message": seen.message, "extensions": extensions(seen, request_id)}]}


def dump(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body)


def respond(request: HTTPConnection, body: dict[str, Any], status: int = 200, limit: int = sys.maxsize) -> Response:
    """The response. Raises AnswerTooLarge when its body has more than `limit` bytes."""
    return Response(require_size(dump(body), limit), status, media_type=media_type(request))


def media_type(request: HTTPConnection) -> str:
    """Of an answer: JSON, or GraphQL's own name for it where that was asked for."""
    return RESPONSE_TYPE if RESPONSE_TYPE in request.headers.get("accept", "") else JSON_TYPE


def refuse(request: HTTPConnection, error: BaseException, request_id: str) -> Response:
    seen: DomainError = domain_error(error, request_id)
    response = respond(request, refused(seen, request_id), seen.status)
    if seen.retry_after is not None:
        response.headers["Retry-After"] = str(seen.retry_after)
    if seen.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
