"""JSON Schemas of what a caller sends: of the inputs of the stored operations, with the limits their models enforce."""

from enum import Enum
from typing import Any

from graphql import GraphQLInputObjectType, GraphQLList, GraphQLNonNull
from graphql.pyutils import Undefined

from rest_compat.bounds import limited, of_field
from rest_compat.openapi.names import NAMED
from rest_compat.response_schema import leaf
from rest_compat.stored import snake


def input_schema(kind: Any, text: str = "", default: Any = Undefined) -> dict[str, Any]:
    """The JSON Schema of an input type."""
    inner = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
    if isinstance(inner, GraphQLList):
        schema: dict[str, Any] = {"type": "array", "items": input_schema(inner.of_type)}
    elif isinstance(inner, GraphQLInputObjectType):
        schema = {"type": "object", "properties": _properties(inner), NAMED: inner.name.removesuffix("Input")}
    else:
        schema = leaf(inner)
    if text:
        schema["description"] = text
    if isinstance(default, Enum):
        default = default.name
    if isinstance(default, str | int | float | bool):
        schema["default"] = default
    return schema


def _properties(kind: GraphQLInputObjectType) -> dict[str, Any]:
    return {
        snake(name): limited(input_schema(field.type, field.description or ""), of_field(kind, name))
        for name, field in kind.fields.items()
    }
