"""Derives the JSON Schema of an endpoint's answer: its envelope is given a result that has types in place of values."""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    SelectionSetNode,
    get_nullable_type,
)

from rest_compat.openapi.names import ABOUT, NAMED, title
from schema.execution import STORED, Operation

SCALARS: Mapping[str, dict[str, Any]] = {
    "ID": {"type": "string"},
    "String": {"type": "string"},
    "Int": {"type": "integer"},
    "Long": {"type": "integer"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "DateTime": {"type": "string", "format": "date-time"},
    "JSON": {},
    "Value": {},
}

CANCELLED = "cancelled"
"""A state that REST does not have."""
OPEN = "…"
"""What a spread of free JSON leaves in an envelope: fields nobody can list."""


class Typed(dict[str, Any]):
    """A value of which only the schema is known. A dictionary, so that an envelope may spread it."""

    def __init__(self, schema: dict[str, Any], members: Mapping[str, Any] | None = None) -> None:
        super().__init__(members or {})
        self.schema = schema


def typed_result(operation: Operation) -> dict[str, Any]:
    """The operation's data with types in place of values."""
    root = STORED.roots[operation.kind]
    assert root is not None
    return _object(root, operation.definition.selection_set, operation.fragments)


def _object(kind: Any, selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for node in selections.selections:
        if isinstance(node, FragmentSpreadNode):
            found |= _object(kind, fragments[node.name.value].selection_set, fragments)
        elif isinstance(node, FieldNode) and node.name.value in kind.fields:
            definition = kind.fields[node.name.value]
            shown = GraphQLNonNull(get_nullable_type(definition.type)) if kind in STORED.roots.values() else definition.type
            found[(node.alias or node.name).value] = _value(shown, node, fragments, definition.description or "")
    return found


def _value(kind: Any, node: FieldNode, fragments: Mapping[str, FragmentDefinitionNode], text: str) -> Any:
    nullable = not isinstance(kind, GraphQLNonNull)
    kind = kind if nullable else kind.of_type
    if isinstance(kind, GraphQLList):
        return Listed([_value(kind.of_type, node, fragments, "")], text, nullable)
    if isinstance(kind, GraphQLObjectType):
        assert node.selection_set is not None
        members = _object(kind, node.selection_set, fragments)
        hints = {NAMED: _name(kind, node.selection_set), ABOUT: kind.description}
        return Typed({"description": text, "nullable": nullable, "members": True, **hints}, members)
    schema = leaf(kind)
    return Typed({**schema, "description": text, "nullable": nullable}, {} if "type" in schema else {OPEN: True})


def _name(kind: GraphQLObjectType, selections: SelectionSetNode) -> str:
    """Of what is selected of a type: its fragment's, where it is one fragment and nothing beside it, else the type's."""
    node = selections.selections[0]
    if len(selections.selections) > 1 or not isinstance(node, FragmentSpreadNode):
        return kind.name
    return title(node.name.value.removesuffix("Fields"))


class Listed(list[Any]):
    """A list of which only the kind of its items is known."""

    def __init__(self, items: list[Any], text: str, nullable: bool) -> None:
        super().__init__(items)
        self.text, self.nullable = text, nullable


def leaf(kind: Any) -> dict[str, Any]:
    if isinstance(kind, GraphQLEnumType):
        return {"type": "string", "enum": [word for word in kind.values if word != CANCELLED], NAMED: kind.name}
    assert isinstance(kind, GraphQLScalarType)
    return dict(SCALARS[kind.name])


def schema_of(value: Any) -> dict[str, Any]:
    """What an envelope made of a typed result, as a JSON Schema."""
    if isinstance(value, Typed) and not value.schema.get("members"):
        return _nullable({k: v for k, v in value.schema.items() if k != "nullable"}, value.schema.get("nullable", False))
    if isinstance(value, list):
        described = {"description": value.text} if isinstance(value, Listed) and value.text else {}
        items = schema_of(value[0]) if value else {}
        return _nullable({"type": "array", "items": items, **described}, isinstance(value, Listed) and value.nullable)
    if isinstance(value, dict):
        properties = {name: schema_of(item) for name, item in value.items() if name != OPEN}
        required = [name for name, item in properties.items() if not _may_be_null(item)]
        schema: dict[str, Any] = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        if OPEN in value:
            schema["additionalProperties"] = True
        if isinstance(value, Typed) and value.schema["description"]:
            schema["description"] = value.schema["description"]
        if isinstance(value, Typed):
            schema |= {hint: value.schema[hint] for hint in (NAMED, ABOUT) if hint in value.schema}
        return _nullable(schema, isinstance(value, Typed) and value.schema.get("nullable", False))
    return {bool: {"type": "boolean"}, int: {"type": "integer"}, str: {"type": "string"}}.get(type(value), {})


def _nullable(schema: dict[str, Any], nullable: bool) -> dict[str, Any]:
    if not schema.get("description", "-"):
        schema.pop("description")
    if not nullable or "type" not in schema:
        return schema
    if "enum" in schema:
        schema["enum"] = [*schema["enum"], None]
    return {**schema, "type": [schema["type"], "null"]}


def _may_be_null(schema: dict[str, Any]) -> bool:
    return "type" not in schema or (isinstance(schema["type"], list) and "null" in schema["type"])


def require(schema: dict[str, Any], place: Sequence[str]) -> None:
    """Say of a member, at a place of one name after another, that it is there and not null."""
    name, *inner = place
    member = schema["properties"][name]
    if inner:
        require(member, inner)
        return
    member["type"] = next(kind for kind in member["type"] if kind != "null")
    if "enum" in member:
        member["enum"] = [word for word in member["enum"] if word is not None]
    schema["required"] = [key for key in schema["properties"] if key == name or key in schema.get("required", ())]
