"""What objects a field has: one or a list, with nulls among them or without."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLAbstractType, GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, is_leaf_type

from schema.compiler.leaf import Unusual, odd

Composite = GraphQLObjectType | GraphQLAbstractType


@dataclass(frozen=True)
class Shape:
    """An object or null, or a list of objects."""

    kind: Composite
    nullable: bool
    items: bool = False
    gaps: bool = False
    """A list that may have nulls in it."""

    @classmethod
    def of(cls, kind: GraphQLOutputType) -> "Shape | None":
        """None for leaves and lists of lists."""
        nullable, inner = _inner(kind)
        if not isinstance(inner, GraphQLList):
            return None if is_leaf_type(inner) else cls(inner, nullable)
        gaps, inner = _inner(inner.of_type)
        return None if is_leaf_type(inner) or isinstance(inner, GraphQLList) else cls(inner, nullable, True, gaps)

    def present(self, value: Any) -> Sequence[Any]:
        """The objects in one value. Nulls where none may be, errors and promises are Unusual."""
        if value is None and self.nullable:
            return ()
        if self.items and value.__class__ is not list:
            raise Unusual
        found: Sequence[Any] = value if self.items else (value,)
        if self.gaps:
            found = [one for one in found if one is not None]
        if not _objects.issuperset(map(type, found)):
            _look(set(map(type, found)))
        return found


def _inner(kind: Any) -> tuple[bool, Any]:
    return (False, kind.of_type) if isinstance(kind, GraphQLNonNull) else (True, kind)


def positions(value: Sequence[Any]) -> list[int]:
    """Where the objects of a list stand."""
    return [position for position, one in enumerate(value) if one is not None]


def whole(value: Sequence[Any], built: list[dict[str, Any]]) -> list[Any]:
    """What was built of the objects of a list, with the nulls between."""
    if len(value) == len(built):
        return built
    objects = iter(built)
    return [None if one is None else next(objects) for one in value]


_objects: set[type] = set()
"""Types that were seen and are not odd."""


def _look(kinds: set[type]) -> None:
    if any(map(odd, kinds)):
        raise Unusual
    _objects.update(kinds)
