"""`Node`: everything with an identifier of its own, and the fields that find it by that."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry
from sqlalchemy import Select
from sqlmodel import SQLModel

from coreplex.membership.access import visible_rows
from coreplex.platform.permissions import READ, Grant, Permission
from resolvers.context import Info
from resolvers.node import MAX_IDS, Nodes, Opened
from schema.common import Id
from schema.cost import PRICE, STATEMENT, Price
from schema.field import guarded, loaded
from schema.shown import shows

Kind = TypeVar("Kind", bound=type)
ONE = Price(each=2 * STATEMENT)
MANY = Price(each=2 * STATEMENT, row=2)
THINGS = Price(once=4 * STATEMENT)
"""One statement for all, and one for each table they are in."""
NODES = Nodes()


@strawberry.interface(description="Something with an identifier of its own, which can be had again by it.")
class Node:
    id: strawberry.ID = strawberry.field(description="Identifier of this and of nothing else, of whatever type.")


def node(
    row: type[SQLModel], seen: Callable[[Grant], Select[Any]] | None = None, *, by: str = "id", permission: Permission = READ
) -> Callable[[Kind], Kind]:
    """A type that shows rows of a table, by the column its `id` is: those of projects the caller sees, or else `seen(grant)`."""
    NODES.kinds.append(Opened(getattr(row, by), seen or (lambda grant: visible_rows(grant, row)), permission))
    return _implements(row)


def node_elsewhere(row: type, look: Callable[[Info, str], Awaitable[Any]]) -> Callable[[Kind], Kind]:
    """The same of what is in no table: `look(info, id)` raises NotFound."""
    NODES.elsewhere.append(look)
    return _implements(row)


def _implements(row: type) -> Callable[[Kind], Kind]:
    def declare(kind: Kind) -> Kind:
        kind.__strawberry_definition__.interfaces.append(Node.__strawberry_definition__)  # type: ignore[attr-defined]
        return shows(row)(kind)

    return declare


def thing(attribute: str, description: str) -> Any:
    """The thing whose id is the row's `attribute`; null where it is gone, and for a caller who might not ask for it by id."""

    def key(row: Any) -> str | None:
        identity = getattr(row, attribute)
        return None if identity is None else str(identity)

    field = loaded(Node | None, NODES.seen, key, description)
    field.metadata = {**field.metadata, PRICE: THINGS}
    return field


Ids = Annotated[list[strawberry.ID], strawberry.argument(description=f"Their identifiers, at most {MAX_IDS}.")]


async def _node(info: Info, id: Id) -> Node:
    found: Node = await NODES.one(info, id)
    return found


async def _nodes(info: Info, ids: Ids) -> list[Node | None]:
    return await NODES.many(info, ids)


@strawberry.type
class NodeQuery:
    node: Node | None = guarded(_node, READ, "One thing of whatever type, by its identifier.", metadata={PRICE: ONE})
    nodes: list[Node | None] | None = guarded(
        _nodes,
        READ,
        "Things by their identifiers, in that order; null, with an error for its place, for one the caller does not see.",
        metadata={PRICE: MANY},
    )
