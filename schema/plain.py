"""Plain fields without ceremony: an attribute of the row (or a key of a dictionary) that is completed as a scalar or an enum.

They are nine fields in ten of every answer. graphql-core builds a resolve info and walks the type for each; here the value is
read and completed at once. Whatever is not the usual case (an error, a missing value that must be there, something to await)
goes the general way from the beginning, so results, nulls and errors are graphql-core's own. Compiles no operations.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    Executor,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    Visitor,
    get_nullable_type,
    is_leaf_type,
    visit,
)
from strawberry.types.field import StrawberryField

READ = "read"
"""Metadata of a field that is read by a function of the row alone."""
USUAL = frozenset({str, int, float, bool, dict, list})
"""Types whose values are neither errors nor awaitable; others are looked at."""


Kept = dict[tuple[str, int], Any]
"""Collected fields by type and field node, kept as long as the document that owns the nodes."""


class Plain(NamedTuple):
    """How a field is read and completed."""

    read: Callable[[Any], Any]
    complete: Callable[[Any], Any]
    nullable: bool


def plain_fields(schema: GraphQLSchema) -> dict[str, dict[str, Plain]]:
    """The plain fields of every object type, by the names of type and field."""
    found: dict[str, dict[str, Plain]] = {}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLObjectType):
            fields = {field: _plain(definition) for field, definition in kind.fields.items()}
            found[name] = {field: plain for field, plain in fields.items() if plain is not None}
    return found


def _plain(field: GraphQLField) -> Plain | None:
    definition = field.extensions.get("strawberry-definition")
    kind: Any = get_nullable_type(field.type)
    if not isinstance(definition, StrawberryField) or not is_leaf_type(kind) or field.args or definition.extensions:
        return None
    metadata: Mapping[Any, Any] = definition.metadata or {}
    read = metadata.get(READ)
    if read is None:
        if not definition.is_basic_field:
            return None
        read = attrgetter(definition.python_name)
    return Plain(read, kind.coerce_output_value, kind is field.type)


def kept_for(document: DocumentNode) -> Kept | None:
    """A place for a document's collected fields; None where @skip or @include may select others each time."""
    visitor = _Directives()
    visit(document, visitor)
    return None if visitor.found else {}


class _Directives(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.found = False

    def enter_directive(self, *_args: Any) -> None:
        self.found = True


class PlainExecutor(Executor[None]):
    """graphql-core's executor with the short way for plain fields."""

    plain: Mapping[str, Mapping[str, Plain]] = {}

    def __init__(self, *args: Any, kept: "Kept | None" = None, **more: Any) -> None:
        super().__init__(*args, **more)
        self.kept = kept

    def collect_subfields(self, return_type: Any, field_details_list: Any) -> Any:
        """Which fields a selection has: worked out once per operation where no directive can change it."""
        if self.kept is None or len(field_details_list) != 1:
            return super().collect_subfields(return_type, field_details_list)
        key = return_type.name, id(field_details_list[0].node)
        found = self.kept.get(key)
        if found is None:
            found = self.kept[key] = super().collect_subfields(return_type, field_details_list)
        return found

    def execute_field(self, parent_type: Any, source: Any, field_details_list: Any, path: Any, position_context: Any) -> Any:
        plain = self.plain[parent_type.name].get(field_details_list[0].node.name.value)
        if plain is not None:
            try:
                value = plain.read(source)
                if value is None:
                    if plain.nullable:
                        return None
                elif type(value) in USUAL or not (isinstance(value, Exception) or hasattr(value, "__await__")):
                    completed = plain.complete(value)
                    if completed is not None and completed is not Undefined:
                        return completed
            except Exception:  # noqa: S110 the general way meets it again and says what it is
                pass
        return super().execute_field(parent_type, source, field_details_list, path, position_context)
