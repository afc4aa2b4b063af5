"""The one place that executes an operation, for every door: `execute(operation, variables, context)`.

A document is parsed, validated and measured once and kept as an `Operation`, which runs compiled (docs/decisions/0013).
"""

from collections.abc import AsyncIterator, Awaitable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLObjectType,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    validate,
)
from graphql import subscribe as graphql_subscribe
from graphql.execution.values import VariableValues
from strawberry.execution import optimized_is_awaitable
from strawberry.types.field import StrawberryField

from coreplex.errors.tree import Message
from coreplex.platform import tracing
from coreplex.platform.answer_size import AnswerSize, AnswerTooLarge
from coreplex.platform.permissions import Category, Permission
from edge.caller import Caller
from edge.request import identify
from resolvers.context import Context
from schema import limits
from schema.compiler.operation import Compiled
from schema.compiler.plan import Planner
from schema.cost import Meter, page_variables, prices_of, sizes
from schema.errors import BadDocument, BadRequest
from schema.field_sources import readings_of
from schema.guard import Guard, ResolverCalls
from schema.root import graphql_schema, stored_schema
from schema.scalars import QUICK
from schema.secret import Secrets
from schema.shown import tell_types

REMEMBERED_CHARS = 4_000
FEW = 5
"""Root fields that a span is named by."""
MOST_COSTS = 64
"""Prices that are kept of an operation: one for each length of its pages that was asked for."""
STAYS = Message("mutation_stays", "What the mutation changed stays changed.")
Coerced = VariableValues | list[GraphQLError]
"""Variables as the operation wants them, or everything that is wrong with them."""
open_context = partial(identify, Context)
"""The context of a request's operations. Raises Unauthenticated for a credential that is sent but wrong."""


