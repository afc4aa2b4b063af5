"""A GraphQL request as it arrives over any transport: read strictly, refused with a sentence and never with a surprise."""

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from coreplex.errors.tree import DomainError
from edge.body import JSON_TYPE
from schema.errors import BadRequest

MAX_BODY = 1 << 20
BY_REST = "Files and many rows to predict go by REST: POST /api/uploads, POST /api/models/{id}/predict."
NOUN = "The request"
"""In complaints about its JSON."""


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
