"""Which rows a type of the contract shows, so that graphql-core and the compiler tell the type of a row in the same way.

    @shows(Row)                         rows of a class
    @shows(Row, "kind", "log", "note")  those of them whose `kind` is one of these words
    @shows(dict, "kind", "log")         the same of dictionaries
    @shows()                            nothing but instances of the type's own class

Rows are no instances of the contract's classes. A field that returns an object type says what its rows are; where one returns an
interface or a union, the row itself has to say it, and it does so by its class. Of the types that can stand in one place no two
show the same rows.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, GraphQLUnionType

from schema.compiler.plan import Told

Kind = TypeVar("Kind", bound=type)
SHOWS = "__shows__"


@dataclass(frozen=True)
class Shown:
    """Rows of a class; with `by`, those whose attribute or item of that name is one of `values`."""

    row: type | None
    by: str | None = None
    values: tuple[Hashable, ...] = ()


@dataclass
class _Class:
    """The types that show rows of one class: one of them all others do not show, the others told apart by what they hold."""

    plain: str | None = None
    by: str | None = None
    names: dict[Hashable, str] = field(default_factory=dict)

    def add(self, name: str, shown: Shown) -> None:
        clash = self.plain if shown.by is None else next((self.names[one] for one in shown.values if one in self.names), None)
        if clash is not None or (shown.by and self.by and shown.by != self.by):
            raise TypeError(f"{name} shows rows of {shown.row}, which {clash or 'others tell apart by ' + str(self.by)}")
        if shown.by is None:
            self.plain = name
        else:
            self.by = shown.by
            self.names.update(dict.fromkeys(shown.values, name))

    def told(self, row: Any) -> str | None:
        value = row.get(self.by) if isinstance(row, dict) else getattr(row, self.by or "", None)
        return self.names.get(value, self.plain)


def shows(row: type | None = None, by: str | None = None, *values: Hashable) -> Callable[[Kind], Kind]:
    """Which rows a type shows."""

    def declare(kind: Kind) -> Kind:
        setattr(kind, SHOWS, Shown(row, by, values))
        return kind

    return declare


def shown_by(kind: GraphQLObjectType) -> Shown | None:
    """What the type says it shows."""
    origin = _origin(kind)
    shown: Shown | None = vars(origin).get(SHOWS) if origin else None  # not what a base says
    return shown


def tell_types(schema: GraphQLSchema) -> dict[str, Told]:
    """Make graphql-core tell the types of rows as said above. Returns, by interface and union, what tells them.

    Raises TypeError where two types that may stand in one place show the same rows.
    """
    found: dict[str, Told] = {}
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
            found[name] = told = _told(schema.get_possible_types(kind))
            kind.resolve_type = _resolver(told)
        elif isinstance(kind, GraphQLObjectType) and kind is not schema.subscription_type:
            kind.is_type_of = None
    return found


def _resolver(told: Told) -> Any:
    return lambda row, _info, _kind: told(row)


def _told(kinds: Iterable[GraphQLObjectType]) -> Told:
    classes: dict[type, _Class] = {}
    for kind in kinds:
        shown = shown_by(kind)
        if shown is not None and shown.row is not None:
            classes.setdefault(shown.row, _Class()).add(kind.name, shown)
        if (origin := _origin(kind)) is not None:
            classes.setdefault(origin, _Class()).add(kind.name, Shown(origin))
    known = {row: one.told if one.by else one.plain for row, one in classes.items()}

    def told(row: Any) -> str | None:
        for kind in row.__class__.__mro__:
            if kind in known:
                name = known[kind]
                return name(row) if callable(name) else name
        return None

    return told


def _origin(kind: GraphQLObjectType) -> type | None:
    origin: type | None = getattr(kind.extensions.get("strawberry-definition"), "origin", None)
    return origin
