"""OpenAPI 3.1, derived: parameters and bodies from the table and the SDL, responses by running each envelope on a typed result.

Nothing here is written by hand that the table or the schema knows already. A typed result is the operation's result with types in
place of values; the envelope of the row is run on it, and what comes out is read back as a JSON Schema.
"""

import re
from enum import Enum
from functools import lru_cache
from typing import Any

from graphql import (
    FieldNode,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_required_input_field,
)
from graphql.pyutils import Undefined

from coreplex.idempotency.service import KEY, MAX_KEY
from coreplex.platform.paging import MAX_OFFSET, MAX_PAGE, MAX_SEARCH
from edge.idempotency import HEADER, REPLAYED
from rest_compat import columns, inbox, tus_openapi, unknown
from rest_compat.adapter import result_of
from rest_compat.bounds import limited, of_field
from rest_compat.endpoint import Endpoint, File, Kind
from rest_compat.response_schema import leaf, require, schema_of, typed_result
from rest_compat.stored import operations, snake
from rest_compat.table import CONCEPTS
from rest_compat.variables import Binder
from schema.execution import STORED, Operation

PAGED = {
    "limit": {"minimum": 1, "maximum": MAX_PAGE},
    "offset": {"minimum": 0, "maximum": MAX_OFFSET},
    "search": {"maxLength": MAX_SEARCH},
}
PROBLEMS = {
    "400": "The request or a file in it cannot be read.",
    "401": "No credentials, or wrong ones.",
    "403": "Not allowed: scope, role, CSRF token or plan.",
    "404": "Unknown, malformed or inaccessible identifier.",
    "409": "The thing is in another state.",
    "413": "Too large.",
    "422": "A value is missing or wrong.",
    "507": "The storage of the server or of its database is full.",
    "429": "The budget of the window is used up; see Retry-After.",
    "503": "A part of the server is away for the moment, or the server is busy; see Retry-After.",
}


IDEMPOTENCY = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": (
        "A name of your choice for this request. Sent again under it, the request is done once: the first answer comes again, "
        f"with `{REPLAYED}: true`. Kept for a day; another request under the same name is a 409."
    ),
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": KEY},
}


def _input(kind: Any, text: str = "", default: Any = Undefined) -> dict[str, Any]:
    """The JSON Schema of an input type."""
    inner = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(inner, GraphQLList):
        schema: dict[str, Any] = {"type": "array", "items": _input(inner.of_type)}
    elif isinstance(inner, GraphQLInputObjectType):
        fields = {
            snake(name): limited(_input(f.type, f.description or ""), of_field(inner, name)) for name, f in inner.fields.items()
        }
        schema = {"type": "object", "properties": fields}
    else:
        schema = leaf(inner)
    if text:
        schema["description"] = text
    if isinstance(default, Enum):
        default = default.name
    if isinstance(default, str | int | float | bool):
        schema["default"] = default
    return schema


