"""The guard of a field: its permission, printed in the SDL, checked before the resolver runs, and the resolver's call.

Every root field is made with a Guard (a contract test lists those without one), so a new field is closed until somebody says
who may use it. Strawberry's wrapper turns arguments into inputs, lets the guard look and calls the function, and works out at
every call how. The same happens here in the same order, worked out once per field; arguments that are not plain values or plain
inputs, and inputs that are refused, go through Strawberry's own conversion.
"""

from collections.abc import Callable, Mapping
from typing import Any

import strawberry
from graphql import GraphQLObjectType
from strawberry.extensions.field_extension import FieldExtension
from strawberry.schema_directive import Location
from strawberry.types.arguments import StrawberryArgument, convert_argument
from strawberry.types.field import StrawberryField

from coreplex.platform.permissions import Category, Permission, Role, Scope
from resolvers.context import Info
from schema.enums import enum
from schema.payload import REFUSED, refusal
from schema.prepared_inputs import Convert, Inputs

enum(
    Scope,
    "What an API key may do: read, write, predict, or administer the server.",
    {
        "read": "See what the account sees.",
        "write": "Change what the account may change.",
        "predict": "Ask models and deployments.",
        "admin": "Administer the server.",
    },
)
enum(
    Role,
    "What a member may do in a project; each role includes the ones before it.",
    {
        "viewer": "May see everything.",
        "editor": "May also upload, train, deploy and delete what is in the project.",
        "admin": "May also change the project and its members.",
        "owner": "May also delete the project; who made it.",
    },
    "ProjectRole",
)
enum(
    Category,
    "The rate limit a field is charged to.",
    {
        "general": "Every request that has no category of its own.",
        "authentication": "Whatever takes or sends credentials.",
        "predictions": "Predictions.",
        "training": "New experiments.",
        "reports": "New reports.",
        "builder": "The dataset builder.",
    },
    "RateLimitCategory",
)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="permission",
    description="What a caller needs to use the field. Without `scope` the field is public. An archived project is read and "
    "asked for predictions; of what changes something only fields with `archived` work there.",
)
class PermissionDirective:
    scope: Scope | None = strawberry.directive_field(name="scope", default=strawberry.UNSET)
    role: Role | None = strawberry.directive_field(name="role", default=strawberry.UNSET)
    session_only: bool | None = strawberry.directive_field(name="sessionOnly", default=strawberry.UNSET)
    administrator: bool | None = strawberry.directive_field(name="administrator", default=strawberry.UNSET)
    limit: Category | None = strawberry.directive_field(name="limit", default=strawberry.UNSET)
    once: bool | None = strawberry.directive_field(name="once", default=strawberry.UNSET)
    archived: bool | None = strawberry.directive_field(name="archived", default=strawberry.UNSET)


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
            "archived": p.archived,
        }
        directive = PermissionDirective(**{name: value for name, value in said.items() if value})
        if not any(isinstance(d, PermissionDirective) for d in field.directives):
            field.directives = [*field.directives, directive]

    def look(self, info: Any) -> None:
        """Give the field's Info the caller's grant. Raises Unauthenticated, Forbidden."""
        if not self.permission.public:
            info.grant = info.context.grant(self.permission)

    def resolve(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        self.look(info)
        return next_(source, info, **kwargs)

    async def resolve_async(self, next_: Callable[..., Any], source: Any, info: strawberry.Info, **kwargs: Any) -> Any:
        self.look(info)
        result = next_(source, info, **kwargs)
        return await result if hasattr(result, "__await__") else result


class ResolverCalls:
    """Makes the resolve functions of one schema."""

    def __init__(self, schema: strawberry.Schema) -> None:
        self.config = schema.config
        self.scalars = schema.schema_converter.scalar_registry
        self.named = schema.config.name_converter
        self.inputs = Inputs(self.scalars, self.named)

    def install(self, kind: GraphQLObjectType) -> None:
        """Replace the wrappers on a type's fields."""
        for field in kind.fields.values():
            definition = field.extensions.get("strawberry-definition")
            if isinstance(definition, StrawberryField) and self._plain(definition):
                field.resolve = self.resolve(definition)

    def _plain(self, field: StrawberryField) -> bool:
        if field.base_resolver is None or field.base_resolver.self_parameter is not None:
            return False
        return all(isinstance(extension, Guard) for extension in field.extensions)

    def resolve(self, field: StrawberryField) -> Callable[..., Any]:
        """What graphql-core calls."""
        resolver: Any = field.base_resolver
        function = resolver.wrapped_func
        parent_name = getattr(resolver.parent_parameter or resolver.root_parameter, "name", None)
        prepared = self._prepared(field, parent_name, getattr(resolver.info_parameter, "name", None))

        async def waiting(source: Any, raw: Any, /, **given: Any) -> Any:
            return await function(**prepared(source, raw, given))

        async def mendable(source: Any, raw: Any, /, **given: Any) -> Any:
            try:
                return await function(**prepared(source, raw, given))
            except Exception as error:
                return refusal(field, raw, error)

        if REFUSED in (field.metadata or {}):
            return mendable

        return waiting if field.is_async else lambda source, raw, /, **given: function(**prepared(source, raw, given))

    def beginning(self, field: StrawberryField, begin: Callable[..., Any]) -> Callable[[Any, Mapping[str, Any]], Any]:
        """`begin(info, **arguments)` for what graphql-core gives; guarded as the field's resolver is."""
        prepared = self._prepared(field, None, "info")
        return lambda raw, given: begin(**prepared(None, raw, given))

    def _prepared(
        self, field: StrawberryField, parent_name: str | None, info_name: str | None
    ) -> Callable[[Any, Any, Mapping[str, Any]], dict[str, Any]]:
        """All that the field's function takes, the object and the field's Info by these names; the guard has looked by then."""
        permissions = [one.permission for one in field.extensions if isinstance(one, Guard) and not one.permission.public]
        known = [(self.named.from_argument(one), one.python_name, self._converter(one)) for one in field.arguments]

        def prepared(source: Any, raw: Any, given: Mapping[str, Any]) -> dict[str, Any]:
            about = Info(_raw_info=raw, _field=field)
            arguments: dict[str, Any] = {} if parent_name is None else {parent_name: source}
            for name, into, convert in known:
                if name in given:
                    arguments[into] = convert(given[name], about)
            for permission in permissions:
                about.grant = raw.context.grant(permission)
            if info_name is not None:
                arguments[info_name] = about
            return arguments

        return prepared

    def _converter(self, argument: StrawberryArgument) -> Convert:
        kind, path = argument.type, (self.named.from_argument(argument),)

        def general(value: Any, info: Info) -> Any:
            return convert_argument(value, kind, self.scalars, self.config, info, path=path)

        return self.inputs.converter(kind, general)
