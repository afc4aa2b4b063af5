"""How a field is read, as the owner of a schema says it. A field that is not described has a resolver only graphql-core calls."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Loader(Protocol):
    """What fetches many things at once, in the order of their keys (a DataLoader)."""

    def load_many(self, keys: Iterable[Any]) -> Awaitable[list[Any]]: ...


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of the row."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the row: of a dictionary by its name, null when it has none; of a tuple by its place."""

    name: str | int
    as_float: bool = False
    """Whole numbers become floats: a stored document may have either, and no Float may be a whole one beyond 53 bits."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A pure function of the row."""

    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Contextual:
    """A pure function of the row and the request's context."""

    function: Callable[[Any, Any], Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """Something kept elsewhere: `loader(context)` fetches by `key(row)`, nothing by None; `read(found, row)` is the value."""

    loader: Callable[[Any], Loader]
    key: Callable[[Any], Hashable]
    read: Callable[[Any, Any], Any]
    known: Callable[[Any], Any] | None = None
    """The value of a row where that is there already, else None: where it is of all rows, nothing is fetched."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Something kept elsewhere that depends on the field's arguments.

    `loader(info, arguments)`, with what graphql-core gives resolvers, is made once a level and fetches by `key(row)`; it raises
    what a resolver would raise for each row.
    """

    loader: Callable[[Any, Mapping[str, Any]], Loader]
    key: Callable[[Any], Hashable]


Reading = Attribute | Item | Computed | Contextual | Loaded | Asked
Fetched = Loaded | Asked
"""What is fetched for all rows of a level together."""
Readings = Mapping[str, Mapping[str, Reading]]
"""By the names of type and field."""
