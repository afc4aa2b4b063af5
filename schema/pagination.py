"""Connections: the one shape of every list, and the one place that spells its arguments."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import strawberry
from strawberry.types.arguments import StrawberryArgument

from coreplex.platform.paging import DEFAULT_PAGE, MAX_PAGE, Listing, Order, Page, Slice, SortDirection
from coreplex.platform.permissions import READ, Permission
from resolvers.context import Info
from resolvers.filtered_list import filtered_list
from resolvers.loading import Pages
from schema.common import named_enum
from schema.compiler.reading import Loaded
from schema.cost import BATCHED, PRICE
from schema.enums import enum, plural_of
from schema.field import Declared, argument, by_id, guarded
from schema.field_sources import READING, Nested
from schema.selection import selected

Node = TypeVar("Node")

enum(
    SortDirection, "Ascending or descending.", {"asc": "The smallest or earliest first.", "desc": "The largest or latest first."}
)


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more follows.")
    has_previous_page: bool = strawberry.field(description="Whether something came before.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item of the page.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item: give it as `after` for the next page.")


@strawberry.type(description="An item of a list with its cursor.")
class Edge(Generic[Node]):
    cursor: str = strawberry.field(description="Give it as `after` to go on behind this item.")
    node: Node = strawberry.field(description="The item.")


def _edges(root: Slice[Any]) -> list[Any]:
    return [Edge(cursor=cursor, node=node) for cursor, node in zip(root.cursors, root.nodes, strict=True)]


def _page_info(root: Slice[Any]) -> PageInfo:
    ends = (root.cursors[0], root.cursors[-1]) if root.cursors else (None, None)
    return PageInfo(has_next_page=root.has_next, has_previous_page=root.has_previous, start_cursor=ends[0], end_cursor=ends[1])


async def _total_count(root: strawberry.Parent[Slice[Any]]) -> int:
    return await root.count()


class _Counts:
    """Counts many lists at once: those that go on beyond their page, by what each brings to be counted together with others."""

    async def load_many(self, slices: Iterable[Slice[Any]]) -> list[Any]:
        slices = list(slices)
        unknown = [one for one in slices if one.total is None]
        counted = dict(zip(unknown, await asyncio.gather(*(one.count() for one in unknown)), strict=True))
        return [counted.get(one, one.total) for one in slices]


COUNTS = Loaded(lambda _context: _Counts(), lambda one: one, lambda found, _slice: found)


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    nodes: list[Node] = strawberry.field(description="The items of the page.")
    edges: list[Edge[Node]] = strawberry.field(resolver=_edges, description="The items with their cursors.")
    page_info: PageInfo = strawberry.field(resolver=_page_info, description="Where the page stands in the list.")
    total_count: int = strawberry.field(
        resolver=_total_count,
        metadata={READING: COUNTS},
        description="Items in the whole list under the same filter; in GraphQL counted only when selected.",
    )


def sort_input(noun: str, order: Order) -> Any:
    """The `sort` argument of the lists of one thing: an enum of what they can be sorted by, and a direction."""
    plural = plural_of(noun)
    plain = named_enum(f"{noun}SortField", order.columns)
    field = enum(plain, f"What lists of {plural} can be sorted by.", {name: f"By {_measure(name)}." for name in order.columns})

    class Sort:
        field: Any
        direction: SortDirection = strawberry.field(default=SortDirection.desc, description="Which way.")

    Sort.__annotations__["field"] = field
    Sort.field = strawberry.field(default=plain[order.field], description="What to sort by.")
    Sort.__name__ = Sort.__qualname__ = f"{noun}Sort"
    return strawberry.input(Sort, name=f"{noun}Sort", description=f"Order of a list of {plural}.")


SPOKEN = {
    "best": "the metric each experiment ranks by, the best first",
    "expires_at": "the time it ends",
    "rank": "place on the leaderboard",
}


def _measure(column: str) -> str:
    """What a list is sorted by, in words."""
    if column in SPOKEN:
        return SPOKEN[column]
    if column.endswith("_at"):
        return f"the time it was {column.removesuffix('_at').replace('_', ' ')}"
    if column.endswith("_count"):
        return f"its number of {column.removesuffix('_count')}s"
    return column.replace("_", " ")


def page_of(first: int, after: str | None, offset: int, search: str | None, sort: Any) -> Page:
    """The domain's page from the arguments of a connection."""
    if sort is None:
        return Page(first, after, offset, search)
    return Page(first, after, offset, search, sort.field.value, sort.direction)


