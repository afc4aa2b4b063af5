"""The price of an operation, known before it runs: one per object, times the sizes of the lists around it.

Scalars cost nothing. A list is as long as its page argument says, read as the resolver will get it (coerced variables and
defaults), and 50 where nobody says. Linear in the document: a selection's cost is a line `fixed + per_item * page of the
enclosing field`, worked out once per fragment.
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
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_argument_values,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_list_type,
)
from graphql.execution.values import VariableValues

from coreplex.paging import DEFAULT_PAGE, MAX_PAGE
from schema.errors import BadRequest

MAX_COST = 5_000
MUCH = 10**9
PAGE_ARGUMENTS = ("first", "last", "limit")


class Line(NamedTuple):
    """Cost of a selection as a function of the page size its parent field was given."""

    fixed: int = 0
    per_item: int = 0

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
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
        variables: VariableValues,
    ) -> None:
        self.schema = schema
        self.fragments = fragments
        self.variables = variables
        self.known: dict[str, Line] = {}
        root: Any = schema.get_root_type(operation.operation)
        self.cost = self._selection(operation.selection_set, root).at(None)

    def _selection(self, selections: SelectionSetNode, parent: GraphQLNamedType) -> Line:
        lines = [self._node(node, parent) for node in selections.selections]
        return Line(min(MUCH, sum(line.fixed for line in lines)), min(MUCH, sum(line.per_item for line in lines)))

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
        if definition is None or node.selection_set is None:
            return Line()  # __typename and introspection, whose size the schema bounds; or a leaf
        named = get_named_type(definition.type)
        assert not is_leaf_type(named)
        page = self._page(node, definition)
        inner = self._selection(node.selection_set, named)
        if not is_list_type(get_nullable_type(definition.type)):
            return Line(min(MUCH, 1 + inner.at(page)))
        each = min(MUCH, 1 + inner.at(None))
        return Line(0, each) if page is None else Line(min(MUCH, page * each))

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