class Described:
    """One row of the table as an OpenAPI operation."""

    def __init__(self, endpoint: Endpoint, tag: str) -> None:
        self.endpoint, self.tag, self.file = endpoint, tag, endpoint.file
        self.operation = operations()[endpoint.operation]
        self.binder = Binder(endpoint, self.operation)

    def as_dict(self, operation_id: str) -> dict[str, Any]:
        permission = next((p for _, p in self.operation.root_fields if p is not None), None)
        described: dict[str, Any] = {
            "operationId": operation_id,
            "tags": [self.tag],
            "summary": self._summary(),
            "x-graphql-operation": self.endpoint.operation,
            "parameters": [*map(self._path, self.binder.path_names), *map(self._query, self.binder.params), *self._key()],
            "responses": {str(self.endpoint.status): self._success(), **_problems()},
        }
        if permission is not None:
            described["x-rate-limit"] = str(permission.category)
            described["security"] = _security(permission.public, permission.session_only, self.endpoint.method)
        body = self._body()
        return described | ({"requestBody": body} if body else {})

    def _summary(self) -> str:
        root = STORED.roots[self.operation.kind]
        assert root is not None
        kind: Any = root
        node: Any = self.operation.definition
        text = ""
        while True:
            node = next(n for n in node.selection_set.selections if isinstance(n, FieldNode))
            definition = kind.fields[node.name.value]
            text = definition.description or ""
            if node.alias is not None and node.alias.value == "result":
                return text
            kind = get_named_type(definition.type)

    def _definition(self, name: str) -> tuple[Any, str, Any]:
        """Type, description and default of a REST name, from where it goes in the operation."""
        target = self.binder.target(name)
        kind: Any = self.binder.types[target[0]]
        if len(target) == 1:
            return kind, self._argument(target[0]), self._default(target[0])
        definition: Any = None
        for part in target[1:]:
            definition = get_named_type(kind).fields[part]
            kind = definition.type
        default = definition.default_value if definition.default_value is not Undefined else Undefined
        return kind, definition.description or "", default

    def _limits(self, name: str) -> dict[str, Any]:
        """What is enforced of a REST name beyond its type."""
        first, *parts = self.binder.target(name)
        kind: Any = self.binder.types[first]
        found: dict[str, Any] = {}
        for part in parts:
            inner = get_named_type(kind)
            found, kind = of_field(inner, part), inner.fields[part].type
        return found

    def _argument(self, variable: str) -> str:
        """The description of the argument a variable is given to."""
        return next((text for name, text in _arguments(self.operation) if name == variable), "")

    def _default(self, variable: str) -> Any:
        for definition in self.operation.definition.variable_definitions or ():
            if definition.variable.name.value == variable and definition.default_value is not None:
                raw = getattr(definition.default_value, "value", Undefined)
                return int(raw) if isinstance(raw, str) and raw.isdigit() else raw
        return Undefined

    def _path(self, name: str) -> dict[str, Any]:
        _, text, _ = self._definition(name)
        schema = {"type": "string"}
        return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}

    def _query(self, name: str) -> dict[str, Any]:
        kind, text, default = self._definition(name)
        words = self.endpoint.words.get(name)
        schema = {"type": "string", "enum": list(words)} if words else limited(_input(kind, "", default), self._limits(name))
        if self.endpoint.paged:
            schema |= PAGED.get(name, {})
        if name == "offset":
            text = "Items to skip."  # REST pages have no cursor that it could stand beside
        return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}

    def _key(self) -> list[dict[str, Any]]:
        return [IDEMPOTENCY] if self.operation.keyed else []

    def _body(self) -> dict[str, Any] | None:
        hidden = {"upload_id"} if self.file else set()
        hidden |= {"columns"} if self.endpoint.columns else set()
        names = [name for name in self.endpoint.body if name not in hidden]
        if not names and not self.file:
            return None
        properties: dict[str, Any] = {}
        required: list[str] = []
        for name in names:
            kind, text, default = self._definition(name)
            properties[name] = limited(_input(kind, text, default), self._limits(name))
            if self._required(name):
                required.append(name)
        if self.endpoint.columns:
            properties |= columns.schemas(self.endpoint.columns)
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        content = {"application/json": {"schema": schema}}
        if self.file:
            file = {"type": "string", "format": "binary", "description": self.file.about}
            sent = {"type": "string", "description": "In place of `file`: the id of a finished upload, resumable or not."}
            either = {"anyOf": [{"required": ["file"]}, {"required": ["upload_id"]}]}
            form = {**schema, "properties": {**properties, "file": file, "upload_id": sent}, **either}
            by_id = {**schema, "properties": {**properties, "upload_id": sent}, **_named(self.file, required)}
            content = {"multipart/form-data": {"schema": form}, "application/json": {"schema": by_id}}
        return {"required": not self.endpoint.body_optional, "content": content}

    def _required(self, name: str) -> bool:
        target = self.binder.target(name)
        if len(target) == 1:
            return target[0] in self.binder.required
        kind: Any = get_named_type(self.binder.types[target[0]])
        return is_required_input_field(kind.fields[target[1]])

    def _success(self) -> dict[str, Any]:
        if self.endpoint.kind is Kind.download:
            return {"description": "The file.", "content": {"application/octet-stream": {}}, "headers": _headers()}
        body = self.endpoint.shape(result_of(typed_result(self.operation)), {})
        schema = schema_of(body)
        for place in self.endpoint.certain:
            require(schema, place.split("."))
        schema["properties"].setdefault(unknown.WARNINGS, unknown.SCHEMA)
        return _answer(schema)


def _named(file: File, required: list[str]) -> dict[str, Any]:
    """What a body without a file must say: the upload, or what will do in its place."""
    if file.or_else:
        return {"anyOf": [{"required": [*file.or_else]}, {"required": ["upload_id"]}]}
    return {"required": [*required, "upload_id"]}


