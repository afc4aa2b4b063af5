"""A GraphQL request as it arrives over any transport: read strictly, refused with a sentence and never with a surprise."""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from coreplex.errors.tree import DomainError, TooLarge
from edge.request import answer_of
from schema.errors import BadRequest
from schema.scalars import MAX_JSON_CONTAINERS, MAX_JSON_DEPTH, containers, too_deep

MAX_BODY = 1 << 20
BY_REST = "Files and many rows to predict go by REST: POST /api/uploads, POST /api/models/{id}/predict."
JSON_TYPE = "application/json"


class UnsupportedMediaType(DomainError):
    """The body is not declared as JSON. Being strict here is what keeps plain HTML forms out."""

    code, status = "unsupported_media_type", 415


@dataclass(frozen=True, slots=True)
class Message:
    """The document, its variables, and which operation of it is meant."""

    query: str
    variables: dict[str, Any]
    operation_name: str | None = None

    def canonical(self) -> bytes:
        """The same bytes for the same request, whatever the order of its variables."""
        return orjson.dumps([self.query, self.variables, self.operation_name], option=orjson.OPT_SORT_KEYS)


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the one Content-Type is exactly JSON (charset utf-8 may be said)."""
    given = request.headers.getlist("content-type")
    kind, *parameters = [part.strip().lower() for part in given[0].split(";")] if given else [""]
    plain = all(parameter in {"charset=utf-8", 'charset="utf-8"'} for parameter in parameters)
    if len(given) != 1 or kind != JSON_TYPE or not plain:
        raise UnsupportedMediaType(f"Send the request with `Content-Type: {JSON_TYPE}`.")


def announced(request: Request) -> int:
    """The bytes of the body that Content-Length announces; 0 where it announces none."""
    length = answer_of(request).headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


async def read_body(request: Request, limit: int = MAX_BODY, advice: str = BY_REST) -> bytes:
    """The body, refused when it is announced as larger than `limit` bytes, or as soon as it is; `advice` says what to do then."""
    parts, size = [], announced(request)
    if size <= limit:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                break
            parts.append(chunk)
    if size > limit:
        raise TooLarge(f"The request body is larger than {limit >> 20} MiB. {advice}".rstrip())
    return b"".join(parts)


def parse_json(raw: bytes | str) -> Any:
    """Strict JSON, bounded in depth and in parts. Raises BadRequest."""
    parts = containers(raw)
    if parts > MAX_JSON_CONTAINERS:
        raise BadRequest(f"The request has more than {MAX_JSON_CONTAINERS} lists and objects.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"The request is not JSON: {error}.") from None
    if parts > MAX_JSON_DEPTH and too_deep(value, MAX_JSON_DEPTH):
        raise BadRequest(f"The request is nested deeper than {MAX_JSON_DEPTH} levels.")
    return value


def parse_message(value: Any) -> Message:
    """The request in a decoded JSON value. Raises BadRequest; keys it does not know are left alone, as the spec wants."""
    if not isinstance(value, dict):
        raise BadRequest("The request must be one JSON object; batching is off.")
    query, variables, name, extensions = (value.get(key) for key in ("query", "variables", "operationName", "extensions"))
    if not isinstance(extensions, dict | None):
        raise BadRequest("`extensions` must be an object.")
    if query is None and ("documentId" in value or "persistedQuery" in (extensions or {})):
        raise BadRequest("Persisted documents are not kept here; send the document as `query`.")
    if not isinstance(query, str) or not query.strip():
        raise BadRequest("`query` must be a GraphQL document.")
    if not isinstance(variables, dict | None):
        raise BadRequest("`variables` must be an object.")
    if not isinstance(name, str | None):
        raise BadRequest("`operationName` must be a string.")
    return Message(query, variables or {}, name or None)
