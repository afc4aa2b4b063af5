"""How each field of the contract is read, for the compiler: said by the fields themselves, or seen in their resolvers.

A field without arguments and guard is an attribute of the row, a function of the row, or says in its metadata what it is. All
others have a resolver of their own.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.types.field import StrawberryField

from schema.compiler.reading import Attribute, Computed, Reading

READING = "reading"
"""Metadata of a field that says how it is read."""


def readings_of(schema: GraphQLSchema) -> dict[str, dict[str, Reading]]:
    """What the compiler may read by itself, by the names of type and field."""
    found: dict[str, dict[str, Reading]] = {}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLObjectType):
            fields = {field: reading_of(definition) for field, definition in kind.fields.items()}
            found[name] = {field: reading for field, reading in fields.items() if reading is not None}
    return found


def reading_of(field: GraphQLField) -> Reading | None:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField) or field.args or definition.extensions:
        return None
    metadata: Mapping[Any, Any] = definition.metadata or {}
    if READING in metadata:
        said: Reading = metadata[READING]
        return said
    resolver = definition.base_resolver
    if resolver is None:
        return Attribute(definition.python_name)
    if not definition.is_async and list(resolver.signature.parameters) == ["root"]:
        return Computed(cast("Callable[[Any], Any]", resolver.wrapped_func))
    return None
