"""Connections: the one shape of every list, and the one place that spells its arguments."""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from coreplex.paging import DEFAULT_PAGE, MAX_PAGE, Page, Slice, SortDirection
from coreplex.permissions import Permission
from resolvers.guard import Guard, Info
from schema.cost import BATCHED, PRICE

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


async def _total_count(root: Slice[Any]) -> int:
    return await root.count()


@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    nodes: list[Node] = strawberry.field(description="The items of the page.")
    edges: list[Edge[Node]] = strawberry.field(resolver=_edges, description="The items with their cursors.")
    page_info: PageInfo = strawberry.field(resolver=_page_info, description="Where the page stands in the list.")
    total_count: int = strawberry.field(
        resolver=_total_count,
        metadata={PRICE: BATCHED},
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
    nested: bool = False,
    extra: Mapping[str, tuple[Any, Any, str]] | None = None,
) -> Any:
    """A list field. `resolver(info[, parent], page[, filter][, **extra])`, with the parent when `nested`.

    `extra` are further arguments: name → (type, default or `...` when it must be given, description).
    """

    async def listed(
        root: Any, info: Info, first: int = DEFAULT_PAGE, after: str | None = None, offset: int = 0, **rest: Any
    ) -> Any:
        page = page_of(first, after, offset, rest.get("search"), rest.get("sort"))
        parents = (root,) if nested else ()
        filters = (rest.get("filter"),) if filter is not None else ()
        return await resolver(info, *parents, page, *filters, **{name: rest[name] for name in extra or {}})

    return _field_with_arguments(listed, node, permission, description, sort, filter, extra or {})


def _field_with_arguments(
    listed: Callable[..., Any],
    node: Any,
    permission: Permission,
    description: str,
    sort: Any,
    filter: Any,
    extra: Mapping[str, tuple[Any, Any, str]],
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
        resolver=listed, graphql_type=Connection[node], description=description, extensions=[Guard(permission)]
    )
