"""An operation ready to run: its document read, its root fields collected and its variables' types looked up once."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLSkipDirective,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    Visitor,
    default_field_resolver,
    default_type_resolver,
    get_variable_values,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from graphql.execution.values import VariableValues

from schema.compiler.coercion import Variables
from schema.compiler.executor import CompilingExecutor
from schema.compiler.kept import Kept
from schema.compiler.plan import Planner
from schema.compiler.single import Single
from schema.compiler.size import Size, written

MAX_ERRORS = 50
MAX_SELECTIONS = 16
"""Combinations of what @skip and @include are told that are compiled of a document; others are left to graphql-core."""
MAX_OTHERS = 256
"""Combinations kept of all documents together, besides the first one of each."""


class Compiled:
    """One query or mutation of a valid document. Where `selections` is None, everything but variables is left to graphql-core.

    `suggestions`: complaints about variables name similar fields.
    """

    def __init__(
        self, planner: Planner, document: DocumentNode, definition: OperationDefinitionNode, *, suggestions: bool = False
    ) -> None:
        self.planner = planner
        self.suggestions = suggestions
        self.definition = definition
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self.selections = selections_of(document)
        self.root: Any = planner.schema.get_root_type(definition.operation)
        self._details = {name: FragmentDetails(fragment, None) for name, fragment in self.fragments.items()}
        self._variables = Variables(planner.schema, definition.variable_definitions or ())

    def coerce(self, given: Mapping[str, Any]) -> VariableValues | list[GraphQLError]:
        """The variables as the operation wants them, or everything that is wrong with them."""
        values = self.coerce_plain(given)
        if values is not None:
            return values
        nodes = self.definition.variable_definitions or ()
        hidden = not self.suggestions
        return get_variable_values(self.planner.schema, nodes, dict(given), MAX_ERRORS, hide_suggestions=hidden)

    def coerce_plain(self, given: Mapping[str, Any]) -> VariableValues | None:
        """The same for variables that are plainly right. None says nothing: ask `coerce`."""
        try:
            return self._variables.coerce(given)
        except Exception:
            return None

    async def run(self, values: VariableValues, context: Any, size: Size) -> ExecutionResult:
        """Execute with variables of `coerce`. Errors of fields are in the result; raises what `size` raises."""
        kept = None if self.selections is None else self.selections.kept(values)
        if kept is not None and kept.single is not None:
            return await self._single(kept.single, values, context, size, kept)
        executor = self.executor(values, context, size, kept)
        return await self._response(executor, self._whole, size)

    async def _single(self, field: Single, values: VariableValues, context: Any, size: Size, kept: Kept) -> ExecutionResult:
        info, found = await field.resolved(values, context)
        value = field.built(found, context)
        if value is None:
            executor = self.executor(values, context, size, kept)
            return await self._response(executor, lambda executor: field.completed(executor, info, found), size)
        size.add(written(value))
        size.check()
        return ExecutionResult({field.response: value}, None)

    def _whole(self, executor: CompilingExecutor) -> Any:
        fields = self._root_fields(executor)
        serially = self.definition.operation is OperationType.MUTATION and len(fields) > 1
        return executor.execute_root_grouped_field_set(self.root, None, fields, serially, None)

    async def _response(
        self, executor: CompilingExecutor, execute: Callable[[CompilingExecutor], Any], size: Size
    ) -> ExecutionResult:
        try:
            data = execute(executor)
            done = await data if executor.is_awaitable(data) else data
        except GraphQLError as error:
            executor.collected_errors.add(error, None)
            done = None
        except Exception:
            size.check()
            raise
        finally:
            del executor.async_helpers  # methods of the executor, which it would hold with all it read until a garbage collection
        size.check()  # a field that may be null may have swallowed what it raised
        return executor.build_response(done)  # type: ignore[return-value]

    def executor(self, values: VariableValues, context: Any, size: Size, kept: Kept | None) -> CompilingExecutor:
        return CompilingExecutor(
            self.planner.schema,
            self.fragments,
            self._details,
            None,
            context,
            self.definition,
            values,
            default_field_resolver,
            default_type_resolver,
            default_field_resolver,
            is_awaitable=self.planner.is_awaitable,
            hide_suggestions=True,
            planner=self.planner,
            kept=kept,
            size=size,
        )

    def _root_fields(self, executor: CompilingExecutor) -> Any:
        if executor.kept is not None and executor.kept.root is not None:
            return executor.kept.root
        found = collect_fields(
            self.planner.schema, self._details, executor.variable_values, self.root, self.definition, hide_suggestions=True
        )
        if executor.kept is not None:
            executor.kept.root = found.grouped_field_set
            executor.kept.single = Single.of(executor, self.root, found.grouped_field_set)
        return found.grouped_field_set


class Selections:
    """What is kept of a document: apart for each combination of the variables that its @skip and @include ask."""

    def __init__(self, switches: Sequence[str]) -> None:
        self.switches = switches
        self.first: tuple[tuple[Any, ...], Kept] | None = None
        self.others: set[tuple[Any, ...]] = set()

    def kept(self, values: VariableValues) -> Kept | None:
        """None when too many combinations were seen already."""
        key = tuple([values.coerced.get(name) for name in self.switches])
        if self.first is None:
            self.first = key, Kept()
        if self.first[0] == key:
            return self.first[1]
        if key not in self.others and len(self.others) >= MAX_SELECTIONS - 1:
            return None
        self.others.add(key)
        return _other(self, key)


@lru_cache(maxsize=MAX_OTHERS)
def _other(_selections: Selections, _key: tuple[Any, ...]) -> Kept:
    return Kept()


def selections_of(document: DocumentNode) -> Selections | None:
    """None for a document with directives only graphql-core understands."""
    visitor = _Directives()
    visit(document, visitor)
    return None if visitor.others else Selections(sorted(visitor.switches))


class _Directives(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.others = False
        self.switches: set[str] = set()

    def enter_directive(self, node: DirectiveNode, *_args: Any) -> None:
        if node.name.value not in {GraphQLSkipDirective.name, GraphQLIncludeDirective.name}:
            self.others = True
        self.switches.update(one.value.name.value for one in node.arguments or () if isinstance(one.value, VariableNode))
