"""What a selection is, worked out once per operation: generated code for its leaves, and one column per field that is no leaf.

A selection on an interface or a union is a choice of plans, one for each type that occurs among the rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)
from graphql.pyutils import is_awaitable as default_is_awaitable

from schema.compiler.leaf import Quick, Unusual
from schema.compiler.reading import Fetched, Reading, Readings
from schema.compiler.shape import Composite, Shape
from schema.compiler.source import Leaves, Source, reader

Details = Any
"""graphql-core's list of the nodes that select one field."""
Key = tuple[Any, ...]
Plans = dict[Key, "Plan | Choice"]
Collect = Callable[[GraphQLObjectType, Details], Mapping[str, Details]]
"""The fields of a selection by response name."""
Told = Callable[[Any], str | None]
"""The name of a row's type; None when nobody knows it."""


@dataclass(frozen=True)
class Column:
    """A field that is no leaf of the row. Without `reading` it is graphql-core's to execute, row by row."""

    response: str
    details: Details
    kind: GraphQLOutputType
    reading: Reading | None = None
    inner: "Plan | Choice | None" = None
    """How the objects in it are built."""
    leaf: Leaves | None = None
    """For what is loaded and a leaf: from values to `{response: completed}`."""

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

    @property
    def simple(self) -> bool:
        """Nothing in it can wait or fail on its own: the whole is one expression of the rows."""
        return not self.columns


@dataclass(frozen=True)
class Choice:
    """How objects of one selection on an interface or a union are built: each by the plan of its type."""

    kind: GraphQLAbstractType
    details: Details
    told: Told
    planner: "Planner"
    kept: Plans
    made: dict[str | None, Plan] = field(default_factory=dict)
    simple = False

    def plan(self, name: str | None, collect: Collect) -> Plan:
        """The plan for objects of a type, made when the first one is met. Raises Unusual for a type that may not be there."""
        found = self.made.get(name)
        if found is None:
            kind = self.planner.schema.get_type(name) if name else None
            if not isinstance(kind, GraphQLObjectType) or not self.planner.schema.is_sub_type(self.kind, kind):
                raise Unusual
            found = self.made[name] = self.planner.plan_of(kind, self.details, collect, self.kept)
        return found


class Planner:
    """Plans of one schema.

    `is_awaitable` may be quicker than graphql-core's. `told` has, by the names of interfaces and unions, what tells the type of a
    row; it must be what the schema's `resolve_type` says, too.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        readings: Readings,
        quick: Quick | None = None,
        is_awaitable: Callable[[Any], Any] = default_is_awaitable,
        told: Mapping[str, Told] | None = None,
    ) -> None:
        self.schema = schema
        self.readings = readings
        self.quick = quick or {}
        self.is_awaitable = is_awaitable
        self.told = told or {}
        self._builds: dict[str, bool] = {}

    def shape(self, kind: GraphQLOutputType) -> Shape | None:
        """None for what is not built by plans."""
        shape = Shape.of(kind)
        return shape if shape and self.builds(shape.kind) else None

    def builds(self, kind: Composite) -> bool:
        """Whether objects of the type are built by plans: nobody asks each row whether it is one."""
        found = self._builds.get(kind.name)
        if found is None:
            found = self._builds[kind.name] = self._can_build(kind)
        return found

    def _can_build(self, kind: Composite) -> bool:
        if isinstance(kind, GraphQLObjectType):
            return kind.is_type_of is None and not kind.name.startswith("__")
        return kind.name in self.told and all(map(self.builds, self.schema.get_possible_types(kind)))

    def plan(self, kind: Composite, details: Details, collect: Collect, kept: Plans) -> Plan | Choice:
        """The plan of the selection that `details` make on `kind`; made once, wherever a fragment brings it in again."""
        if isinstance(kind, GraphQLObjectType):
            return self.plan_of(kind, details, collect, kept)
        key = key_of(kind, details)
        if key not in kept:
            kept[key] = Choice(kind, details, self.told[kind.name], self, kept)
        return kept[key]

    def plan_of(self, kind: GraphQLObjectType, details: Details, collect: Collect, kept: Plans) -> Plan:
        """The same for a type of objects."""
        key = key_of(kind, details)
        if key not in kept:
            kept[key] = self._plan(kind, details, collect, kept)
        found = kept[key]
        assert isinstance(found, Plan)
        return found

    def _plan(self, kind: GraphQLObjectType, details: Details, collect: Collect, kept: Plans) -> Plan:
        source, columns = Source(self.quick), []
        for response, inner in collect(kind, details).items():
            name = inner[0].node.name.value
            if name == "__typename":
                source.constant(response, kind.name)
                continue
            column = self._column(kind, name, response, inner, collect, kept)
            reading, below = column.reading, column.inner
            if reading is None or isinstance(reading, Fetched) or (below is not None and not below.simple):
                source.constant(response, None)
                columns.append(column)
            elif isinstance(below, Plan) and column.shape:
                source.nested(response, reading, column.shape, below.leaves)
            else:
                source.leaf(response, reading, column.kind)
        return Plan(kind, source.function(), tuple(columns))

    def _column(
        self, kind: GraphQLObjectType, name: str, response: str, details: Details, collect: Collect, kept: Plans
    ) -> Column:
        field = self.schema.get_field(kind, name)
        assert field is not None, "the document is valid"
        reading = self.readings.get(kind.name, {}).get(name)
        shape = self.shape(field.type)
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


def key_of(kind: Composite, details: Details) -> Key:
    """What a selection is known by, as long as the document that owns the nodes lives."""
    if len(details) == 1:
        return kind.name, id(details[0].node)
    return (kind.name, *(id(one.node) for one in details))
