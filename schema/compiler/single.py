"""An operation of one root field, run without what graphql-core needs for many (docs/decisions/0013).

Its resolver is called and awaited here, and an object that is leaves only is built at once. Everything else, errors above all, is
completed by an executor, which is made only then.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLObjectType,
    GraphQLResolveInfo,
    VariableNode,
    get_argument_values,
    get_nullable_type,
)
from graphql.execution.values import VariableValues
from graphql.pyutils import Path

from schema.compiler.executor import CompilingExecutor
from schema.compiler.leaf import odd
from schema.compiler.plan import Details, Plan


class Single:
    """The root field: its place, its arguments, and the plan of its value where that is an object of leaves.

    `executor` is one of the operation's, of whatever variables: what is the same for all of them is taken from it.
    """

    def __init__(
        self, executor: CompilingExecutor, root: GraphQLObjectType, response: str, details: Details, field: GraphQLField
    ) -> None:
        self.response, self.details, self.field, self.root = response, details, field, root
        self.nodes = [one.node for one in details]
        self.path = Path(None, response, root.name)
        self.resolve = field.resolve or executor.field_resolver
        self.is_awaitable = executor.is_awaitable
        self.around = (executor.schema, executor.fragment_definitions, None, executor.operation)
        self.given = _variables(field, self.nodes[0])
        self.plan = _plan(executor, field, details)

    @classmethod
    def of(cls, executor: CompilingExecutor, root: GraphQLObjectType, fields: Mapping[str, Details]) -> "Single | None":
        """None for an operation of several fields."""
        if len(fields) != 1:
            return None
        ((response, details),) = fields.items()
        field = executor.schema.get_field(root, details[0].node.name.value)
        return None if field is None else cls(executor, root, response, details, field)

    async def resolved(self, values: VariableValues, context: Any) -> tuple[GraphQLResolveInfo[Any], Any]:
        """What the resolver knew, and what it returned or raised."""
        info = self._info(values, context)
        try:
            found = self.resolve(None, info, **self._arguments(values))
            return info, await found if self.is_awaitable(found) else found
        except Exception as problem:
            return info, problem

    def built(self, found: Any, context: Any) -> dict[str, Any] | None:
        """The field's value. None for what an executor is to complete."""
        if self.plan is None or odd(type(found)):
            return None
        try:
            return self.plan.leaves([found], context)[0]
        except Exception:
            return None

    async def completed(self, executor: CompilingExecutor, info: GraphQLResolveInfo[Any], found: Any) -> dict[str, Any]:
        """The data; errors are with the executor. Raises GraphQLError where the field may not be null."""
        kind, details, path = self.field.type, self.details, self.path
        try:
            completed = executor.complete_value(kind, details, info, path, found, None)
            return {self.response: await completed if self.is_awaitable(completed) else completed}
        except Exception as problem:
            executor.handle_field_error(problem, kind, details, path)
            return {self.response: None}

    def _info(self, values: VariableValues, context: Any) -> GraphQLResolveInfo[Any]:
        named = (self.nodes[0].name.value, self.nodes, self.field.type, self.root, self.path)
        # No resolver of ours asks for the helpers of an executor.
        return GraphQLResolveInfo(*named, *self.around, values, context, self.is_awaitable, None, None)  # type: ignore[arg-type]

    def _arguments(self, values: VariableValues) -> Mapping[str, Any]:
        given, coerced = self.given, values.coerced
        if given is None or not given.keys() <= coerced.keys():
            return get_argument_values(self.field, self.nodes[0], values, self.details[0].fragment_variable_values, True)
        return {name: coerced[variable] for variable, name in given.items()}


def _plan(executor: CompilingExecutor, field: GraphQLField, details: Details) -> Plan | None:
    kind = get_nullable_type(field.type)
    plan = executor.plan(kind, details) if isinstance(kind, GraphQLObjectType) else None
    return plan if isinstance(plan, Plan) and plan.simple else None


def _variables(field: GraphQLField, node: Any) -> Mapping[str, str] | None:
    """The field's arguments, as Python calls them, by the variables that give them; None where one is given otherwise, or not."""
    values = {one.name.value: one.value for one in node.arguments or ()}
    if values.keys() != field.args.keys() or not all(isinstance(value, VariableNode) for value in values.values()):
        return None
    found = {value.name.value: field.args[name].out_name or name for name, value in values.items()}
    return found if len(found) == len(values) else None
