"""Fields of the contract, each declared once. Every root field says who may use it.

    command(act, payload, permission, description)       a mutation that only calls a service
    answer(function, permission, description)            a mutation that makes nothing, such as a prediction
    mutation(resolver, payload, permission, description) a mutation with a resolver of its own
    row(table, permission, description)                  a query for a row by its id
    read(function, permission, description)              a query that only calls a service
    guarded(resolver, permission, description)           a query, or a field of a type, with a resolver of its own

Lists are declared in `schema.pagination`. What a mutation takes is said by the annotations of the function it calls, its payload
is made of what the function returned.
"""

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, TypeVar, cast, get_type_hints

import strawberry
from sqlmodel import SQLModel
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import has_object_definition
from strawberry.types.fields.resolver import StrawberryResolver

from coreplex.membership.access import open_row
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.permissions import Grant, Permission
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.serving.service import Asked
from resolvers.context import Context, Info, acted
from resolvers.loading import Loads
from schema.compiler.reading import Contextual, Loaded
from schema.field_sources import READING
from schema.guard import Guard

Payload = TypeVar("Payload")
Act = Callable[[WriteSession, Grant, Any], Awaitable[Any]] | Callable[[WriteSession, Grant, Any, Settings], Awaitable[Any]]
"""A service function: `(session, grant, wanted)` and, if it takes a fourth, the settings. `wanted` is a published input."""
Answer = Callable[[Services, Grant, Any, Asked], Awaitable[Any]]
"""A service function that makes nothing that could be found again: `(services, grant, wanted, asked)`."""
Read = Callable[[ReadSession, Grant], Awaitable[Any]] | Callable[[ReadSession, Grant, str], Awaitable[Any]]
"""A service function that only reads: `(session, grant)` or `(session, grant, id)`."""


class Declared(StrawberryResolver[Any]):
    """A resolver `(info, **arguments)` whose arguments are declared beside it, not by its signature. It ends in `calls`."""

    def __init__(
        self, function: Callable[..., Any], arguments: Sequence[StrawberryArgument], calls: Callable[..., Any] | None = None
    ) -> None:
        super().__init__(function)
        self.arguments = list(arguments)
        self.calls = calls or function


def argument(name: str, kind: Any, description: str, default: Any = inspect.Parameter.empty) -> StrawberryArgument:
    """An argument of a field; without `default` it must be given."""
    return StrawberryArgument(name, None, StrawberryAnnotation(kind), description=description, default=default)


def command(act: Act, payload: Callable[..., Payload], permission: Permission, description: str) -> Payload:
    """A mutation that calls a service function in the field's one transaction, under the request's `Idempotency-Key` if any.

    `payload` as for `mutation`.
    """
    call, made_of = cast("Callable[..., Awaitable[Any]]", act), _payload(payload)
    wanted, with_settings = _taken(act)

    async def run(info: Info, input: Any) -> Any:
        context, grant = info.context, info.grant
        more = (context.services.settings,) if with_settings else ()
        if context.attempt is not None:
            return made_of(await acted(info, lambda session: call(session, grant, input, *more)))
        async with context.transaction() as session:
            made = await call(session, grant, input, *more)
        return made_of(made)

    return _mutation(Declared(run, [argument("input", wanted, "What is wanted.")], act), permission, description)


def answer(function: Answer, permission: Permission, description: str) -> Any:
    """A mutation that calls a service function in no transaction; what the function returns is the payload."""
    names = list(inspect.signature(function).parameters)
    wanted = get_type_hints(function)[names[2]]

    async def run(info: Info, input: Any) -> Any:
        return await function(info.context.services, info.grant, input, _asked(info))

    return _mutation(Declared(run, [argument("input", wanted, "What is wanted.")]), permission, description)


def _asked(info: Info) -> Asked:
    """With which request a field is asked that makes nothing but is noted: under a key, the same when it is sent again."""
    attempt, request_id = info.context.attempt, info.context.request.id
    return Asked(request_id) if attempt is None else Asked(request_id, attempt, info.place, info.field_name)