def _arguments(operation: Operation) -> list[tuple[str, str]]:
    """Variable name and description for every argument that is a plain variable."""
    root = STORED.roots[operation.kind]
    found: list[tuple[str, str]] = []

    def walk(kind: Any, selections: Any) -> None:
        for node in selections.selections:
            if isinstance(node, FieldNode) and node.name.value in getattr(kind, "fields", {}):
                definition = kind.fields[node.name.value]
                for argument in node.arguments or ():
                    if argument.value.kind == "variable":
                        text = definition.args[argument.name.value].description or ""
                        found.append((argument.value.name.value, text))  # type: ignore[attr-defined]
                if node.selection_set is not None:
                    walk(get_named_type(definition.type), node.selection_set)

    walk(root, operation.definition.selection_set)
    return found


def _answer(schema: dict[str, Any]) -> dict[str, Any]:
    """An answer as it should be."""
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}, "headers": _headers()}


def _headers() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in RATE_HEADERS}


RATE_HEADERS = {
    "X-RateLimit-Limit": "Requests the window allows.",
    "X-RateLimit-Remaining": "Requests left in the window.",
    "X-RateLimit-Reset": "Unix seconds when the window ends.",
}


def _problems() -> dict[str, Any]:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in PROBLEMS}


def _problem(text: str) -> dict[str, Any]:
    """An answer that says what is wrong."""
    return {"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}


def _security(public: bool, session_only: bool, method: str) -> list[dict[str, list[str]]]:
    if public:
        return []
    session: dict[str, list[str]] = {"session": []} if method == "GET" else {"session": [], "csrf": []}
    return [session] if session_only else [{"apiKey": []}, session]


_ROOT_FIELDS = {name for root in STORED.roots.values() if root is not None for name in root.fields}


def _respelled(value: Any) -> Any:
    """The texts with names of inputs as REST spells them, `dataset_id` for `datasetId`; those of GraphQL's operations stay."""
    if isinstance(value, dict):
        return {key: _respelled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_respelled(item) for item in value]
    if not isinstance(value, str):
        return value
    return re.sub(r"`([a-z]+[A-Z]\w*)`", lambda found: found[0] if found[1] in _ROOT_FIELDS else snake(found[0]), value)


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """The whole description; the same for every request and every process."""
    paths: dict[str, dict[str, Any]] = {}
    used: set[str] = set()
    for described in _all():
        name = described.endpoint.operation
        while name in used:
            name += "_"
        used.add(name)
        paths.setdefault(described.endpoint.path, {})[described.endpoint.method.lower()] = described.as_dict(name)
    paths[inbox.PATH] = {"post": inbox.described(_answer, _problems(), _security(False, False, "POST"), IDEMPOTENCY)}
    paths |= tus_openapi.paths(_problem, _security, IDEMPOTENCY)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CorePlexML REST API",
            "version": "0.1.0",
            "description": "Every endpoint is a stored operation of the GraphQL schema at /graphql.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": _respelled(dict(sorted(paths.items()))),
        "components": _components(),
    }


def _all() -> list[Described]:
    return [Described(row, concept) for concept, rows in CONCEPTS.items() for row in rows]


def _components() -> dict[str, Any]:
    error = {
        "type": "object",
        "required": ["detail"],
        "properties": {
            "detail": {
                "description": "What is wrong: a sentence, or for single wrong values a list.",
                "oneOf": [
                    {"type": "string"},
                    {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["loc", "msg", "type"],
                            "properties": {
                                "loc": {"type": "array", "items": {"type": ["string", "integer"]}},
                                "msg": {"type": "string"},
                                "type": {"type": "string"},
                            },
                        },
                    },
                ],
            },
            "code": {"type": "string", "description": "A stable word for the kind of error."},
            "message": {"type": "string", "description": "The list of wrong values in a sentence."},
            "request_id": {"type": "string", "description": "Give it to the administrator of the server."},
        },
    }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {
        "schemas": {"Error": error},
        "responses": {
            status: {"description": text, "content": content, "headers": _headers()} for status, text in PROBLEMS.items()
        },
        "headers": {name: {"description": text, "schema": {"type": "integer"}} for name, text in RATE_HEADERS.items()},
        "securitySchemes": {
            "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key: `cpx_live.…`."},
            "session": {"type": "apiKey", "in": "cookie", "name": "session", "description": "The cookie login sets."},
            "csrf": {
                "type": "apiKey",
                "in": "header",
                "name": "X-CSRF-Token",
                "description": "On writes with a session cookie: the value of the cookie `csrf_token`.",
            },
        },
    }