def connection(
    lists: Callable[..., Listing],
    description: str,
    *,
    permission: Permission = READ,
    sort: Any = None,
    filter: Any = None,
    extra: Sequence[StrawberryArgument] = (),
) -> Any:
    """A list of everything the caller sees: `lists(grant[, filter][, **extra])`. A project or an experiment that the filter, or a
    further argument, names must be one the caller sees."""

    async def resolver(info: Info, page: Page, *wanted: Any, **more: Any) -> Slice[Any]:
        named = {**more, **vars(wanted[0])} if wanted and wanted[0] else more
        return await filtered_list(info, lists(info.grant, *wanted, **more), page, named)

    return resolved_connection(resolver, description, permission=permission, sort=sort, filter=filter, extra=extra)


def resolved_connection(
    resolver: Callable[..., Awaitable[Slice[Any]]],
    description: str,
    *,
    permission: Permission = READ,
    sort: Any = None,
    filter: Any = None,
    extra: Sequence[StrawberryArgument] = (),
) -> Any:
    """A list with a resolver of its own, `(info, page[, filter][, **extra])`."""
    names = [one.python_name for one in extra]

    async def listed(info: Info, **given: Any) -> Slice[Any]:
        return await resolver(info, *_asked(info, given, filter), **{name: given[name] for name in names})

    return guarded(Declared(listed, [*_arguments(sort, filter), *extra]), permission, description)


def nested(
    lists: Listing | Callable[..., Listing],
    description: str,
    *,
    permission: Permission = READ,
    sort: Any = None,
    filter: Any = None,
) -> Any:
    """A list within each of many things, which have their pages from one statement: all such lists together, or what gives them,
    `lists(grant[, filter])`."""

    def begin(info: Info, **given: Any) -> Pages:
        def pages() -> tuple[Listing, Page]:
            page, *wanted = _asked(info, given, filter)
            return lists if isinstance(lists, Listing) else lists(info.grant, *wanted), page

        # A selection on an interface is one of several types, whose lists are different ones.
        place = (info._raw_info.parent_type.name, *map(id, info._raw_info.field_nodes))
        return info.context.loaders.pages(place, pages)

    async def listed(root: strawberry.Parent[Any], info: Info, **given: Any) -> Slice[Any]:
        return await begin(info, **given).load(by_id(root))

    metadata = {READING: Nested(begin, by_id), PRICE: BATCHED}
    return guarded(Declared(listed, _arguments(sort, filter)), permission, description, metadata=metadata)


def _arguments(sort: Any, filter: Any) -> list[StrawberryArgument]:
    """Those a list has, so that the SDL shows none that does nothing."""
    arguments = [
        argument("first", int, f"Items wanted, 1 to {MAX_PAGE}.", DEFAULT_PAGE),
        argument("after", str | None, "Cursor of the item before the page.", None),
        argument("offset", int, "Items to skip; not together with `after`.", 0),
        argument("search", str | None, "Case-insensitive text to find.", None),
    ]
    if sort is not None:
        arguments.append(argument("sort", sort | None, "Order of the list.", None))
    if filter is not None:
        arguments.append(argument("filter", filter | None, "Which items are wanted.", None))
    return arguments


def _asked(info: Info, given: Mapping[str, Any], filter: Any) -> tuple[Any, ...]:
    """The page, and the filter where the list has one, of a field's arguments."""
    first, after, offset = given.get("first", DEFAULT_PAGE), given.get("after"), given.get("offset", 0)
    page = page_of(first, after, offset, given.get("search"), given.get("sort"))
    if selected(info._raw_info) <= {"totalCount", "__typename"}:
        page = replace(page, counted_only=True)
    return (page,) if filter is None else (page, given.get("filter"))
