"""Connections: the one shape of every list, and the one place that spells its arguments."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import Any, Generic, TypeVar

import strawberry
from strawberry.types.arguments import StrawberryArgument

from coreplex.platform.filtering import COMBINED, SHARED, filter_model
from coreplex.platform.page import DEFAULT_PAGE, MAX_PAGE, Page, Slice, SortDirection
from coreplex.platform.paging import Listing, View
from coreplex.platform.permissions import READ, Permission
from resolvers.context import Info
from resolvers.filtered_list import filtered_list
from resolvers.loading import Pages
from schema.common import named_enum, published
from schema.compiler.reading import Loaded
from schema.cost import BATCHED, PRICE
from schema.enums import enum, plural_of
from schema.field import Declared, argument, by_id, guarded
from schema.field_sources import READING, Nested
from schema.metric import MetricName
from schema.selection import selected

Node = TypeVar("Node")

enum(
    SortDirection, "Ascending or descending.", {"asc": "The smallest or earliest first.", "desc": "The largest or latest first."}
)


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether more stands behind.")
    has_previous_page: bool = strawberry.field(description="Whether something stands in front.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first item: as `before` it gives the page in front.")
    end_cursor: str | None = strawberry.field(description="Cursor of the last item: as `after` it gives the next page.")


@strawberry.type(description="An item of a list with its cursor.")
class Edge(Generic[Node]):
    cursor: str = strawberry.field(description="As `after` it gives what stands behind this item, as `before` what is in front.")
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


LENGTH = {"totalCount", "__typename"}
COUNTS = Loaded(lambda _context: _Counts(), lambda one: one, lambda found, _slice: found, attrgetter("total"))


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    nodes: list[Node] = strawberry.field(description="The items of the page.")
    edges: list[Edge[Node]] = strawberry.field(resolver=_edges, description="The items with their cursors.")
    page_info: PageInfo = strawberry.field(resolver=_page_info, description="Where the page stands in the list.")
    total_count: int = strawberry.field(
        resolver=_total_count,
        metadata={READING: COUNTS},
        description="Items in the whole list under the same filter.",
    )


@cache
def _sort_of(noun: str, names: tuple[str, ...]) -> Any:
    """The `sort` argument of the lists of one thing: an enum of what they can be sorted by, and a direction."""
    plural = plural_of(noun)
    plain = named_enum(f"{noun}SortField", names)
    published = enum(plain, f"What lists of {plural} can be sorted by.", {name: f"By {_measure(name)}." for name in names})

    class Sort:
        field: Any = strawberry.field(default=None, description="What to sort by; left out, what the list is sorted by anyhow.")
        direction: SortDirection = strawberry.field(default=SortDirection.desc, description="Which way.")

    Sort.__annotations__["field"] = published | None
    Sort.__name__ = Sort.__qualname__ = f"{noun}Sort"
    return strawberry.input(Sort, name=f"{noun}Sort", description=f"Order of a list of {plural}.")


def sort_of(listing: Listing) -> Any:
    return _sort_of(listing.noun, tuple(listing.order.columns))


_filters: dict[str, Any] = {}
for name, (model, description) in SHARED.items():
    published(model, name, description)


def filter_of(listing: Listing, **kinds: Any) -> Any:
    """The `filter` argument of the lists of one thing. `kinds`: enumerations of the contract for some of its conditions, said
    before the first list of it is declared."""
    noun = listing.noun
    if noun not in _filters:
        model = filter_model(f"{noun}Filter", listing.filters, kinds)
        about = f"Which {plural_of(noun)} are wanted: conditions beside each other must all hold."
        published(model, f"{noun}Filter", about)
        _filters[noun] = model
    if {*listing.filters, *COMBINED} != _filters[noun].model_fields.keys():
        raise TypeError(f"two lists of {noun} are filtered by different conditions")
    return _filters[noun]


SPOKEN = {
    "best": "the metric each experiment ranks by, the best first",
    "email": "e-mail",
    "expires_at": "the time it ends",
    "filename": "the name of the file",
    "last_seen_at": "the time it was last used",
    "number": "number within the dataset",
    "quality_score": "quality, 0 to 100",
    "rank": "place on the leaderboard",
    "seq": "place in the log",
    "size_bytes": "size in bytes",
}


def _measure(column: str) -> str:
    """What a list is sorted by, in words."""
    if column in SPOKEN:
        return SPOKEN[column]
    if column in MetricName.__members__:
        return f"the metric {column.upper()}"
    if column.endswith("_at"):
        return f"the time it was {column.removesuffix('_at').replace('_', ' ')}"
    if column.endswith("_count"):
        return f"its number of {column.removesuffix('_count')}s"
    return column.replace("_", " ")


def connection(
    listing: Listing, description: str, *, permission: Permission = READ, extra: Sequence[StrawberryArgument] = ()
) -> Any:
    """A list of everything the caller sees. A project or an experiment that the filter names must be one the caller sees."""

    async def resolver(info: Info, page: Page, wanted: Any) -> Slice[Any]:
        return await filtered_list(info, listing.asked(info.grant, wanted), page, wanted)

    return resolved_connection(resolver, listing, description, permission=permission, extra=extra)


def resolved_connection(
    resolver: Callable[..., Awaitable[Slice[Any]]],
    listing: Listing,
    description: str,
    *,
    permission: Permission = READ,
    extra: Sequence[StrawberryArgument] = (),
) -> Any:
    """A list with a resolver of its own, `(info, page, filter[, **extra])`."""
    names = [one.python_name for one in extra]

    async def listed(info: Info, **given: Any) -> Slice[Any]:
        return await resolver(info, *_asked(info, given), **{name: given[name] for name in names})

    return guarded(Declared(listed, [*_arguments(listing), *extra]), permission, description)


def nested(listing: Listing, description: str, *, permission: Permission = READ) -> Any:
    """A list within each of many things, which have their pages from one statement."""

    def begin(info: Info, **given: Any) -> Pages:
        def pages() -> tuple[View, Page]:
            page, wanted = _asked(info, given)
            return listing.asked(info.grant, wanted), page

        raw = info._raw_info  # what types share through an interface has the same nodes for each of them
        return info.context.loaders.pages((raw.parent_type.name, *map(id, raw.field_nodes)), pages)

    async def listed(root: strawberry.Parent[Any], info: Info, **given: Any) -> Slice[Any]:
        return await begin(info, **given).load(by_id(root))

    metadata = {READING: Nested(begin, by_id), PRICE: BATCHED}
    return guarded(Declared(listed, _arguments(listing)), permission, description, metadata=metadata)


def _arguments(listing: Listing) -> list[StrawberryArgument]:
    """Those every list has."""
    return [
        argument("first", int | None, f"Items wanted from the beginning, 0 to {MAX_PAGE}; {DEFAULT_PAGE} unless said.", None),
        argument("after", str | None, "Only items behind this cursor.", None),
        argument("last", int | None, f"Items wanted from the end, 0 to {MAX_PAGE}, in place of `first`.", None),
        argument("before", str | None, "Only items in front of this cursor.", None),
        argument("offset", int, "Items to skip; not together with a cursor or `last`.", 0),
        argument("search", str | None, f"Case-insensitive text to find in {listing.search.words}.", None),
        argument("sort", sort_of(listing) | None, "Order of the list.", None),
        argument("filter", filter_of(listing) | None, "Which items are wanted.", None),
    ]


def _asked(info: Info, given: Mapping[str, Any]) -> tuple[Page, Any]:
    """The page and the filter of a field's arguments."""
    forwards, backwards = (given.get("first"), given.get("after")), (given.get("last"), given.get("before"))
    sort, names = given.get("sort"), selected(info._raw_info)
    page = Page(
        *forwards,
        given.get("offset") or 0,
        given.get("search"),
        sort and sort.field and sort.field.value,
        sort and sort.direction,
        *backwards,
        counted="totalCount" in names,
        counted_only=names <= LENGTH,
    )
    return page, given.get("filter")


def counted_only(info: Info) -> bool:
    """Whether of a list nothing but its length is selected."""
    return selected(info._raw_info) <= LENGTH
