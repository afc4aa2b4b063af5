"""Lists, one way: keyset in both directions or offset, search, sort, filters, count on demand.

A service describes its list once, as a `Listing`; what the contract shows of it (arguments, enumerations, inputs, descriptions)
is made of that, so no list can forget any of it. REST pages map onto `first` + `offset`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ARRAY, ColumnElement, Select, cast, func, literal, or_, select, true
from sqlalchemy import column as sql_column
from sqlalchemy.orm import aliased
from sqlalchemy.sql.base import ExecutableOption

from coreplex.errors.tree import Invalid, Message
from coreplex.platform.cursor import beyond, encode, may_miss
from coreplex.platform.database import ReadSession
from coreplex.platform.filtering import Filters, containing, only_quick, where
from coreplex.platform.page import Order, Page, Search, Slice, SortDirection
from coreplex.platform.permissions import Grant


@dataclass(frozen=True)
class Listing:
    """A list: its query, what it can be sorted by, what `search` looks into, what it can be filtered by; `id` breaks ties.

    A list within things (the datasets of a project) is the query of all such lists together, and `parent` the column that says
    whose each row is: the pages of many things are one statement.
    """

    noun: str
    """What its items are called in the contract: the `Dataset` of `DatasetSort` and `DatasetFilter`."""
    query: Select[Any]
    identity: Any
    order: Order
    search: Search
    filters: Filters = field(default_factory=dict)
    visible: Callable[[Grant], ColumnElement[bool]] | None = None
    """Which rows a caller may see; None: all, because only who sees the parent gets there."""
    parent: Any = None
    options: Sequence[ExecutableOption] = ()
    """Which columns of the rows stay behind."""
    newest: int | None = None
    """Of each parent's list, sorted by time, so many rows are looked at by search and by conditions no index meets."""
    narrowed: bool = False
    """Whether there are such conditions."""

    def asked(self, grant: Grant, wanted: BaseModel | None = None) -> "Listing":
        """The list as the caller sees it, under a filter of its `filters`. Raises Invalid and NotFound for a wrong one."""
        conditions = [] if self.visible is None else [self.visible(grant)]
        if wanted is not None:
            conditions.append(where(self.filters, wanted))
        narrowed = wanted is not None and not only_quick(self.filters, wanted)
        return replace(self, query=self.query.where(*conditions), narrowed=narrowed)

    async def slice(self, session: ReadSession, page: Page, count: Callable[[Select[Any]], Awaitable[int]]) -> Slice[Any]:
        """Rows of the page. `count` runs the counting query later, only if somebody asks."""
        return await self._alone(session, page, None, count)

    async def _alone(
        self, session: ReadSession, page: Page, parent: Any, count: Callable[[Select[Any]], Awaitable[int]]
    ) -> Slice[Any]:
        counted = partial(self._counted, page, parent)
        column, wanted = self._sort_column(page), self._page(page, parent)
        if page.counted_only:
            return self._slice((), page, lambda: count(counted()), await session.scalar(counted()))
        query = wanted.add_columns(column.label("sort_key")).order_by(*self._order(column, self.identity, page))
        query = query.limit(page.size + 1).offset(page.offset or None).options(*self.options)
        return self._slice((await session.execute(query)).all(), page, lambda: count(counted()))

    def _counted(self, page: Page, parent: Any) -> Select[Any]:
        return select(func.count()).select_from(self._searched(page, parent).order_by(None).subquery())

    async def slices(
        self, session: ReadSession, parents: Sequence[Any], page: Page, count: Callable[[Any], Awaitable[int]]
    ) -> list[Slice[Any]]:
        """The same page of each parent's list, in the order of `parents`. `count(parent)` runs later, if somebody asks."""
        if len(parents) == 1:
            return [await self._alone(session, page, parents[0], lambda _: count(parents[0]))]
        query = self._many(parents, page)
        if page.counted_only:
            totals = zip(parents, await self.counts(session, parents, page), strict=True)
            return [self._slice((), page, partial(count, key), total) for key, total in totals]
        found: list[list[Any]] = [[] for _ in parents]
        for *row, place in await session.execute(query):
            found[place - 1].append(row)
        return [self._slice(rows, page, partial(count, key)) for key, rows in zip(parents, found, strict=True)]

    async def counts(self, session: ReadSession, parents: Sequence[Any], page: Page) -> list[int]:
        """How long each parent's list is under the page's search."""
        if self._looks_back(page):
            return [await session.scalar(self._counted(page, key)) or 0 for key in parents]
        query = self._searched(page).where(self.parent.in_(parents)).order_by(None)
        counted = query.with_only_columns(self.parent, func.count(), maintain_column_froms=True).group_by(self.parent)
        found: dict[Any, int] = dict((await session.execute(counted)).all())
        return [found.get(key, 0) for key in parents]

    def _many(self, parents: Sequence[Any], page: Page) -> Select[Any]:
        """Rows with sort key and the place of their parent: for each parent its own limited subquery, then the rows they name."""
        column, key = self._sort_column(page), self.parent.type
        unnested = func.unnest(cast(list(parents), ARRAY(key)))
        wanted = unnested.table_valued(sql_column("parent", key), with_ordinality="place", name="wanted").render_derived()
        inner = self._page(page, wanted.c.parent, wanted).order_by(*self._order(column, self.identity, page))
        inner = inner.with_only_columns(self.identity.label("identity"), column.label("sort_key"), maintain_column_froms=True)
        rows = inner.limit(page.size + 1).offset(page.offset or None).correlate(wanted).lateral("rows")
        (entity,) = (description["entity"] for description in self.query.column_descriptions)
        return (
            select(entity, rows.c.sort_key, wanted.c.place)
            .select_from(wanted.join(rows, true()).join(entity, self.identity == rows.c.identity))
            .order_by(wanted.c.place, *self._order(rows.c.sort_key, rows.c.identity, page))
            .options(*self.options)
        )

    def _page(self, page: Page, parent: Any, outer: Any = None) -> Select[Any]:
        """The rows that may be on the page: of one parent, or of all."""
        query, column, down = self._searched(page, parent, outer), self._sort_column(page), self._down(page)
        for name, cursor in (("after", page.after), ("before", page.before)):
            if cursor is not None:
                query = query.where(beyond(cursor, name, column, self.identity, down=down))
        return query

    def _order(self, column: Any, identity: Any, page: Page) -> tuple[Any, Any]:
        """The order rows are read in: from the end of the list where the page is its last part."""
        down = self._down(page) is not page.backwards
        key = column.desc() if down else column.asc()
        if not may_miss(column):
            # Said of a column that knows no missing values, their place would keep the database from reading the page off an
            # index: it would sort the whole list.
            return key, identity.desc() if down else identity.asc()
        # Missing values come last both ways, so "best first" never begins with an unknown.
        return key.nulls_first() if page.backwards else key.nulls_last(), identity.desc() if down else identity.asc()

    def _slice(
        self, found: Sequence[Any], page: Page, count: Callable[[], Awaitable[int]], total: int | None = None
    ) -> Slice[Any]:
        rows, more = found[: page.size], len(found) > page.size
        if total is None and not (page.cut or more):
            total = len(rows)
        if page.backwards:
            rows = rows[::-1]
        return Slice(
            nodes=[row[0] for row in rows],
            cursors=[encode(row[1], getattr(row[0], self.identity.key)) for row in rows],
            has_next=page.before is not None or (more and not page.backwards),
            has_previous=bool(page.after or page.offset) or (more and page.backwards),
            counting=count,
            total=total,
        )

    def _searched(self, page: Page, parent: Any = None, outer: Any = None) -> Select[Any]:
        """The rows that are found, of one parent or of all."""
        query = self.query if parent is None else self.query.where(self.parent == parent)
        if page.search:
            query = query.where(or_(*(containing(column, page.search) for column in self.search.columns)))
        return query.where(self._since(parent, outer)) if self._looks_back(page) else query

    def _looks_back(self, page: Page) -> bool:
        """Whether rows must be read one by one to find those that are wanted, so that not all of a long list can be."""
        return self.newest is not None and (bool(page.search) or self.narrowed)

    def _since(self, parent: Any, outer: Any) -> ColumnElement[bool]:
        """Whether a row is as new as the oldest that is looked at."""
        assert parent is not None, "the lists that look back are lists within things"
        moment, every = self.order.columns[self.order.field], aliased(self.parent.class_)
        column, owner = getattr(every, moment.key), getattr(every, self.parent.key)
        oldest = select(column).where(owner == parent).order_by(column.desc()).offset(self.newest).limit(1)
        oldest = oldest.correlate(None) if outer is None else oldest.correlate(outer)
        since: ColumnElement[bool] = moment > func.coalesce(oldest.scalar_subquery(), literal("-infinity").cast(moment.type))
        return since

    def _sort_column(self, page: Page) -> ColumnElement[Any]:
        name, columns = page.sort_field or self.order.field, self.order.columns
        if name not in columns:
            raise Invalid.field(
                Message("cannot_sort_by", "cannot sort by '{name}'; choose one of {choices}", name=name, choices=sorted(columns)),
                "sort_field",
            )
        column: ColumnElement[Any] = columns[name]
        return column

    def _down(self, page: Page) -> bool:
        return (page.sort_direction or self.order.direction) is SortDirection.desc
