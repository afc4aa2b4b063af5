"""Payloads: each mutation has one of its own, with the errors a person can mend in it.

What several mutations answer is written once (`ProjectPayload`); `own_payloads` makes of it a type for each of them, named after
the mutation, whose objects may be null, with `userErrors`. Who does not select these gets the same as an error of the field.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import strawberry
from graphql import GraphQLError, GraphQLInputObjectType, GraphQLResolveInfo, get_named_type
from pydantic import ValidationError
from strawberry.tools import create_type
from strawberry.types.base import StrawberryList, StrawberryOptional, get_object_definition
from strawberry.types.field import StrawberryField
from strawberry.utils.str_converters import capitalize_first, to_camel_case

from coreplex.errors.tree import DomainError, Message
from schema.compiler.reading import Computed
from schema.error_codes import UserErrorCode
from schema.errors import domain_error
from schema.field_sources import READING
from schema.notice import PARAMETERS, REASON
from schema.scalars import JSON
from schema.selection import selected

USER_ERRORS = "userErrors"


@strawberry.type(
    description="Something a person can mend: a wrong value, a conflict with what is there, a limit that is reached."
)
class UserError:
    message: str = strawberry.field(description="What is wrong and what to do, a sentence for people.")
    code: UserErrorCode = strawberry.field(description="What kind of error it is.")
    field: list[str] | None = strawberry.field(
        description='Where the wrong value stands in the arguments: `["input", "name"]`; null where no single value is wrong.'
    )
    reason: str = strawberry.field(description=REASON)
    parameters: JSON = strawberry.field(description=PARAMETERS)


class Refusal:
    """Stands for the payload of a mutation that was refused: no objects, empty lists, and the errors."""

    def __init__(self, payload: type, errors: list[UserError]) -> None:
        self.user_errors = errors
        for one in get_object_definition(payload, strict=True).fields:
            if one.python_name != "user_errors":
                setattr(self, one.python_name, [] if isinstance(one.type, StrawberryList) else None)


def own_payloads(mutations: type) -> None:
    """Give every mutation of the class its own payload."""
    fields: list[Any] = get_object_definition(mutations, strict=True).fields
    for field in fields:
        kind: Any = field.type
        name = capitalize_first(to_camel_case(field.python_name))
        payload = _payload(f"{name}Payload", kind.of_type if isinstance(kind, StrawberryOptional) else kind)
        field.type = StrawberryOptional(payload)
        field.metadata = {**(field.metadata or {}), REFUSED: payload}


REFUSED = "refused"
"""Metadata of a mutation: the payload that says why it was refused."""


def _payload(name: str, shared: Any) -> type:
    definition = get_object_definition(shared, strict=True)
    fields = [_nullable(one) for one in definition.fields]
    return create_type(name, [*fields, user_errors_field()], description=definition.description)


def _nullable(field: StrawberryField) -> Any:
    """Null where the mutation is refused, and only then."""
    own: Any = copy(field)
    kind = field.type
    if not isinstance(kind, StrawberryList | StrawberryOptional):
        own.type = StrawberryOptional(kind)
    return own


def user_errors_field() -> Any:
    """The field that says why nothing was done."""

    def read(root: Any) -> list[UserError]:
        return getattr(root, "user_errors", [])

    field: Any = strawberry.field(
        resolver=read,
        graphql_type=list[UserError],
        description="What the caller must mend; nothing was done then, and everything else is null or empty.",
        metadata={READING: Computed(read)},
    )
    field.python_name = "user_errors"
    return field


def refusal(field: Any, info: GraphQLResolveInfo[Any], error: Exception) -> Refusal:
    """The payload that says why a mutation was refused. Raises the error where no user can mend it, or nobody selected it."""
    payload = (field.metadata or {}).get(REFUSED)
    if payload is None or not isinstance(error, DomainError | ValidationError | GraphQLError):
        raise error
    found = domain_error(error, info.context.request.id)
    if not found.mendable or USER_ERRORS not in selected(info):
        raise error
    info.context.refused = True
    return Refusal(payload, _user_errors_of(found, info))


def _user_errors_of(error: DomainError, info: GraphQLResolveInfo[Any]) -> list[UserError]:
    """One for each wrong value, or one for the whole."""
    code = UserErrorCode(error.code)
    if not error.errors:
        return [_shown(code, error.message, None)]
    return [_shown(code, one.msg, _place(one.loc, info)) for one in error.errors]


def _shown(code: Any, message: Message, place: list[str] | None) -> UserError:
    return UserError(message=message, code=code, field=place, **message.as_dict())


def _place(loc: Sequence[str | int], info: GraphQLResolveInfo[Any]) -> list[str]:
    """A place in the input, spelled as the contract spells it; inside free JSON as the caller spelled it."""
    argument = info.parent_type.fields[info.field_name].args.get("input")
    kind: Any = get_named_type(argument.type) if argument else None
    place = ["input"] if argument else []
    for part in loc:
        if isinstance(kind, GraphQLInputObjectType) and isinstance(part, str):
            name = part if part in kind.fields else to_camel_case(part)
            kind = get_named_type(kind.fields[name].type) if name in kind.fields else None
            place.append(name if kind is not None else part)
        else:
            place.append(str(part))
    return place
