"""A GraphQL request as it arrives over any transport: read strictly, refused with a sentence and never with a surprise."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request

from coreplex.errors.tree import DomainError, Message
from edge.body import JSON_TYPE, decode_json
from schema.errors import BadRequest

MAX_BODY = 4 << 20
"""Bytes. 10,000 outcomes with their times are 1.5 to 2 MB; a document has a limit of its own (`schema/limits.py`)."""
MAX_BODY_OF_STRANGERS = 1 << 20
MAX_QUERY_STRING = 8 << 10
"""Bytes of a URL behind its question mark. Clients send what is longer than 2 KiB by POST by themselves."""
MAX_ID = 200
BY_REST = Message(
    "send_by_rest",
    "Send it in several calls. Files and many rows at once go by REST: POST /api/uploads, and of /api/mlops/deployments/{{id}} "
    "`predict` and `feedback`.",
)
NOUN = "The request"
"""In complaints about its JSON."""
PARAMETERS = ("query", "documentId", "operationName", "variables", "extensions")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class UnsupportedMediaType(DomainError):
    """The body is not declared as JSON. Being strict here is what keeps plain HTML forms out."""

    code, status = "unsupported_media_type", 415


class TooLongUrl(DomainError):
    code, status = "uri_too_long", 414


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """Which document, its variables, and which operation of it is meant. A document is named by its text, its id or its hash."""

    query: str | None
    variables: dict[str, Any]
    operation_name: str | None = None
    document_id: str | None = None
    sha256: str | None = None
    """Of an automatic persisted query; with the text, under which it wants to be kept."""
    extensions: Mapping[str, Any] | None = None
    safe: bool = False
    """Whether it came by a method that must change nothing."""

    @property
    def text(self) -> str:
        """The document, once it was found."""
        assert self.query is not None, "documents are found before anything else"
        return self.query

    def found(self, text: str) -> "GraphQLRequest":
        return replace(self, query=text)

    def canonical(self) -> bytes:
        """The same bytes for the same request, whatever the order of its variables and however its document was named."""
        return orjson.dumps([self.query, self.variables, self.operation_name], option=orjson.OPT_SORT_KEYS)


def check_media_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the one Content-Type is exactly JSON (charset utf-8 may be said)."""
    given = request.headers.getlist("content-type")
    kind, *parameters = [part.strip().lower() for part in given[0].split(";")] if given else [""]
    plain = all(parameter in {"charset=utf-8", 'charset="utf-8"'} for parameter in parameters)
    if len(given) != 1 or kind != JSON_TYPE or not plain:
        raise UnsupportedMediaType(
            Message("json_needed", "Send the request with `Content-Type: {media_type}`.", media_type=JSON_TYPE)
        )


def message_of_url(request: Request) -> GraphQLRequest:
    """The request in a URL, as GraphQL over HTTP writes it. An empty parameter is none."""
    if len(request.scope["query_string"]) > MAX_QUERY_STRING:
        raise TooLongUrl(
            Message(
                "query_in_url_too_long", "A query in a URL may have {most} KiB; send it by POST.", most=MAX_QUERY_STRING >> 10
            )
        )
    given = request.query_params
    value: dict[str, Any] = {name: _once(given, name) for name in PARAMETERS}
    for name in ("variables", "extensions"):
        if value[name] is not None:
            value[name] = decode_json(value[name], f"`{name}`", BadRequest)
    return replace(parse_message(value), safe=True)


def _once(given: QueryParams, name: str) -> str | None:
    values = given.getlist(name)
    if len(values) > 1:
        raise BadRequest(
            Message("twice_in_url", "`{name}` stands in the URL {times} times; a request has one.", name=name, times=len(values))
        )
    return (values[0] or None) if values else None


def parse_message(value: Any) -> GraphQLRequest:
    """The request in a decoded JSON value. Raises BadRequest; keys it does not know are left alone, as the spec wants."""
    if not isinstance(value, dict):
        raise BadRequest(Message("one_object_needed", "The request must be one JSON object; batching is off."))
    query, variables, name, extensions = (value.get(key) for key in ("query", "variables", "operationName", "extensions"))
    if not isinstance(extensions, dict | None):
        raise BadRequest(Message("extensions_no_object", "`extensions` must be an object."))
    document_id, sha256 = _id(value.get("documentId")), _sha256(extensions or {})
    if query is None and document_id is None and sha256 is None:
        raise BadRequest(Message("query_or_document_id_missing", "`query` must be a GraphQL document, or `documentId` name one."))
    if query is not None and (not isinstance(query, str) or not query.strip()):
        raise BadRequest(Message("query_no_document", "`query` must be a GraphQL document."))
    if document_id is not None and (query is not None or sha256 is not None):
        raise BadRequest(Message("query_and_document_id", "Send the document as `query`, or name it by `documentId`; not both."))
    if not isinstance(variables, dict | None):
        raise BadRequest(Message("variables_no_object", "`variables` must be an object."))
    if not isinstance(name, str | None):
        raise BadRequest(Message("operation_name_no_text", "`operationName` must be a string."))
    return GraphQLRequest(query, variables or {}, name or None, document_id, sha256, extensions)


def _id(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID:
        raise BadRequest(Message("document_id_not_valid", "`documentId` must be a text of 1 to {most} characters.", most=MAX_ID))
    return value


def _sha256(extensions: Mapping[str, Any]) -> str | None:
    """The hash of an automatic persisted query, as Apollo's and urql's clients send it."""
    said = extensions.get("persistedQuery")
    if said is None:
        return None
    if not isinstance(said, dict):
        raise BadRequest(Message("persisted_query_no_object", "`extensions.persistedQuery` must be an object."))
    if said.get("version") != 1:
        raise BadRequest(Message("persisted_query_of_other_version", "`extensions.persistedQuery.version` must be 1."))
    found = said.get("sha256Hash")
    if not isinstance(found, str) or not _SHA256.fullmatch(found):
        raise BadRequest(
            Message(
                "persisted_query_hash_not_valid",
                "`extensions.persistedQuery.sha256Hash` must be a SHA-256 in 64 hexadecimal digits, lower case.",
            )
        )
    return found
