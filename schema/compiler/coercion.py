"""Variables of the usual kind, checked by a function made once per operation instead of a walk over their types.

What it takes it makes of it exactly what graphql-core would. Everything else raises, and graphql-core looks at it and says what
is wrong: this module never refuses anything.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import (
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    Undefined,
    VariableDefinitionNode,
    specified_scalar_types,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.utilities.coerce_input_value import coerce_default_value

from schema.compiler.leaf import Unusual

Coerce = Callable[[Any], Any]
_EXACT = {"String": str, "ID": str, "Boolean": bool}


class Variables:
    """The variables of one operation."""

    def __init__(self, schema: GraphQLSchema, nodes: Sequence[VariableDefinitionNode]) -> None:
        self.known: list[tuple[Any, Coerce]] = []
        for node in nodes:
            signature: Any = get_variable_signature(schema, node)
            self.known.append((signature, coercer(signature.type)))

    def coerce(self, given: Mapping[str, Any]) -> VariableValues:
        """What graphql-core's `get_variable_values` gives. Raises for anything unusual."""
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, coerce in self.known:
            name = signature.name
            value = given.get(name, Undefined)
            sources[name] = VariableValueSource(signature, value)
            if value is not Undefined:
                coerced[name] = coerce(value)
            elif signature.default is not None:
                coerced[name] = _unchangeable(coerce_default_value(signature))
            elif isinstance(signature.type, GraphQLNonNull):
                raise Unusual
        return VariableValues(sources, coerced)


def _unchangeable(default: Any) -> Any:
    """A default is kept with its signature; one that a resolver could change must be made anew by graphql-core."""
    if isinstance(default, list | dict):
        raise Unusual
    return default


def coercer(kind: Any) -> Coerce:
    """How a value of an input type is read. The result raises for what is not plainly of the type."""
    if isinstance(kind, GraphQLNonNull):
        return _present(kind.of_type)
    present = _present(kind)
    return lambda value: None if value is None else present(value)


def _present(kind: Any) -> Coerce:
    if isinstance(kind, GraphQLList):
        return _list(coercer(kind.of_type))
    if isinstance(kind, GraphQLInputObjectType):
        return _object(kind)
    exact = _EXACT.get(kind.name) if kind in specified_scalar_types.values() else None
    general = kind.coerce_input_value

    def leaf(value: Any) -> Any:
        if value is None:
            raise Unusual
        if exact is not None and value.__class__ is exact:
            return value
        done = general(value)
        if done is Undefined:
            raise Unusual
        return done

    return leaf


def _list(item: Coerce) -> Coerce:
    def read(value: Any) -> Any:
        if value.__class__ is not list:
            raise Unusual
        return [item(one) for one in value]

    return read


def _object(kind: GraphQLInputObjectType) -> Coerce:
    """Fields are looked at when a value comes, because input types may contain themselves."""
    readers: dict[str, tuple[Any, Coerce]] = {}

    def read(value: Any) -> Any:
        if value.__class__ is not dict or kind.is_one_of:
            raise Unusual
        if not readers:
            readers.update({name: (field, coercer(field.type)) for name, field in kind.fields.items()})
        if not value.keys() <= readers.keys():
            raise Unusual
        return kind.out_type(dict(_fields(readers, value)))

    return read


def _fields(readers: Mapping[str, tuple[Any, Coerce]], value: Mapping[str, Any]) -> Any:
    for name, (field, coerce) in readers.items():
        if name in value:
            yield field.out_name or name, coerce(value[name])
        elif field.default is not None or field.default_value is not Undefined:
            yield field.out_name or name, coerce_default_value(field)
        elif isinstance(field.type, GraphQLNonNull):
            raise Unusual
