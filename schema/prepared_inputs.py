"""Inputs as what resolvers take, worked out once for each of their types instead of at every call.

What is not plainly an input, and what Pydantic refuses, goes Strawberry's own way, which knows what is wrong and where.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from strawberry.pydantic.conversion import _has_tuples
from strawberry.scalars import is_scalar
from strawberry.schema.name_converter import NameConverter
from strawberry.types.base import StrawberryList, StrawberryObjectDefinition, StrawberryOptional, get_object_definition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.lazy_type import LazyType

Read = Callable[[Any], Any]
Convert = Callable[[Any, Any], Any]
"""(value, info) → what the resolver takes."""


class NotPlain(Exception):
    """Something that is left to Strawberry; never leaves this module."""


class Inputs:
    """The inputs of one schema."""

    def __init__(self, scalars: Mapping[object, Any], named: NameConverter) -> None:
        self.scalars = scalars
        self.named = named
        self._known: dict[type, Mapping[str, tuple[str, Read]] | None] = {}

    def converter(self, kind: Any, general: Convert) -> Convert:
        """How values of an argument of this type are read: `general` is Strawberry's way."""
        if self._leaf(kind):
            return lambda value, _info: value
        inner: Any = kind.of_type if isinstance(kind, StrawberryOptional) else kind
        definition = get_object_definition(inner) if isinstance(inner, type) else None
        if definition is None:
            return general
        if issubclass(inner, BaseModel):
            make: Read = partial(self._model, inner)
        elif definition.from_input is None:
            make = partial(self._object, inner, definition)
        else:
            return general

        def convert(value: Any, info: Any) -> Any:
            try:
                return make(value)
            except (NotPlain, KeyError, ValidationError):
                return general(value, info)

        return convert

    def _model(self, model: type[BaseModel], value: Any) -> Any:
        return model.model_validate(self._data(model, value), by_alias=False, by_name=True)

    def _object(self, kind: type, definition: StrawberryObjectDefinition, value: Any) -> Any:
        """An input that is no model; null where nothing was sent and nothing stands for that."""
        return kind(**dict.fromkeys(_left_out(definition)) | self._data(kind, value))

    def _data(self, kind: type, value: Any) -> dict[str, Any]:
        """The fields that were sent, by their names in Python."""
        if kind not in self._known:
            self._known[kind] = self._fields(kind)
        fields = self._known[kind]
        if fields is None or value.__class__ is not dict:
            raise NotPlain
        found = {}
        for name, sent in value.items():
            into, read = fields[name]
            found[into] = None if sent is None else read(sent)
        return found

    def _fields(self, kind: Any) -> Mapping[str, tuple[str, Read]] | None:
        """How each field is read; None where one of them is nothing for this module."""
        definition, found = get_object_definition(kind, strict=True), {}
        for field in definition.fields:
            inner = field.resolve_type(type_definition=definition)
            read = self._read(inner)
            if read is None or (issubclass(kind, BaseModel) and not _ordinary(kind, field.python_name, inner)):
                return None
            found[self.named.from_field(field)] = field.python_name, read
        return found

    def _read(self, kind: Any) -> Read | None:
        while isinstance(kind, StrawberryOptional | LazyType):
            kind = kind.resolve_type() if isinstance(kind, LazyType) else kind.of_type
        if self._leaf(kind):
            return lambda value: value
        if isinstance(kind, StrawberryList):
            item = self._read(kind.of_type)
            return None if item is None else partial(_items, item)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return partial(self._data, kind)
        return None

    def _leaf(self, kind: Any) -> bool:
        inner = kind.of_type if isinstance(kind, StrawberryOptional) else kind
        return is_scalar(inner, self.scalars) or isinstance(inner, StrawberryEnumDefinition)


def _items(read: Read, value: Any) -> list[Any]:
    if value.__class__ is not list:
        raise NotPlain
    return [None if one is None else read(one) for one in value]


def _ordinary(model: type[BaseModel], name: str, kind: Any) -> bool:
    """Whether a field may be left out where it was not sent, and takes lists as lists."""
    info = model.model_fields.get(name)
    if info is None or (info.is_required() and isinstance(kind, StrawberryOptional)):
        return False
    return not _has_tuples(info.annotation)


def _left_out(definition: StrawberryObjectDefinition) -> list[str]:
    """Fields that have no default of their own."""
    return [one.python_name for one in definition.fields if one.default_value is MISSING and one.default_factory is MISSING]
