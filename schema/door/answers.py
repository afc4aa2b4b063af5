"""What goes back to a GraphQL caller: results, refusals, and the status that fits.

200 with data or errors of fields; 400 when nothing could be executed (syntax, validation, limits, variables); the error's own
status when a request is refused as a whole. A caller that asks for `application/json` by name, and not for GraphQL's own type,
gets 200 where the document or its variables are wrong: to such a client a 4xx is no GraphQL answer.

Every body is JSON `{"errors": [{"message", "extensions": {code, status, …}}]}`.
"""

import sys
from typing import Any

import orjson
from graphql import ExecutionResult
from starlette.requests import HTTPConnection
from starlette.responses import Response

from coreplex.errors.tree import DomainError
from coreplex.platform.answer_size import require_size
from edge.body import JSON_TYPE, extensions
from edge.preference import weights
from schema.cost import MAX_COST
from schema.door.documents import PersistedQueryNotFound, PersistedQueryNotSupported
from schema.errors import BadDocument, domain_error, graphql_error

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


def is_about_document(error: DomainError) -> bool:
    """Whether the request was well-formed and its document is at fault."""
    return isinstance(error, BadDocument | PersistedQueryNotFound | PersistedQueryNotSupported)


def respond(request: HTTPConnection, body: dict[str, Any], status: int = 200, limit: int = sys.maxsize) -> Response:
    """The response. Raises AnswerTooLarge when its body has more than `limit` bytes."""
    return Response(require_size(dump(body), limit), status, media_type=media_type(request))


def media_type(request: HTTPConnection) -> str:
    """Of an answer: JSON, or GraphQL's own name for it where that was asked for and is liked as well."""
    accept = request.headers.get("accept", "")
    if RESPONSE_TYPE not in accept:
        return JSON_TYPE
    liked = weights(accept)
    return RESPONSE_TYPE if liked.get(RESPONSE_TYPE, 0.0) >= (liked.get(JSON_TYPE, 0.0) or 1e-9) else JSON_TYPE


def document_status(request: HTTPConnection) -> int:
    """Of an answer that says what is wrong with the document."""
    return 200 if media_type(request) == JSON_TYPE and JSON_TYPE in request.headers.get("accept", "") else 400


def refuse(request: HTTPConnection, error: BaseException, request_id: str) -> Response:
    seen: DomainError = domain_error(error, request_id)
    status = document_status(request) if is_about_document(seen) else seen.status
    response = respond(request, refused(seen, request_id), status)
    if seen.status == 405:
        response.headers["Allow"] = "POST"
    if seen.retry_after is not None:
        response.headers["Retry-After"] = str(seen.retry_after)
    if seen.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
