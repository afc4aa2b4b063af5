"""Lists, one way: keyset in both directions or offset, search, sort, filters, count on demand.

A service describes its list once, as a `Listing`; what the contract shows of it (arguments, enumerations, inputs, descriptions)
is made of that, so no list can forget any of it. REST pages map onto `first` + `offset`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Dialect

from coreplex.errors.tree import Invalid, Message
from coreplex.platform.anybody import ids_of, is_bound
from coreplex.platform.cursor import Cursors, position
from coreplex.platform.filtering import Asked, pattern, read
from coreplex.platform.page import Page, Slice, SortDirection
from coreplex.platform.page_query import Listed, PageQuery, PageShape, Position
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import Prepared
from coreplex.platform.reader import Reader

EVERYTHING = Asked(None, {})


class Listing(Listed):
    """A list as a service describes it."""

    def asked(self, grant: Grant, wanted: BaseModel | None = None) -> "View":
        """The list as the caller sees it, under a filter of its `filters`. Raises Invalid and NotFound for a wrong one."""
        if wanted is None:
            return View(self, grant)
        return View(self, grant, read(self.filters, wanted))


@dataclass(frozen=True, slots=True)
class View:
    """A list as one caller sees it."""

    listing: Listing
    grant: Grant | None = None
    filter: Asked = EVERYTHING

    async def slice(self, reader: Reader, page: Page, count: Callable[[], Awaitable[int]]) -> Slice[Any]:
        """Rows of the page. `count` finds out later how many there are in all, if somebody asks."""
        return await self._alone(reader, page, None, count)

    async def count(self, reader: Reader, page: Page) -> int:
        """How long the list is under the page's search."""
        return await self._counted(reader, page, None)

    async def slices(
        self, reader: Reader, parents: Sequence[Any], page: Page, count: Callable[[Any], Awaitable[int]]
    ) -> list[Slice[Any]]:
        """The same page of each parent's list, in the order of `parents`. `count(parent)` runs later, if somebody asks."""
        if len(parents) == 1:
            return [await self._alone(reader, page, parents[0], partial(count, parents[0]))]
        if page.counted_only:
            totals = zip(parents, await self.counts(reader, parents, page), strict=True)
            return [self._slice((), page, partial(count, key), total) for key, total in totals]
        found: list[list[Any]] = [[] for _ in parents]
        shape, values = self._asked(page, within=True)
        for *row, place in await self._rows(reader, "pages", shape, values | {"parents": list(parents)}):
            found[place - 1].append(row)
        return [self._slice(rows, page, partial(count, key)) for key, rows in zip(parents, found, strict=True)]

    async def counts(self, reader: Reader, parents: Sequence[Any], page: Page) -> list[int]:
        """How long each parent's list is under the page's search."""
        shape, values = self._asked(page, within=True)
        if PageQuery(self.listing, shape, None).looks_back:
            return [await self._counted(reader, page, key) for key in parents]
        found = dict(await self._numbers(reader, "counts", shape, values | {"parents": list(parents)}))
        return [found.get(key, 0) for key in parents]

    async def _alone(self, reader: Reader, page: Page, parent: Any, count: Callable[[], Awaitable[int]]) -> Slice[Any]:
        if page.counted_only:
            return self._slice((), page, count, await self._counted(reader, page, parent))
        shape, values = self._asked(page, within=parent is not None)
        rows = await self._rows(reader, "counted_page" if page.counted else "page", shape, values | {"parent": parent})
        total = rows[-1][2] if page.counted and rows else None
        found = self._slice(rows, page, count, total)
        if page.counted and found.total is None:
            found.total = await self._counted(reader, page, parent)
        return found

    async def _counted(self, reader: Reader, page: Page, parent: Any) -> int:
        shape, values = self._asked(page, within=parent is not None)
        ((total,),) = await self._numbers(reader, "count", shape, values | {"parent": parent})
        return int(total)

    async def _rows(self, reader: Reader, which: str, shape: PageShape, values: dict[str, Any]) -> list[Any]:
        def make(dialect: Dialect) -> Prepared:
            query = getattr(PageQuery(self.listing, shape, self.grant), which)()
            return Prepared(query, self.listing.table, self.listing.names, dialect)

        return await reader.rows((self.listing, which, shape), make, values)

    async def _numbers(self, reader: Reader, which: str, shape: PageShape, values: dict[str, Any]) -> list[Any]:
        def make(dialect: Dialect) -> Prepared:
            return Prepared(getattr(PageQuery(self.listing, shape, self.grant), which)(), None, (), dialect)

        return await reader.rows((self.listing, which, shape), make, values)

    def _asked(self, page: Page, *, within: bool) -> tuple[PageShape, dict[str, Any]]:
        """The shape of the page, and the values in it. Raises Invalid for an order that is none, or a cursor of another list."""
        values: dict[str, Any] = {**self.filter.values, "size": page.size + 1, "offset": page.offset}
        if self.grant is not None:
            values |= ids_of(self.grant)
        if page.search:
            values["search"] = pattern(page.search)
        order = self.listing.order
        shape = PageShape(
            self.filter.shape,
            None if self.grant is None else is_bound(self.grant),
            self._sort(page),
            (page.sort_direction or order.direction) is SortDirection.desc,
            page.backwards,
            bool(page.search),
            self._positions(page, values),
            page.offset > 0,
            within,
        )
        return shape, values

    def _positions(self, page: Page, values: dict[str, Any]) -> tuple[Position, ...]:
        found = []
        for argument, cursor in (("after", page.after), ("before", page.before)):
            if cursor is not None:
                column = self.listing.order.columns[self._sort(page)]
                value, key = position(cursor, argument, column, self.listing.identity)
                values |= {f"{argument}_value": value, f"{argument}_key": key}
                found.append(Position(argument, type(value)))
        return tuple(found)

    def _sort(self, page: Page) -> str:
        name, columns = page.sort_field or self.listing.order.field, self.listing.order.columns
        if name not in columns:
            raise Invalid.field(
                Message("cannot_sort_by", "cannot sort by '{name}'; choose one of {choices}", name=name, choices=sorted(columns)),
                "sort_field",
            )
        return name

    def _slice(
        self, found: Sequence[Any], page: Page, count: Callable[[], Awaitable[int]], total: int | None = None
    ) -> Slice[Any]:
        rows, more = found[: page.size], len(found) > page.size
        if total is None and not (page.cut or more):
            total = len(rows)
        if page.backwards:
            rows = rows[::-1]
        nodes = [row[0] for row in rows]
        return Slice(
            nodes=nodes,
            cursors=Cursors([row[1] for row in rows], nodes, self.listing.identity.key),
            has_next=page.before is not None or (more and not page.backwards),
            has_previous=bool(page.after or page.offset) or (more and page.backwards),
            counting=count,
            total=total,
        )
