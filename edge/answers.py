"""REST bodies: JSON answers and the one error body (contract A.8)."""

import sys
from collections.abc import Iterable
from typing import Any

import orjson
from starlette.responses import Response

from coreplex.errors.tree import DomainError
from coreplex.platform.answer_size import require_size


def json_answer(body: Any, status: int = 200, cookies: Iterable[Any] = (), limit: int = sys.maxsize) -> Response:
    """A JSON response. NaN and infinities become null, as JSON knows none. Raises AnswerTooLarge beyond `limit` bytes."""
    response = Response(require_size(orjson.dumps(body, default=str), limit), status, media_type="application/json")
    for cookie in cookies:
        cookie.write(response)
    return response


def error_body(error: DomainError, request_id: str) -> dict[str, Any]:
    """`detail` is a list of `{loc, msg, type}` where single values are wrong, a sentence everywhere else."""
    detail: Any = [field.as_dict() for field in error.errors] if error.status == 422 and error.errors else error.message
    body = {"detail": detail, "code": error.code, "request_id": request_id}
    return body | ({"message": error.message} if error.errors else {})


def error_answer(error: DomainError, request_id: str) -> Response:
    response = Response(orjson.dumps(error_body(error, request_id)), error.status, media_type="application/json")
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