class Contract:
    """A schema that operations run against."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self.schema = schema._schema  # the only way Strawberry gives to graphql-core's own schema
        self.roots = {
            OperationType.QUERY: self.schema.query_type,
            OperationType.MUTATION: self.schema.mutation_type,
            OperationType.SUBSCRIPTION: self.schema.subscription_type,
        }
        self.prices = prices_of(self.schema)
        self.secrets = Secrets(self.schema)
        calls = ResolverCalls(schema)
        told = tell_types(self.schema)
        self.planner = Planner(self.schema, readings_of(self.schema, calls.beginning), QUICK, optimized_is_awaitable, told)
        for kind in self.schema.type_map.values():
            if isinstance(kind, GraphQLObjectType) and kind is not self.schema.subscription_type:
                calls.install(kind)


PUBLIC = Contract(graphql_schema)
"""What callers of GraphQL see."""
STORED = Contract(stored_schema)
"""What the stored documents of REST run against."""
core_schema = PUBLIC.schema
ROOTS = PUBLIC.roots


@dataclass(frozen=True)
class Operation:
    """A validated document with the one operation of it that is to run."""

    document: DocumentNode
    definition: OperationDefinitionNode
    root_fields: tuple[tuple[str, Permission | None], ...]
    """Name and permission of every root selection, fragments expanded; aliases count each."""
    compiled: Compiled = field(repr=False, compare=False)
    contract: Contract = field(repr=False, compare=False)

    @property
    def name(self) -> str | None:
        return self.definition.name.value if self.definition.name else None

    @property
    def fragments(self) -> Mapping[str, FragmentDefinitionNode]:
        return self.compiled.fragments

    @property
    def kind(self) -> OperationType:
        return self.definition.operation

    @cached_property
    def charges(self) -> dict[Category, int]:
        """What the rate limiter takes: one per root field of a category of its own, else one for the request."""
        charges: dict[Category, int] = {}
        for _, permission in self.root_fields:
            if permission is not None and permission.category is not Category.general:
                charges[permission.category] = charges.get(permission.category, 0) + 1
        return charges or {Category.general: 1}

    @cached_property
    def public(self) -> bool:
        """Every root field may be used without a credential: a cookie that comes along is not what lets it through."""
        return all(permission is not None and permission.public for _, permission in self.root_fields)

    @cached_property
    def keyed(self) -> dict[str, Permission]:
        """Permissions, by name, of the fields of a mutation that are done once per `Idempotency-Key`; empty for a query and
        where all of them are public."""
        fields = {name: permission for name, permission in self.root_fields if permission is not None}
        return {} if self.public or self.kind is not OperationType.MUTATION else fields

    @property
    def introspects(self) -> bool:
        return any(name in limits.INTROSPECTION for name, _ in self.root_fields)

    @cached_property
    def secret(self) -> bool:
        """Whether it asks for a credential."""
        root = self.contract.roots[self.kind]
        return self.contract.secrets.among(self.definition.selection_set, root, self.fragments)

    def coerce(self, variables: Mapping[str, Any]) -> Coerced:
        return self.compiled.coerce(variables)

    def cost(self, variables: Coerced) -> int:
        """What running it with these variables costs at most (see schema/cost.py); with wrong ones it will not run."""
        if isinstance(variables, list):
            return 0
        asked = sizes(self._pages, variables)
        found = self._costs.get(asked)
        if found is None:
            if len(self._costs) >= MOST_COSTS:
                self._costs.clear()
            meter = Meter(self.contract.schema, self.contract.prices, self.fragments, self.definition, variables)
            found = self._costs[asked] = meter.cost
        return found

    @cached_property
    def _pages(self) -> Sequence[str]:
        """The variables its price depends on."""
        return page_variables(self.document)

    @cached_property
    def _costs(self) -> dict[Hashable, int]:
        """Prices by what those were."""
        return {}


def prepare(text: str, operation_name: str | None = None, *, suggestions: bool = False, listed: bool = False) -> Operation:
    """Parse, measure and validate a public document. Raises BadRequest; successes are remembered, long documents apart.

    `suggestions` lets errors name similar fields, which tells a stranger what exists. `listed`: the operator's, which are
    remembered however long they are, and whatever strangers send.
    """
    if listed:
        return _listed(text, operation_name, suggestions)
    if len(text) > REMEMBERED_CHARS:
        return _prepare(text, operation_name, suggestions)
    return _remembered(text, operation_name, suggestions)


def check_document(text: str, *, suggestions: bool = False) -> DocumentNode:
    """The document of a text that may come from anybody. Raises BadRequest."""
    document = limits.read(text)
    limits.check(document)
    errors = validate(core_schema, document, max_errors=10, hide_suggestions=not suggestions)
    if errors:
        raise BadDocument(errors)
    return document


def _prepare(text: str, operation_name: str | None, suggestions: bool) -> Operation:
    operation = from_document(check_document(text, suggestions=suggestions), operation_name, suggestions=suggestions)
    once = [name for name, permission in operation.root_fields if permission is not None and permission.once]
    for name in once:
        if once.count(name) > 1:
            raise BadRequest(Message("once_in_a_request", "`{field}` may stand in a request once.", field=name))
    return operation


_remembered = lru_cache(maxsize=256)(_prepare)
_listed = lru_cache(maxsize=1024)(_prepare)


def from_document(
    document: DocumentNode, operation_name: str | None = None, *, suggestions: bool = False, contract: Contract = PUBLIC
) -> Operation:
    """The operation of a document that was validated against the contract already."""
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if operation_name is not None:
        operations = [d for d in operations if d.name and d.name.value == operation_name]
        if not operations:
            raise BadRequest(Message("no_such_operation", "The document has no operation named '{name}'.", name=operation_name))
    if len(operations) != 1:
        raise BadRequest(
            Message("operation_not_named", "The document must hold one operation, or `operationName` must name one of them.")
        )
    compiled = Compiled(contract.planner, document, operations[0], suggestions=suggestions)
    names = _root_names(operations[0].selection_set, compiled.fragments)
    fields = tuple((name, permission_of(compiled.root, name)) for name in names)
    return Operation(document, operations[0], fields, compiled, contract)


def _root_names(selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode]) -> list[str]:
    names: list[str] = []
    for node in selections.selections:
        if isinstance(node, FieldNode):
            names.append(node.name.value)
        elif isinstance(node, InlineFragmentNode):
            names += _root_names(node.selection_set, fragments)
        elif isinstance(node, FragmentSpreadNode):
            names += _root_names(fragments[node.name.value].selection_set, fragments)
        if len(names) > limits.LIMITS.root_fields:
            raise BadRequest(
                Message(
                    "too_many_root_fields", "An operation may select at most {most} root fields.", most=limits.LIMITS.root_fields
                )
            )
    return names


def permission_of(parent: Any, name: str) -> Permission | None:
    """The permission a field declares; None for one without a guard."""
    if parent is None or name not in parent.fields:
        return None
    definition = parent.fields[name].extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        return None
    return next((e.permission for e in definition.extensions if isinstance(e, Guard)), None)


async def execute(operation: Operation, variables: Mapping[str, Any] | None, caller: Caller) -> ExecutionResult:
    """Run a query or mutation for a caller from `open_context`. Errors of fields are in the result. Raises AnswerTooLarge."""
    return await run(operation, operation.coerce(variables or {}), caller)


async def run(operation: Operation, variables: Coerced, caller: Caller) -> ExecutionResult:
    """The same with variables that were read already."""
    assert isinstance(caller, Context), "operations run with what open_context gives"
    if isinstance(variables, list):
        return ExecutionResult(None, variables)
    caller.secret = caller.secret or operation.secret
    caller.size = AnswerSize(caller.services.settings.max_answer_bytes)
    try:
        if not tracing.is_on():
            return await operation.compiled.run(variables, caller, caller.size)
        return await _traced(operation, operation.compiled.run(variables, caller, caller.size))
    except AnswerTooLarge as error:
        if operation.kind is OperationType.MUTATION:
            raise AnswerTooLarge(error.message.then(STAYS)) from None
        raise


async def _traced(operation: Operation, running: Awaitable[ExecutionResult]) -> ExecutionResult:
    fields, kind = ",".join(name for name, _ in operation.root_fields[:FEW]), operation.kind.value
    told = {"graphql.operation.type": kind, "graphql.operation.name": operation.name or "", "coreplex.fields": fields}
    with tracing.span(f"graphql {kind} {fields}", "internal", told):
        result = await running
        tracing.describe(coreplex__graphql__errors=len(result.errors or ()))
    return result


async def subscribe(
    operation: Operation, variables: Mapping[str, Any] | None, context: Context
) -> AsyncIterator[ExecutionResult] | ExecutionResult:
    """Open a subscription; an ExecutionResult means it was refused."""
    found = graphql_subscribe(
        core_schema,
        operation.document,
        context_value=context,
        variable_values=dict(variables or {}),
        operation_name=operation.name,
        hide_suggestions=not operation.compiled.suggestions,
    )
    return found if isinstance(found, ExecutionResult | AsyncIterator) else await found
