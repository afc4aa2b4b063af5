"""The price of an operation, known before it runs: objects, what else is large, and statements of the database.

An object costs 1, times the sizes of the lists around it; so does a JSON value. A list is as long as its page argument says,
read as the resolver will get it (coerced variables and defaults), and 50 where nobody says. A field that asks the database costs
STATEMENT: once where one statement fetches it for all objects of a level, times the lists around it where each object asks for
itself. Fields that hold more than an object does say so (`Price`). Other scalars cost nothing.

An object of an interface or a union costs what the dearest of the types it may have costs; statements are counted for all of
them, because a list may hold them all.

Linear in the document: a selection's cost is a line `fixed + per_item * page of the enclosing field`, worked out once per
fragment.
"""

from collections.abc import Hashable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    Undefined,
    VariableNode,
    Visitor,
    get_argument_values,
    get_named_type,
    get_nullable_type,
    is_list_type,
    visit,
)
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField

from coreplex.errors.tree import Message
from coreplex.platform.page import DEFAULT_PAGE, MAX_PAGE
from schema.compiler.reading import Loaded
from schema.errors import BadRequest
from schema.field_sources import READING

MAX_COST = 5_000
STATEMENT = 5
MUCH = 10**9
PAGE_ARGUMENTS = ("first", "last", "limit", "rows", "ids")
"""A number, or a list of what is wanted."""
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
    items: int = 0
    """Of a list without a page argument: how many items it counts as, where that is not the default page (0)."""


BATCHED = Price(once=STATEMENT)
"""One statement for all objects of a level."""
INSIDE = {"price": Price(items=1)}
"""Metadata of a list in something whose price is said elsewhere, or that is short."""
Prices = Mapping[str, Mapping[str, Price]]
"""By the names of type and field."""


def prices_of(schema: GraphQLSchema) -> dict[str, dict[str, Price]]:
    """What each field costs: as its metadata say, or as it is seen to be fetched."""
    kinds = schema.type_map.values()
    objects = [kind for kind in kinds if isinstance(kind, GraphQLObjectType)]
    found = {kind.name: {name: _price_of(field) for name, field in kind.fields.items()} for kind in objects}
    for kind in kinds:
        if isinstance(kind, GraphQLInterfaceType):
            possible = [found[one.name] for one in schema.get_possible_types(kind)]
            found[kind.name] = {name: _dearest(one[name] for one in possible) for name in kind.fields}
    return found


def _dearest(prices: Iterable[Price]) -> Price:
    return Price(*map(max, zip(Price(), *prices, strict=True)))


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

    def beside(self, other: "Line") -> "Line":
        return Line(*(min(MUCH, sum(parts)) for parts in zip(self, other, strict=True)))


class Parts(NamedTuple):
    """Cost of a selection: of what every object has, and of what those of some types have besides; `once` is all in the first."""

    common: Line
    own: Mapping[str, Line] = MappingProxyType({})

    @property
    def line(self) -> Line:
        """For an object of the dearest type."""
        if not self.own:
            return self.common
        return self.common.beside(Line(*map(max, zip(*self.own.values(), strict=True))))


class TooExpensive(BadRequest):
    """The operation would touch more objects than one request may."""

    code = "too_expensive"


def check_cost(cost: int) -> None:
    if cost > MAX_COST:
        raise TooExpensive(
            Message(
                "too_expensive",
                "The operation costs {cost} of at most {most}: ask for smaller pages or fewer nested lists.",
                cost=cost,
                most=MAX_COST,
            )
        )


def page_variables(document: DocumentNode) -> list[str]:
    """Names of the variables that page arguments hold: besides the document, prices depend on them alone."""
    finder = _PageVariables()
    visit(document, finder)
    return sorted(finder.names)


def sizes(names: Iterable[str], variables: VariableValues) -> Hashable:
    """What a price is known by: of each variable its kind, with its length or the whole number it is."""
    values = [variables.coerced.get(name, Undefined) for name in names]
    return tuple((type(one), len(one) if isinstance(one, list) else one if isinstance(one, int) else None) for one in values)


