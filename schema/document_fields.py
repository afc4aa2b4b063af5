"""Fields of the contract that are read from stored documents: numbers, and lists that a document keeps side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import strawberry

from schema.compiler.reading import Item
from schema.field_sources import READING


def number(value: Any) -> float | None:
    """A number of any size: the database writes 1.7e18 as a whole one, which no Float may be beyond 53 bits."""
    return None if value is None else float(value)


def real(name: str, description: str, kind: Any = float) -> Any:
    """A number of a dictionary; null when it has none and `kind` allows it."""

    def read(root: strawberry.Parent[Any]) -> float | None:
        return number(root.get(name))

    return strawberry.field(resolver=read, graphql_type=kind, description=description, metadata={READING: Item(name, True)})


def at(place: int, description: str, kind: Any = float) -> Any:
    """The value at a place of a row of `beside`."""

    def read(root: strawberry.Parent[Any]) -> Any:
        return root[place]

    def read_number(root: strawberry.Parent[Any]) -> float | None:
        return number(root[place])

    is_float = kind in (float, float | None)
    given = {READING: Item(place, is_float)}
    return strawberry.field(
        resolver=read_number if is_float else read, graphql_type=kind, description=description, metadata=given
    )


def beside(document: Mapping[str, Any], *names: str) -> list[tuple[Any, ...]]:
    """The rows of lists that are kept side by side, one column each."""
    return list(zip(*(document[name] for name in names), strict=True))


def bins(histogram: Mapping[str, Sequence[Any]] | None) -> list[tuple[Any, Any, int]] | None:
    """The bars of a histogram: lower end, upper end, count."""
    if histogram is None:
        return None
    edges = histogram["edges"]
    return list(zip(edges, edges[1:], histogram["counts"], strict=False))


def pairs(document: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The keys of a document with their values."""
    return list(document.items())
