"""Connections: the one shape of every list, and the one place that spells its arguments."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

import strawberry
from graphql import FieldNode, FragmentSpreadNode, InlineFragmentNode

from coreplex.platform.paging import DEFAULT_PAGE, MAX_PAGE, Listing, Page, Slice, SortDirection
from coreplex.platform.permissions import Permission
from resolvers.guard import Guard, Info
from resolvers.loaders import Pages
from schema.compiler.reading import Loaded
from schema.cost import BATCHED, PRICE
from schema.field import by_id
from schema.field_sources import READING, Nested

Node = TypeVar("Node")

strawberry.enum(SortDirection, description="Ascending or descending.")


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


def sort_input(noun: str, names: Sequence[str], default: str = "created_at") -> Any:
    """The `sort` argument of one list: an enum of its sortable columns and a direction."""
    plain: Any = Enum(f"{noun}SortField", {name: name for name in names})  # type: ignore[misc]
    field = strawberry.enum(plain, description=f"What {noun} lists can be sorted by.")

    class Sort:
        field: Any
        direction: SortDirection = strawberry.field(default=SortDirection.desc, description="Which way.")

    Sort.__annotations__["field"] = field
    Sort.field = strawberry.field(default=plain[default], description="What to sort by.")
    Sort.__name__ = Sort.__qualname__ = f"{noun}Sort"
    return strawberry.input(Sort, name=f"{noun}Sort", description=f"Order of a {noun} list.")


def page_of(first: int, after: str | None, offset: int, search: str | None, sort: Any) -> Page:
    """The domain's page from the arguments of a connection."""
    if sort is None:
        return Page(first, after, offset, search)
    return Page(first, after, offset, search, sort.field.value, sort.direction)


def connection(
    resolver: Callable[..., Awaitable[Slice[Any]]],
    *,
    node: Any,
    permission: Permission,
    description: str,
    sort: Any = None,
    filter: Any = None,
    extra: Mapping[str, tuple[Any, Any, str]] | None = None,
) -> Any:
    """A list field. `resolver(info, page[, filter][, **extra])`.

    `extra` are further arguments: name → (type, default or `...` when it must be given, description).
    """

    async def listed(root: Any, info: Info, **given: Any) -> Any:
        return await resolver(info, *_asked(info, given, filter), **{name: given[name] for name in extra or {}})

    return _field_with_arguments(listed, node, permission, description, sort, filter, extra or {})


def nested(
    resolver: Callable[..., tuple[Listing, Page]],
    *,
    node: Any,
    permission: Permission,
    description: str,
    sort: Any = None,
    filter: Any = None,
) -> Any:
    """A list within each of many things, which have their pages from one statement: `resolver(info, page[, filter])` gives the
    listing of all such lists, and the page of it that each thing shows."""

    def begin(info: Info, **given: Any) -> Pages:
        place = tuple(map(id, info._raw_info.field_nodes))
        return info.context.loaders.pages(place, lambda: resolver(info, *_asked(info, given, filter)))

    async def listed(root: Any, info: Info, **given: Any) -> Any:
        return await begin(info, **given).load(by_id(root))

    metadata = {READING: Nested(begin, by_id), PRICE: BATCHED}
    return _field_with_arguments(listed, node, permission, description, sort, filter, {}, metadata)


def _asked(info: Info, given: Mapping[str, Any], filter: Any) -> tuple[Any, ...]:
    """The page, and the filter where the list has one, of a field's arguments."""
    first, after, offset = given.get("first", DEFAULT_PAGE), given.get("after"), given.get("offset", 0)
    page = page_of(first, after, offset, given.get("search"), given.get("sort"))
    if _counted_only(info):
        page = replace(page, counted_only=True)
    return (page,) if filter is None else (page, given.get("filter"))


def _counted_only(info: Info) -> bool:
    """Whether nothing but `totalCount` is selected."""
    raw = info._raw_info
    selections, names = [node.selection_set for node in raw.field_nodes], set()
    while selections:
        chosen = selections.pop()
        for node in chosen.selections if chosen else ():
            if isinstance(node, FieldNode):
                names.add(node.name.value)
            elif isinstance(node, FragmentSpreadNode):
                selections.append(raw.fragments[node.name.value].selection_set)
            elif isinstance(node, InlineFragmentNode):
                selections.append(node.selection_set)
    return names <= {"totalCount", "__typename"}


def _field_with_arguments(
    listed: Callable[..., Any],
    node: Any,
    permission: Permission,
    description: str,
    sort: Any,
    filter: Any,
    extra: Mapping[str, tuple[Any, Any, str]],
    metadata: Mapping[Any, Any] | None = None,
) -> Any:
    """Give the resolver the exact signature its list has, so that the SDL shows no argument that does nothing."""
    kind = inspect.Parameter.KEYWORD_ONLY
    arguments: list[tuple[str, Any, Any, str]] = [
        ("first", int, DEFAULT_PAGE, f"Items wanted, 1 to {MAX_PAGE}."),
        ("after", str | None, None, "Cursor of the item before the page."),
        ("offset", int, 0, "Items to skip; not together with `after`."),
        ("search", str | None, None, "Case-insensitive text to find."),
    ]
    if sort is not None:
        arguments.append(("sort", sort | None, None, "Order of the list."))
    if filter is not None:
        arguments.append(("filter", filter | None, None, "Which items are wanted."))
    arguments += [(name, hint, default, text) for name, (hint, default, text) in extra.items()]
    parameters = [
        inspect.Parameter("root", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=strawberry.Parent[Any]),  # type: ignore[misc]
        inspect.Parameter("info", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Info),
        *(
            inspect.Parameter(
                name,
                kind,
                default=inspect.Parameter.empty if default is ... else default,
                annotation=Annotated[hint, strawberry.argument(description=text)],
            )
            for name, hint, default, text in arguments
        ),
    ]
    listed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    listed.__annotations__ = {p.name: p.annotation for p in parameters}
    return strawberry.field(
        resolver=listed,
        graphql_type=Connection[node],
        description=description,
        extensions=[Guard(permission)],
        metadata=metadata,
    )