class _PageVariables(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.within = 0

    def enter_argument(self, node: ArgumentNode, *_args: Any) -> None:
        if node.name.value in PAGE_ARGUMENTS:
            self.within += 1

    def leave_argument(self, node: ArgumentNode, *_args: Any) -> None:
        if node.name.value in PAGE_ARGUMENTS:
            self.within -= 1

    def enter_variable(self, node: VariableNode, *_args: Any) -> None:
        if self.within:
            self.names.add(node.name.value)


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
        self.known: dict[str, Parts] = {}
        self.possible: dict[str, frozenset[str]] = {}
        root: Any = schema.get_root_type(operation.operation)
        line = self._selection(operation.selection_set, root).line
        self.cost = min(MUCH, line.at(None) + line.once)

    def _selection(self, selections: SelectionSetNode, parent: GraphQLNamedType) -> Parts:
        common, own = Line(), dict[str, Line]()
        for node in selections.selections:
            if isinstance(node, FieldNode):
                common = common.beside(self._field(node, parent))
                continue
            kind, part = self._fragment(node, parent)
            names = self._names(parent)
            if names <= self._names(kind):
                common, rest = common.beside(part.common), Line()
            else:
                common, rest = common.beside(Line(once=part.common.once)), part.common._replace(once=0)
                names &= self._names(kind)
            for name in names & part.own.keys() if rest == Line() else names:
                own[name] = own.get(name, Line()).beside(rest).beside(part.own.get(name, Line()))
        return Parts(common, own)

    def _fragment(self, node: Any, parent: GraphQLNamedType) -> tuple[GraphQLNamedType, Parts]:
        """What a fragment is on, and what its selection costs there."""
        if isinstance(node, FragmentSpreadNode):
            name = node.name.value
            fragment = self.fragments[name]
            kind: Any = self.schema.get_type(fragment.type_condition.name.value)
            if name not in self.known:
                self.known[name] = self._selection(fragment.selection_set, kind)
            return kind, self.known[name]
        assert isinstance(node, InlineFragmentNode)
        condition = node.type_condition
        inner: Any = self.schema.get_type(condition.name.value) if condition else parent
        return inner, self._selection(node.selection_set, inner)

    def _names(self, kind: Any) -> frozenset[str]:
        """The types an object may have."""
        found = self.possible.get(kind.name)
        if found is None:
            possible = [kind] if isinstance(kind, GraphQLObjectType) else self.schema.get_possible_types(kind)
            found = self.possible[kind.name] = frozenset(one.name for one in possible)
        return found

    def _field(self, node: FieldNode, parent: Any) -> Line:
        definition: GraphQLField | None = getattr(parent, "fields", {}).get(node.name.value)
        price = self.prices.get(parent.name, {}).get(node.name.value)
        if definition is None or price is None:
            return Line()  # __typename and introspection, whose size the schema bounds
        page = self._page(node, definition)
        if price.items:
            page = price.items
        own = price.each + price.row * (page or 0)
        if node.selection_set is None:
            return Line(min(MUCH, own), 0, price.once)
        inner = self._selection(node.selection_set, get_named_type(definition.type)).line
        once = min(MUCH, price.once + inner.once)
        if not is_list_type(get_nullable_type(definition.type)):
            return Line(min(MUCH, own + 1 + inner.at(page)), 0, once)
        each = min(MUCH, 1 + inner.at(None))
        return Line(own, each, once) if page is None else Line(min(MUCH, own + page * each), 0, once)

    def _page(self, node: FieldNode, definition: GraphQLField) -> int | None:
        """The page size a field will be given, at most what a page can have; None for a field without such an argument."""
        names = [name for name in PAGE_ARGUMENTS if name in definition.args]
        if not names:
            return None
        alone = GraphQLField(definition.type, args={name: definition.args[name] for name in names})
        given = FieldNode(name=node.name, arguments=tuple(a for a in node.arguments or () if a.name.value in names))
        try:
            asked = get_argument_values(alone, given, self.variables)
        except GraphQLError:
            return DEFAULT_PAGE  # the field will fail in the same way, and fetch nothing
        pages = [len(page) if isinstance(page, list) else page for page in map(asked.get, names)]
        sizes = [page for page in pages if isinstance(page, int)]
        return max(0, min(MAX_PAGE, max(sizes))) if sizes else DEFAULT_PAGE
