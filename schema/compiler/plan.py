"""What a selection is, worked out once per operation: generated code for its leaves, and one column per field that is no leaf."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphql import GraphQLList, GraphQLNonNull, GraphQLObjectType, GraphQLOutputType, GraphQLSchema, get_named_type, is_leaf_type
from graphql.pyutils import is_awaitable as default_is_awaitable

from schema.compiler.leaf import Quick
from schema.compiler.reading import Fetched, Reading, Readings
from schema.compiler.source import Leaves, Source, reader

Details = Any
"""graphql-core's list of the nodes that select one field."""
Key = tuple[Any, ...]
Plans = dict[Key, "Plan"]
Collect = Callable[[GraphQLObjectType, Details], Mapping[str, Details]]
"""The fields of a selection by response name."""


@dataclass(frozen=True)
class Shape:
    """An object or null, or a list of objects."""

    kind: GraphQLObjectType
    nullable: bool
    items: bool = False

    @classmethod
    def of(cls, kind: GraphQLOutputType) -> "Shape | None":
        """None for leaves, abstract types, lists of lists and lists with nulls in them."""
        nullable, inner = _inner(kind)
        items = isinstance(inner, GraphQLList)
        if items:
            null_items, inner = _inner(inner.of_type)
            if null_items:
                return None
        return cls(inner, nullable, items) if _plain_object(inner) else None


def _inner(kind: Any) -> tuple[bool, Any]:
    return (False, kind.of_type) if isinstance(kind, GraphQLNonNull) else (True, kind)


def _plain_object(kind: Any) -> bool:
    return isinstance(kind, GraphQLObjectType) and kind.is_type_of is None


@dataclass(frozen=True)
class Column:
    """A field that is no leaf of the row. Without `reading` it is graphql-core's to execute, row by row."""

    response: str
    details: Details
    kind: GraphQLOutputType
    reading: Reading | None = None
    inner: "Plan | None" = None
    """How the objects in it are built."""
    leaf: Leaves | None = None
    """For what is loaded and a leaf: from values to `{response: completed}`."""

    @property
    def simple(self) -> bool:
        """Its objects are read from the row, and are simple themselves."""
        return self.reading is not None and not isinstance(self.reading, Fetched) and self.inner is not None and self.inner.simple

    @cached_property
    def shape(self) -> Shape | None:
        return Shape.of(self.kind)

    @cached_property
    def read(self) -> Callable[[Any, Any], Any]:
        assert self.reading is not None
        return reader(self.reading)


@dataclass(frozen=True)
class Plan:
    """How objects of one selection are built."""

    kind: GraphQLObjectType
    leaves: Leaves
    columns: Sequence[Column]

    @cached_property
    def simple(self) -> bool:
        """Nothing in it can wait or fail on its own: the whole is one expression of the rows."""
        return all(column.simple for column in self.columns)


class Planner:
    """Plans of one schema. `is_awaitable` may be quicker than graphql-core's."""

    def __init__(
        self,
        schema: GraphQLSchema,
        readings: Readings,
        quick: Quick | None = None,
        is_awaitable: Callable[[Any], Any] = default_is_awaitable,
    ) -> None:
        self.schema = schema
        self.readings = readings
        self.quick = quick or {}
        self.is_awaitable = is_awaitable

    def plan(self, kind: GraphQLObjectType, details: Details, collect: Collect, kept: Plans) -> Plan:
        """The plan of the selection that `details` make on `kind`; made once, wherever a fragment brings it in again."""
        key = key_of(kind, details)
        if key not in kept:
            kept[key] = self._plan(kind, details, collect, kept)
        return kept[key]

    def _plan(self, kind: GraphQLObjectType, details: Details, collect: Collect, kept: Plans) -> Plan:
        source, columns = Source(self.quick), []
        for response, inner in collect(kind, details).items():
            name = inner[0].node.name.value
            if name == "__typename":
                source.constant(response, kind.name)
                continue
            column = self._column(kind, name, response, inner, collect, kept)
            if column.reading is None or isinstance(column.reading, Fetched) or column.inner is not None:
                source.constant(response, None)
                columns.append(column)
            else:
                source.leaf(response, column.reading, column.kind)
        return Plan(kind, source.function(), tuple(columns))

    def _column(
        self, kind: GraphQLObjectType, name: str, response: str, details: Details, collect: Collect, kept: Plans
    ) -> Column:
        field = self.schema.get_field(kind, name)
        assert field is not None, "the document is valid"
        reading = self.readings.get(kind.name, {}).get(name)
        shape = Shape.of(field.type)
        if reading is None or not (shape or is_leaf_type(get_named_type(field.type))):
            return Column(response, details, field.type)
        if shape:
            return Column(response, details, field.type, reading, self.plan(shape.kind, details, collect, kept))
        leaf = self._leaf(response, field.type) if isinstance(reading, Fetched) else None
        return Column(response, details, field.type, reading, leaf=leaf)

    def _leaf(self, response: str, kind: GraphQLOutputType) -> Leaves:
        source = Source(self.quick)
        source.value(response, kind)
        return source.function()


def key_of(kind: GraphQLObjectType, details: Details) -> Key:
    """What a selection is known by, as long as the document that owns the nodes lives."""
    if len(details) == 1:
        return kind.name, id(details[0].node)
    return (kind.name, *(id(one.node) for one in details))
