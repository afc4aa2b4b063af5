"""An operation ready to run: its document read, its root fields collected and its variables' types looked up once."""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    Visitor,
    default_field_resolver,
    default_type_resolver,
    get_variable_values,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from graphql.execution.values import VariableValues

from schema.compiler.coercion import Variables
from schema.compiler.executor import CompilingExecutor, Kept
from schema.compiler.plan import Planner
from schema.compiler.size import Size

MAX_ERRORS = 50


class Compiled:
    """One query or mutation of a valid document. Where `kept` is None, everything but variables is left to graphql-core.

    `suggestions`: complaints about variables name similar fields.
    """

    def __init__(
        self, planner: Planner, document: DocumentNode, definition: OperationDefinitionNode, *, suggestions: bool = False
    ) -> None:
        self.planner = planner
        self.suggestions = suggestions
        self.definition = definition
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self.kept = kept_for(document)
        self.root: Any = planner.schema.get_root_type(definition.operation)
        self._details = {name: FragmentDetails(fragment, None) for name, fragment in self.fragments.items()}
        self._variables = Variables(planner.schema, definition.variable_definitions or ())
        self._fields: Any = None

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
        executor = self.executor(values, context, size)
        fields = self._root_fields(executor)
        serially = self.definition.operation is OperationType.MUTATION and len(fields) > 1
        try:
            data = executor.execute_root_grouped_field_set(self.root, None, fields, serially, None)
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
        return executor.build_response(done)  # type: ignore[arg-type, return-value]

    def executor(self, values: VariableValues, context: Any, size: Size) -> CompilingExecutor:
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
            kept=self.kept,
            size=size,
        )

    def _root_fields(self, executor: CompilingExecutor) -> Any:
        """Collected once where no directive can change them."""
        if self._fields is not None:
            return self._fields
        found = collect_fields(
            self.planner.schema, self._details, executor.variable_values, self.root, self.definition, hide_suggestions=True
        )
        if self.kept is not None:
            self._fields = found.grouped_field_set
        return found.grouped_field_set


def kept_for(document: DocumentNode) -> Kept | None:
    """A place for what is worked out about a document; None where @skip or @include may select other fields each time."""
    visitor = _Directives()
    visit(document, visitor)
    return None if visitor.found else Kept()


class _Directives(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_directive(self, *_args: Any) -> None:
        self.found = True