def mutation(
    resolver: Callable[..., Awaitable[Any]], payload: Callable[..., Payload] | None, permission: Permission, description: str
) -> Payload:
    """A mutation with a resolver of its own, `(info[, input])`.

    `payload` makes the payload of what the resolver returned. A type of the contract has it as its one field, and the parts of
    a tuple as its fields in their order; None: it is the payload already.
    """
    if payload is None:
        return _mutation(StrawberryResolver(resolver), permission, description)
    made_of = _payload(payload)

    async def run(info: Info, **given: Any) -> Any:
        return made_of(await resolver(info, **given))

    return _mutation(Declared(run, StrawberryResolver(resolver).arguments, resolver), permission, description)


def _mutation(resolver: StrawberryResolver[Any], permission: Permission, description: str) -> Any:
    for one in resolver.arguments:
        one.description = one.description or "What is wanted."
    return strawberry.mutation(resolver=resolver, description=description, extensions=[Guard(permission)])


def _payload(payload: Callable[..., Any]) -> Callable[[Any], Any]:
    """What makes a payload of a result: of a type, by the fields it must be given."""
    if not dataclasses.is_dataclass(payload):
        return payload
    fields = (one for one in dataclasses.fields(payload) if one.init and one.default is dataclasses.MISSING)
    match [one.name for one in fields]:
        case []:
            return lambda _nothing: payload()
        case [name]:
            return lambda made: payload(**{name: made})
        case names:
            return lambda made: payload(**dict(zip(names, made, strict=True)))


def _taken(act: Act) -> tuple[type, bool]:
    """The input a service function takes, and whether it takes the settings too. Raises TypeError for any other function."""
    names, called = list(inspect.signature(act).parameters), f"{act.__module__}.{act.__qualname__}"
    if len(names) not in {3, 4}:
        raise TypeError(f"{called} must take (session, grant, wanted) or (session, grant, wanted, settings)")
    wanted: type = get_type_hints(act)[names[2]]
    if not has_object_definition(wanted):
        raise TypeError(f"{called} takes {wanted}, which is no input of the contract: publish it first")
    return wanted, len(names) == 4


def row(table: type[SQLModel], permission: Permission, description: str, noun: str = "") -> Any:
    """A query for a row of a project by its id; `noun` is what it is called when there is none."""

    async def run(info: Info, id: str) -> Any:
        async with info.context.read() as session:
            return await open_row(session, info.grant, table, id, noun or table.__name__)

    return guarded(Declared(run, [_id()]), permission, description)


def read(function: Read, permission: Permission, description: str) -> Any:
    """A query that calls a service function in one read session."""
    call = cast("Callable[..., Awaitable[Any]]", function)

    async def run(info: Info, **given: str) -> Any:
        async with info.context.read() as session:
            return await call(session, info.grant, *given.values())

    arguments = [_id()] if len(inspect.signature(function).parameters) > 2 else []
    return guarded(Declared(run, arguments), permission, description)


def _id() -> StrawberryArgument:
    return argument("id", strawberry.ID, "Its identifier.")


def resolved(resolver: Callable[..., Any], description: str, **options: Any) -> Any:
    """A field of a type with a resolver of its own, for everybody who sees the object."""
    return strawberry.field(resolver=resolver, description=description, **options)


def guarded(resolver: Any, permission: Permission, description: str, **options: Any) -> Any:
    """The same with a permission of its own; also a query."""
    return strawberry.field(resolver=resolver, description=description, extensions=[Guard(permission)], **options)


def subscription(resolver: Callable[..., Any], permission: Permission, description: str) -> Any:
    return strawberry.subscription(resolver=resolver, description=description, extensions=[Guard(permission)])


by_id = attrgetter("id")


def loaded(
    kind: Any,
    batch: Loads,
    key: Callable[[Any], Hashable],
    description: str,
    read: Callable[[Any, Any], Any] = lambda found, _row: found,
) -> Any:
    """A field kept in another table: `batch` finds it by `key(row)`, nothing by None; the value is `read(found, row)`."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        wanted = key(root)
        return read(None if wanted is None else await info.context.loaders[batch].load(wanted), root)

    reading = Loaded(lambda context: context.loaders[batch], key, read)
    return strawberry.field(resolver=resolve, graphql_type=kind, description=description, metadata={READING: reading})


def computed(
    kind: Any, read: Callable[[Any, Context], Any], description: str, metadata: Mapping[Any, Any] = MappingProxyType({})
) -> Any:
    """A field worked out from the row and the request."""

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        return read(root, info.context)

    more = {READING: Contextual(read), **metadata}
    return strawberry.field(resolver=resolve, graphql_type=kind, description=description, metadata=more)
