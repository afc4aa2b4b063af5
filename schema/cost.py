"""The price of an operation, known before it runs: objects, what else is large, and statements of the database.

An object costs 1, times the sizes of the lists around it; so does a JSON value. A list is as long as its page argument says,
read as the resolver will get it (coerced variables and defaults), and 50 where nobody says. A field that asks the database costs
STATEMENT: once where one statement fetches it for all objects of a level, times the lists around it where each object asks for
itself. Fields that hold more than an object does say so (`Price`). Other scalars cost nothing.

Linear in the document: a selection's cost is a line `fixed + per_item * page of the enclosing field`, worked out once per
fragment.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_argument_values,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField

from coreplex.platform.paging import DEFAULT_PAGE, MAX_PAGE
from schema.compiler.reading import Loaded
from schema.errors import BadRequest
from schema.field_sources import READING

MAX_COST = 5_000
STATEMENT = 5
MUCH = 10**9
PAGE_ARGUMENTS = ("first", "last", "limit", "rows")
PRICE = "price"
"""Metadata of a field that says what it costs."""


class Price(NamedTuple):
    """The price of a field without what is selected in it."""

    each: int = 0
    """For each object it is asked of."""
    row: int = 0
    """For each row of its page, each time."""
    once: int = 0
    """For all objects of a level together."""


BATCHED = Price(once=STATEMENT)
"""One statement for all objects of a level."""
Prices = Mapping[str, Mapping[str, Price]]
"""By the names of type and field."""


def prices_of(schema: GraphQLSchema) -> dict[str, dict[str, Price]]:
    """What each field costs: as its metadata say, or as it is seen to be fetched."""
    kinds = [kind for kind in schema.type_map.values() if isinstance(kind, GraphQLObjectType)]
    return {kind.name: {name: _price_of(field) for name, field in kind.fields.items()} for kind in kinds}


def _price_of(field: GraphQLField) -> Price:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        return Price()
    metadata: Mapping[Any, Any] = definition.metadata or {}
    if PRICE in metadata:
        said: Price = metadata[PRICE]
        return said
    json = 1 if get_named_type(field.type).name == "JSON" else 0
    if isinstance(metadata.get(READING), Loaded):
        return Price(each=json, once=STATEMENT)
    return Price(each=json + (STATEMENT if definition.is_async else 0))


class Line(NamedTuple):
    """Cost of a selection as a function of the page size its parent field was given, and what it costs once for all of them."""

    fixed: int = 0
    per_item: int = 0
    once: int = 0

    def at(self, page: int | None) -> int:
        return min(MUCH, self.fixed + self.per_item * (DEFAULT_PAGE if page is None else page))


class TooExpensive(BadRequest):
    """The operation would touch more objects than one request may."""

    code = "too_expensive"


def check_cost(cost: int) -> None:
    if cost > MAX_COST:
        raise TooExpensive(f"The operation costs {cost} of at most {MAX_COST}: ask for smaller pages or fewer nested lists.")


class Meter:
    """Prices one operation of a validated document."""

    def __init__(
        self,
        schema: GraphQLSchema,
        prices: Prices,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        variables: VariableValues,
    ) -> None:
        self.schema = schema
        self.prices = prices
        self.fragments = fragments
        self.variables = variables
        self.known: dict[str, Line] = {}
        root: Any = schema.get_root_type(operation.operation)
        line = self._selection(operation.selection_set, root)
        self.cost = min(MUCH, line.at(None) + line.once)

    def _selection(self, selections: SelectionSetNode, parent: GraphQLNamedType) -> Line:
        lines = [self._node(node, parent) for node in selections.selections]
        return Line(*(min(MUCH, sum(parts)) for parts in zip(*lines, strict=True)))

    def _node(self, node: Any, parent: Any) -> Line:
        if isinstance(node, FieldNode):
            return self._field(node, parent)
        if isinstance(node, FragmentSpreadNode):
            return self._fragment(node.name.value)
        assert isinstance(node, InlineFragmentNode)
        condition = node.type_condition
        inner: Any = self.schema.get_type(condition.name.value) if condition else parent
        return self._selection(node.selection_set, inner)

    def _fragment(self, name: str) -> Line:
        if name not in self.known:
            fragment = self.fragments[name]
            parent: Any = self.schema.get_type(fragment.type_condition.name.value)
            self.known[name] = self._selection(fragment.selection_set, parent)
        return self.known[name]

    def _field(self, node: FieldNode, parent: Any) -> Line:
        definition: GraphQLField | None = getattr(parent, "fields", {}).get(node.name.value)
        price = self.prices.get(parent.name, {}).get(node.name.value)
        if definition is None or price is None:
            return Line()  # __typename and introspection, whose size the schema bounds
        page = self._page(node, definition)
        own = price.each + price.row * (page or 0)
        if node.selection_set is None:
            return Line(min(MUCH, own), 0, price.once)
        inner = self._selection(node.selection_set, get_named_type(definition.type))
        once = min(MUCH, price.once + inner.once)
        if not is_list_type(get_nullable_type(definition.type)):
            return Line(min(MUCH, own + 1 + inner.at(page)), 0, once)
        each = min(MUCH, 1 + inner.at(None))
        return Line(own, each, once) if page is None else Line(min(MUCH, own + page * each), 0, once)

    def _page(self, node: FieldNode, definition: GraphQLField) -> int | None:
        """The page size a field will be given, at most what a page can have; None for a field without such an argument."""
        name = next((name for name in PAGE_ARGUMENTS if name in definition.args), None)
        if name is None:
            return None
        alone = GraphQLField(definition.type, args={name: definition.args[name]})
        given = FieldNode(name=node.name, arguments=tuple(a for a in node.arguments or () if a.name.value == name))
        try:
            page = get_argument_values(alone, given, self.variables).get(name)
        except GraphQLError:
            return DEFAULT_PAGE  # the field will fail in the same way, and fetch nothing
        return max(0, min(MAX_PAGE, page)) if isinstance(page, int) else DEFAULT_PAGE
