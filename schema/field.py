"""Fields that declare who may use them. Every root field is made by one of these."""

from collections.abc import Callable, Hashable
from operator import attrgetter
from typing import Any

import strawberry
from strawberry.dataloader import DataLoader

from coreplex.platform.permissions import Permission
from resolvers.context import Context
from resolvers.guard import Guard, Info
from resolvers.loaders import Loaders
from schema.compiler.reading import Contextual, Loaded
from schema.field_sources import READING


def guarded(resolver: Callable[..., Any], permission: Permission, description: str, **options: Any) -> Any:
    """A query field, or a field of a type that needs a permission of its own."""
    return strawberry.field(resolver=resolver, description=description, extensions=[Guard(permission)], **options)


def mutation(resolver: Callable[..., Any], permission: Permission, description: str, **options: Any) -> Any:
    """A mutation field: one input, one payload, one transaction."""
    field = strawberry.mutation(resolver=resolver, description=description, extensions=[Guard(permission)], **options)
    for argument in field.arguments:
        argument.description = argument.description or "What is wanted."
    return field


by_id = attrgetter("id")


def loaded(
    kind: Any,
    loader: Callable[[Loaders], DataLoader[Any, Any]],
    key: Callable[[Any], Hashable],
    description: str,
    read: Callable[[Any, Any], Any] = lambda found, _row: found,
) -> Any:
    """A field kept in another table: `loader` finds it by `key(row)`, nothing by None; the value is `read(found, row)`."""

    async def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        wanted = key(root)
        return read(None if wanted is None else await loader(info.context.loaders).load(wanted), root)

    reading = Loaded(lambda context: loader(context.loaders), key, read)
    return strawberry.field(resolver=resolve, graphql_type=kind, description=description, metadata={READING: reading})


def computed(kind: Any, read: Callable[[Any, Context], Any], description: str) -> Any:
    """A field worked out from the row and the request."""

    def resolve(root: strawberry.Parent[Any], info: Info) -> Any:
        return read(root, info.context)

    return strawberry.field(resolver=resolve, graphql_type=kind, description=description, metadata={READING: Contextual(read)})


def subscription(resolver: Callable[..., Any], permission: Permission, description: str, **options: Any) -> Any:
    return strawberry.subscription(resolver=resolver, description=description, extensions=[Guard(permission)], **options)
