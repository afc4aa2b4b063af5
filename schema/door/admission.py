"""Checks a request before it runs: which document, may this caller, at this price, now? The same on every transport."""

from dataclasses import dataclass
from typing import Any

from graphql import OperationType
from starlette.requests import HTTPConnection

from coreplex.errors.tree import DomainError, Forbidden, Message, Unauthenticated
from coreplex.platform.permissions import Category
from coreplex.platform.settings import Mode
from edge.request import charge, check_csrf
from resolvers.context import Context
from schema.cost import check_cost
from schema.door.documents import Documents, Found
from schema.door.message import GraphQLRequest
from schema.errors import BadRequest
from schema.execution import Coerced, Operation, prepare


class MethodNotAllowed(DomainError):
    code, status = "method_not_allowed", 405


@dataclass(frozen=True, slots=True)
class Admitted:
    """An operation that may run, with its variables as it wants them and what it costs with them."""

    message: GraphQLRequest
    operation: Operation
    variables: Coerced
    cost: int


async def admit(documents: Documents, context: Context, connection: HTTPConnection, message: GraphQLRequest) -> Admitted:
    """The operation and its cost, charged to the caller's rate budget. Raises the DomainError of a refusal.

    What cannot be understood is charged too: refusing it was work.
    """
    try:
        found = await documents.find(message)
        admitted = _read(found, context)
    except DomainError:
        await charge(context, {Category.general: 1}, connection)
        raise
    operation = admitted.operation
    await charge(context, operation.charges, connection)
    if operation.kind is OperationType.MUTATION and not operation.public:
        check_csrf(context)
    if operation.introspects:
        _check_introspection(context)
    _authorize_any(context, operation)
    await documents.keep(found, stranger=context.principal is None)
    return admitted


def _read(found: Found, context: Context) -> Admitted:
    message = found.message
    operation = prepare(message.text, message.operation_name, suggestions=_development(context), listed=found.listed)
    if message.safe and operation.kind is OperationType.MUTATION:
        raise MethodNotAllowed(Message("mutation_needs_post", "A mutation changes something: send it by POST."))
    variables = operation.coerce(message.variables)
    cost = operation.cost(variables)
    check_cost(cost)
    return Admitted(message, operation, variables, cost)


def open_to_strangers(context: Context) -> bool:
    """Whether anybody at all may introspect."""
    return context.services.settings.introspectable and _development(context)


def _check_introspection(context: Context) -> None:
    if not context.services.settings.introspectable:
        raise BadRequest(
            Message(
                "introspection_off",
                "Introspection is off on this server; the setting INTROSPECTION=on lets signed-in callers use it.",
            )
        )
    if context.principal is None and not _development(context):
        raise BadRequest(Message("introspection_needs_sign_in", "Introspection needs a signed-in caller on this server."))


def _development(context: Context) -> bool:
    return context.services.settings.mode is Mode.development


def _authorize_any(context: Context, operation: Operation) -> None:
    """Refuse as a whole what could not give the caller one field; a mixed request runs and says per field."""
    refusals: list[Any] = []
    for _, permission in operation.root_fields:
        if permission is None:
            return
        try:
            context.admit(permission)
        except (Unauthenticated, Forbidden) as error:
            refusals.append(error)
        else:
            return
    if refusals:
        raise refusals[0]
