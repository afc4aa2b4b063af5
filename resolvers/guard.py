"""The guard of a field: its permission, printed in the SDL, checked before the resolver runs.

Every root field is made with a Guard (a contract test lists those without one), so a new field is closed until somebody says
who may use it.
"""

from collections.abc import Callable
from enum import Enum
from functools import cached_property
from typing import Any

import strawberry
from strawberry.extensions.field_extension import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from coreplex.platform.permissions import Category, Grant, Permission, Principal, Role, Scope
from resolvers.context import Context


def _published(kind: type[Enum], description: str, name: str | None = None) -> Any:
    return strawberry.enum(kind, name=name, description=description)


_published(Scope, "What an API key may do: read, write, predict, or administer the server.")
_published(Role, "What a member may do in a project; each role includes the ones before it.", "ProjectRole")
_published(Category, "The rate limit a field is charged to.", "RateLimitCategory")


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="permission",
    description="What a caller needs to use the field. Without `scope` the field is public.",
)
class PermissionDirective:
    scope: Scope | None = strawberry.directive_field(name="scope", default=strawberry.UNSET)
    role: Role | None = strawberry.directive_field(name="role", default=strawberry.UNSET)
    session_only: bool | None = strawberry.directive_field(name="sessionOnly", default=strawberry.UNSET)
    administrator: bool | None = strawberry.directive_field(name="administrator", default=strawberry.UNSET)
    limit: Category | None = strawberry.directive_field(name="limit", default=strawberry.UNSET)
    once: bool | None = strawberry.directive_field(name="once", default=strawberry.UNSET)


class Guard(FieldExtension):
    """Checks the caller against the field's permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    def apply(self, field: StrawberryField) -> None:
        p = self.permission
        said: dict[str, Any] = {
            "scope": p.scope,
            "role": p.role if p.scope is not None and p.role is not Role.viewer else None,
            "session_only": p.session_only,
            "administrator": p.administrator,
            "limit": p.category if p.category is not Category.general else None,
            "once": p.once,
        }
        directive = PermissionDirective(**{name: value for name, value in said.items() if value})
        if not any(isinstance(d, PermissionDirective) for d in field.directives):
            field.directives = [*field.directives, directive]

    def resolve(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        info.context.admit(self.permission)
        return next_(source, info, **kwargs)

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        info.context.admit(self.permission)
        result = next_(source, info, **kwargs)
        return await result if hasattr(result, "__await__") else result


class Info(strawberry.Info[Context, None]):
    """What a resolver knows about its field and its caller."""

    @cached_property
    def grant(self) -> Grant:
        """The caller's grant for this field; whoever calls its resolver has put it here."""
        return self.context.grant(next(one.permission for one in self._field.extensions if isinstance(one, Guard)))

    @property
    def place(self) -> str:
        """Where the field's value stands in the answer."""
        return ".".join(map(str, self.path.as_list()))

    @property
    def principal(self) -> Principal:
        principal = self.context.principal
        assert principal is not None, "only fields that demand a scope may ask for the principal"
        return principal
