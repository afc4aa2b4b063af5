"""Fields that declare who may use them. Every root field is made by one of these."""

from collections.abc import Callable
from typing import Any

import strawberry

from coreplex.permissions import Permission
from resolvers.guard import Guard


def guarded(resolver: Callable[..., Any], permission: Permission, description: str, **options: Any) -> Any:
    """A query field, or a field of a type that needs a permission of its own."""
    return strawberry.field(resolver=resolver, description=description, extensions=[Guard(permission)], **options)


def mutation(resolver: Callable[..., Any], permission: Permission, description: str, **options: Any) -> Any:
    """A mutation field: one input, one payload, one transaction."""
    field = strawberry.mutation(resolver=resolver, description=description, extensions=[Guard(permission)], **options)
    for argument in field.arguments:
        argument.description = argument.description or "What is wanted."
    return field


def subscription(resolver: Callable[..., Any], permission: Permission, description: str, **options: Any) -> Any:
    return strawberry.subscription(resolver=resolver, description=description, extensions=[Guard(permission)], **options)
