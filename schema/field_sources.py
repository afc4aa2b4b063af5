"""How each field of the contract is read, for the compiler: said by the fields themselves, or seen in their resolvers.

A field without arguments and guard is an attribute of the row, a function of the row, or says in its metadata what it is. All
others have a resolver of their own.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.types.field import StrawberryField

from schema.compiler.reading import Asked, Attribute, Computed, Loader, Reading

READING = "reading"
"""Metadata of a field that says how it is read."""


@dataclass(frozen=True)
class Nested:
    """Of a field with arguments, kept elsewhere: `begin(info, **arguments)` is the loader that fetches by `key(row)`."""

    begin: Callable[..., Loader]
    key: Callable[[Any], Hashable]


Prepare = Callable[[StrawberryField, Callable[..., Any]], Callable[[Any, Mapping[str, Any]], Any]]
"""Makes of a function of Info and arguments one of what graphql-core gives: (info, arguments) → result, the guard asked first."""


def readings_of(schema: GraphQLSchema, prepare: Prepare | None = None) -> dict[str, dict[str, Reading]]:
    """What the compiler may read by itself, by the names of type and field. Without `prepare` no field that has arguments."""
    found: dict[str, dict[str, Reading]] = {}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLObjectType):
            fields = {field: reading_of(definition, prepare) for field, definition in kind.fields.items()}
            found[name] = {field: reading for field, reading in fields.items() if reading is not None}
    return found


def reading_of(field: GraphQLField, prepare: Prepare | None = None) -> Reading | None:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        return None
    metadata: Mapping[Any, Any] = definition.metadata or {}
    said: Reading | Nested | None = metadata.get(READING)
    if isinstance(said, Nested):
        return Asked(prepare(definition, said.begin), said.key) if prepare else None
    if field.args or definition.extensions:
        return None
    if said is not None:
        return said
    resolver = definition.base_resolver
    if resolver is None:
        return Attribute(definition.python_name)
    if not definition.is_async and list(resolver.signature.parameters) == ["root"]:
        return Computed(cast("Callable[[Any], Any]", resolver.wrapped_func))
    return None
