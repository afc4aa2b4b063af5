"""One row of the table as an operation of the description: parameters and bodies from the row and the SDL, the answer by running
the row's envelope on a typed result."""

from collections.abc import Iterable, Sequence
from typing import Any

from graphql import FieldNode, GraphQLList, get_named_type, get_nullable_type, is_required_input_field
from graphql.pyutils import Undefined

from coreplex.platform.page import DEFAULT_PAGE, MAX_OFFSET, MAX_PAGE, MAX_SEARCH
from edge.idempotency import REPLAYED
from rest_compat import columns, unknown
from rest_compat.adapter import result_of
from rest_compat.bounds import limited, of_field
from rest_compat.endpoint import Endpoint, File, Kind
from rest_compat.openapi.common import headers, problems, security
from rest_compat.openapi.given import NAMES
from rest_compat.openapi.input_schema import input_schema
from rest_compat.openapi.names import ALONE, NAMED, title
from rest_compat.response_schema import require, schema_of, typed_result
from rest_compat.stored import operations
from rest_compat.variables import binder_of
from schema.execution import STORED, Operation

PAGED = {
    "limit": {"minimum": 1, "maximum": MAX_PAGE},
    "offset": {"minimum": 0, "maximum": MAX_OFFSET},
    "search": {"maxLength": MAX_SEARCH},
}
SAID = {"limit": f"Items wanted, 1 to {MAX_PAGE}; {DEFAULT_PAGE} unless said.", "offset": "Items to skip."}
"""What REST says of its pages, which have no cursors."""
KEYED = {"$ref": "#/components/parameters/IdempotencyKey"}


class Described:
    """Writes the operation of one row."""

    def __init__(self, endpoint: Endpoint, tag: str) -> None:
        self.endpoint, self.tag, self.file = endpoint, tag, endpoint.file
        self.name = endpoint.name or endpoint.operation
        self.operation = operations()[endpoint.operation]
        self.binder = binder_of(endpoint)

    def as_dict(self) -> dict[str, Any]:
        permission = next((p for _, p in self.operation.root_fields if p is not None), None)
        described: dict[str, Any] = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self._summary(),
            "x-graphql-operation": self.endpoint.operation,
            "parameters": [*map(self._path, self.binder.path_names), *self._queries(), *self._key()],
            "responses": {str(self.endpoint.status): self._success(), **problems()},
        }
        if permission is not None:
            described["x-rate-limit"] = str(permission.category)
            described["security"] = security(permission.public, permission.session_only, self.endpoint.method)
        body = self._body()
        return described | ({"requestBody": body} if body else {})

    def _summary(self) -> str:
        root = STORED.roots[self.operation.kind]
        assert root is not None
        kind: Any = root
        node: Any = self.operation.definition
        while True:
            node = next(n for n in node.selection_set.selections if isinstance(n, FieldNode))
            definition = kind.fields[node.name.value]
            if node.alias is not None and node.alias.value == "result":
                return definition.description or ""
            kind = get_named_type(definition.type)

    # Parameters

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
        words, limits = self.endpoint.words.get(name), self._limits(name)
        if isinstance(get_nullable_type(kind), GraphQLList):  # a parameter is one of the values GraphQL takes several of
            kind, limits = get_nullable_type(kind).of_type, limits.get("items", {})
        schema = _words(kind, words) if words else limited(input_schema(kind, "", default), limits)
        if self.endpoint.paged:
            schema |= PAGED.get(name, {})
            text = SAID.get(name, text)
        return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}

    def _queries(self) -> Sequence[dict[str, Any]]:
        whole = self.endpoint.whole
        return [*map(self._query, self.binder.params), *(whole.parameters() if whole else ())]

    def _key(self) -> Sequence[dict[str, Any]]:
        return [KEYED] if self.operation.keyed else []

    # The body

    def _body(self) -> dict[str, Any] | None:
        hidden = {"upload_id"} if self.file else set()
        hidden |= {"columns"} if self.endpoint.columns else set()
        names = [name for name in self.endpoint.body if name not in hidden]
        if not names and not self.file:
            return None
        schema: dict[str, Any] = {"type": "object", "properties": {name: self._field(name) for name in names}, ALONE: True}
        if self.endpoint.columns:
            schema["properties"] |= columns.schemas(self.endpoint.columns)
        required = [name for name in names if self._required(name)]
        if required:
            schema["required"] = required
        if self.endpoint.says_one_of:
            schema["anyOf"] = [{"required": [name]} for name in self.endpoint.says_one_of]
        if self.file:
            content = _with_file(self.file, schema, self.name)
        else:
            content = {"application/json": {"schema": {**schema, NAMED: f"{self.name}Body"}}}
        return {"required": not self.endpoint.body_optional, "content": content}

    def _field(self, name: str) -> dict[str, Any]:
        kind, text, default = self._definition(name)
        if name in self.endpoint.by_name:
            most = self._limits(name).get("maxItems")
            schema = {"type": "object", "additionalProperties": {"type": "string"}, "description": text}
            return schema if most is None else {**schema, "maxProperties": most}
        if words := self.endpoint.words.get(name):
            return {**_words(kind, words), "description": text}
        return limited(input_schema(kind, text, default), self._limits(name))

    def _required(self, name: str) -> bool:
        target = self.binder.target(name)
        if len(target) == 1:
            return target[0] in self.binder.required
        kind: Any = get_named_type(self.binder.types[target[0]])
        return is_required_input_field(kind.fields[target[1]])

    # The answer

    def _success(self) -> dict[str, Any]:
        if self.endpoint.kind is Kind.download:
            content = {media: {"schema": {"type": "string", "format": "binary"}} for media in self.endpoint.media}
            return {"description": "The file.", "content": content, "headers": headers("Content-Disposition", "Warning")}
        schema = schema_of(self.endpoint.shape(result_of(typed_result(self.operation)), {}))
        for place in self.endpoint.certain:
            require(schema, place.split("."))
        schema["properties"].setdefault(unknown.WARNINGS, unknown.SCHEMA)
        schema[NAMED] = self._envelope(schema["properties"])
        return answer(schema, *([REPLAYED] if self.operation.keyed else ()))

    def _envelope(self, fields: dict[str, Any]) -> str:
        """What the answer's body is called."""
        if fields.keys() <= {"ok", unknown.WARNINGS}:
            return "Done"
        if fields.keys() >= {"items", "total"}:
            item = fields["items"]["items"].get(NAMED) or NAMES.get(f"{self.name}.item")
            return f"{item or self.name.removeprefix('List')}Page"
        objects = [name for name, schema in fields.items() if "properties" in schema]
        if self.endpoint.status == 201 and len(objects) == 1:
            return f"{title(objects[0])}Created"
        if self.endpoint.method != "GET" and len(objects) == 1 and fields.keys() <= {"id", "status", *objects, unknown.WARNINGS}:
            return f"{title(objects[0])}Changed"
        return f"{self.name.removeprefix('Get')}Answer"


