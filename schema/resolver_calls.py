"""Calling a resolver without Strawberry's ceremony: what its wrapper works out at every call is worked out once per field.

The wrapper turns arguments into inputs, lets the guard look and calls the function. The same happens here in the same order;
arguments that are not plain values or plain inputs, and inputs that are refused, go through Strawberry's own conversion.
"""

from collections.abc import Callable, Mapping
from typing import Any

import strawberry
from graphql import GraphQLObjectType
from pydantic import BaseModel, ValidationError
from strawberry.scalars import is_scalar
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.base import StrawberryOptional
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from coreplex.platform.permissions import authorize
from resolvers.guard import Guard, Info

Convert = Callable[[Any, Info], Any]


class Caller:
    """Makes the resolve functions of one schema."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self.config = schema.config
        self.scalars = schema.schema_converter.scalar_registry
        self.named = schema.config.name_converter

    def install(self, kind: GraphQLObjectType) -> None:
        """Replace the wrappers on a type's fields."""
        for field in kind.fields.values():
            definition = field.extensions.get("strawberry-definition")
            if isinstance(definition, StrawberryField) and self._plain(definition):
                field.resolve = self.resolve(definition)

    def _plain(self, field: StrawberryField) -> bool:
        if field.base_resolver is None or field.base_resolver.self_parameter is not None:
            return False
        return all(isinstance(extension, Guard) for extension in field.extensions)

    def resolve(self, field: StrawberryField) -> Callable[..., Any]:
        """What graphql-core calls."""
        resolver: Any = field.base_resolver
        function = resolver.wrapped_func
        parent_name = getattr(resolver.parent_parameter or resolver.root_parameter, "name", None)
        info_name = getattr(resolver.info_parameter, "name", None)
        prepared = self._prepared(field)

        def call(source: Any, raw: Any, given: Mapping[str, Any]) -> Any:
            about, arguments = prepared(raw, given)
            if parent_name:
                arguments[parent_name] = source
            if info_name:
                arguments[info_name] = about
            return function(**arguments)

        async def waiting(source: Any, raw: Any, /, **given: Any) -> Any:
            return await call(source, raw, given)

        return waiting if field.is_async else lambda source, raw, /, **given: call(source, raw, given)

    def beginning(self, field: StrawberryField, begin: Callable[..., Any]) -> Callable[[Any, Mapping[str, Any]], Any]:
        """`begin(info, **arguments)` for what graphql-core gives; guarded as the field's resolver is."""
        prepared = self._prepared(field)

        def call(raw: Any, given: Mapping[str, Any]) -> Any:
            about, arguments = prepared(raw, given)
            return begin(about, **arguments)

        return call

    def _prepared(self, field: StrawberryField) -> Callable[[Any, Mapping[str, Any]], tuple[Info, dict[str, Any]]]:
        """The field's Info and arguments; the guard has looked when they are given."""
        permissions = [extension.permission for extension in field.extensions if isinstance(extension, Guard)]
        known = [(self.named.from_argument(one), one.python_name, self._converter(one)) for one in field.arguments]

        def prepared(raw: Any, given: Mapping[str, Any]) -> tuple[Info, dict[str, Any]]:
            about = Info(_raw_info=raw, _field=field)
            arguments = {}
            for name, into, convert in known:
                if name in given:
                    arguments[into] = convert(given[name], about)
            for permission in permissions:
                authorize(raw.context.principal, permission)
            return about, arguments

        return prepared

    def _converter(self, argument: StrawberryArgument) -> Convert:
        general = self._general(argument)
        kind: Any = argument.type
        if self._leaf(kind):
            return lambda value, _: value
        inner = kind.of_type if isinstance(kind, StrawberryOptional) else kind
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return self._input(inner, general)
        return general

    def _general(self, argument: StrawberryArgument) -> Convert:
        kind, path = argument.type, (self.named.from_argument(argument),)
        return lambda value, info: convert_argument(value, kind, self.scalars, self.config, info, path=path)

    def _leaf(self, kind: Any) -> bool:
        inner = kind.of_type if isinstance(kind, StrawberryOptional) else kind
        return is_scalar(inner, self.scalars) or isinstance(inner, StrawberryEnumDefinition)

    def _input(self, model: type[BaseModel], general: Convert) -> Convert:
        """For an input whose fields are plain values. What Pydantic refuses is refused in Strawberry's words."""
        definition: Any = model.__strawberry_definition__  # type: ignore[attr-defined]
        leaves: dict[str, str] = {}
        for field in definition.fields:
            kind, info = field.resolve_type(type_definition=definition), model.model_fields.get(field.python_name)
            if not self._leaf(kind) or info is None or (info.is_required() and isinstance(kind, StrawberryOptional)):
                return general
            leaves[self.named.from_field(field)] = field.python_name

        def convert(value: Any, info: Info) -> Any:
            if value.__class__ is dict:
                try:
                    data = {leaves[name]: one for name, one in value.items()}
                    return model.model_validate(data, by_alias=False, by_name=True)
                except (KeyError, ValidationError):
                    pass
            return general(value, info)

        return convert