def _words(kind: Any, words: Iterable[str]) -> dict[str, Any]:
    """Words of REST's own, which are called as the contract's are."""
    return {"type": "string", "enum": list(words), NAMED: get_named_type(kind).name}


def answer(schema: dict[str, Any], *more: str) -> dict[str, Any]:
    """An answer as it should be."""
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}, "headers": headers(*more)}


def _with_file(file: File, schema: dict[str, Any], name: str) -> dict[str, Any]:
    """The two ways to say which file is meant: a form that holds it, or an object that names an upload.

    A form may name one too; each is said once, because generators make nothing of "either". Where something else may stand in
    place of a file, the object's keys are all optional.
    """
    binary = {"type": "string", "format": "binary", "description": file.about}
    sent = {"type": "string", "description": "The id of a finished upload, resumable or not, in place of the form's `file`."}
    fields, required = schema["properties"], schema.get("required", [])
    texts = {key: _text(field) for key, field in fields.items()}
    form = {**schema, "properties": {**texts, "file": binary}, "required": [*required, "file"], NAMED: f"{name}Form"}
    by_id = {**schema, "properties": {**fields, "upload_id": sent}, NAMED: f"{name}Body"}
    if not file.or_else:
        by_id["required"] = [*required, "upload_id"]
    return {"multipart/form-data": {"schema": form}, "application/json": {"schema": by_id}}


def _text(field: dict[str, Any]) -> dict[str, Any]:
    """A field of a form: what has an inside is a text in JSON."""
    if field.get("type") in ("object", "array") or "oneOf" in field:
        return {"type": "string", "contentMediaType": "application/json", "description": f"In JSON: {field['description']}"}
    return field


def _arguments(operation: Operation) -> list[tuple[str, str]]:
    """Variable name and description for every argument that is a plain variable."""
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

    walk(STORED.roots[operation.kind], operation.definition.selection_set)
    return found
