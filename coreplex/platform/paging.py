"""Lists, one way: keyset (`first` + `after`) or offset (`first` + `offset`), search, sort, count on demand.

A service describes its list once (`Listing`); the page asks for a slice of it. REST pages map onto first + offset.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import ARRAY, ColumnElement, Select, and_, cast, func, literal, or_, select, true, tuple_
from sqlalchemy import column as sql_column
from sqlalchemy.sql.base import ExecutableOption

from coreplex.errors.tree import FieldError, Invalid
from coreplex.platform.database import ReadSession

MAX_PAGE = 500
DEFAULT_PAGE = 50
MAX_OFFSET = 10_000_000
MAX_SEARCH = 200
FOREIGN_CURSOR = "is not a cursor of this list in this order; begin again without it"

Row = TypeVar("Row")


class SortDirection(StrEnum):
    asc = "asc"
    desc = "desc"


@dataclass(frozen=True, slots=True)
class Page:
    """What slice of a list is wanted."""

    first: int = DEFAULT_PAGE
    after: str | None = None
    offset: int = 0
    search: str | None = None
    sort_field: str | None = None
    sort_direction: SortDirection | None = None
    counted_only: bool = False
    """Nobody looks at the rows: only how many there are is asked."""

    def __post_init__(self) -> None:
        errors = []
        if not 1 <= self.first <= MAX_PAGE:
            errors.append(FieldError(("first",), f"must be from 1 to {MAX_PAGE}"))
        if not 0 <= self.offset <= MAX_OFFSET:
            errors.append(FieldError(("offset",), f"must be from 0 to {MAX_OFFSET}"))
        if self.after is not None and self.offset:
            errors.append(FieldError(("offset",), "goes with no cursor; give one of the two"))
        if self.search and len(self.search) > MAX_SEARCH:
            errors.append(FieldError(("search",), f"has more than {MAX_SEARCH} characters"))
        if errors:
            raise Invalid("; ".join(f"{e.loc[0]}: {e.msg}" for e in errors), errors=errors)


@dataclass(frozen=True, slots=True, eq=False)
class Slice(Generic[Row]):
    """One page of rows, with a cursor per row and a way to count the whole list."""

    nodes: Sequence[Row]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    counting: Callable[[], Awaitable[int]]
    total: int | None = None
    """How many there are, where that is known without asking."""

    async def count(self) -> int:
        return await self.counting() if self.total is None else self.total


@dataclass(frozen=True)
class Order:
    """What a list can be sorted by, by the names the contract has for it, and how it is sorted unless somebody asks otherwise."""

    columns: Mapping[str, Any]
    field: str = "created_at"
    direction: SortDirection = SortDirection.desc


@dataclass(frozen=True)
class Listing:
    """A list: its query, what `search` looks into, what it can be sorted by; `id` breaks ties.

    A list within things (the datasets of a project) is the query of all such lists together, and `parent` the column that says
    whose each row is: the pages of many things are one statement.
    """

    query: Select[Any]
    identity: Any
    order: Order
    searchable: Sequence[Any] = ()
    parent: Any = None
    options: Sequence[ExecutableOption] = ()
    """Which columns of the rows stay behind."""

    async def slice(self, session: ReadSession, page: Page, count: Callable[[Select[Any]], Awaitable[int]]) -> Slice[Any]:
        """Rows of the page. `count` runs the counting query later, only if somebody asks."""
        wanted, column = self._page(page), self._sort_column(page)
        if page.counted_only:
            return self._slice((), page, lambda: count(self._counted(page)), await session.scalar(self._counted(page)))
        query = wanted.add_columns(column.label("sort_key")).order_by(*self._order(column, self.identity, page))
        query = query.limit(page.first + 1).offset(page.offset or None).options(*self.options)
        return self._slice((await session.execute(query)).all(), page, lambda: count(self._counted(page)))

    def _counted(self, page: Page) -> Select[Any]:
        return select(func.count()).select_from(self._searched(page).order_by(None).subquery())

    async def slices(
        self, session: ReadSession, parents: Sequence[Any], page: Page, count: Callable[[Any], Awaitable[int]]
    ) -> list[Slice[Any]]:
        """The same page of each parent's list, in the order of `parents`. `count(parent)` runs later, if somebody asks."""
        if len(parents) == 1:
            alone = replace(self, query=self.query.where(self.parent == parents[0]))
            return [await alone.slice(session, page, lambda _: count(parents[0]))]
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
        query = self._searched(page).where(self.parent.in_(parents)).order_by(None)
        counted = query.with_only_columns(self.parent, func.count(), maintain_column_froms=True).group_by(self.parent)
        found: dict[Any, int] = dict((await session.execute(counted)).all())
        return [found.get(key, 0) for key in parents]

    def _many(self, parents: Sequence[Any], page: Page) -> Select[Any]:
        """Rows with sort key and the place of their parent: for each parent its own limited subquery, then the rows they name."""
        column, key = self._sort_column(page), self.parent.type
        unnested = func.unnest(cast(list(parents), ARRAY(key)))
        wanted = unnested.table_valued(sql_column("parent", key), with_ordinality="place", name="wanted").render_derived()
        inner = self._page(page).where(self.parent == wanted.c.parent).order_by(*self._order(column, self.identity, page))
        inner = inner.with_only_columns(self.identity.label("identity"), column.label("sort_key"), maintain_column_froms=True)
        rows = inner.limit(page.first + 1).offset(page.offset or None).correlate(wanted).lateral("rows")
        (entity,) = (description["entity"] for description in self.query.column_descriptions)
        return (
            select(entity, rows.c.sort_key, wanted.c.place)
            .select_from(wanted.join(rows, true()).join(entity, self.identity == rows.c.identity))
            .order_by(wanted.c.place, *self._order(rows.c.sort_key, rows.c.identity, page))
            .options(*self.options)
        )

    def _page(self, page: Page) -> Select[Any]:
        """The rows that may be on the page, of all parents."""
        query = self._searched(page)
        return query if page.after is None else query.where(self._beyond(self._sort_column(page), page))

    def _order(self, column: Any, identity: Any, page: Page) -> tuple[Any, Any]:
        down = self._down(page)
        key = column.desc() if down else column.asc()
        # Missing values come last both ways, so "best first" never begins with an unknown. Said of a column that knows none, it
        # would keep the database from reading the page off an index: it would sort the whole list.
        return key.nulls_last() if _may_miss(column) else key, identity.desc() if down else identity.asc()

    def _slice(
        self, found: Sequence[Any], page: Page, count: Callable[[], Awaitable[int]], total: int | None = None
    ) -> Slice[Any]:
        rows, has_next = found[: page.first], len(found) > page.first
        if total is None and not (page.after or page.offset or has_next):
            total = len(rows)
        return Slice(
            nodes=[row[0] for row in rows],
            cursors=[_encode(row[1], getattr(row[0], self.identity.key)) for row in rows],
            has_next=has_next,
            has_previous=bool(page.after or page.offset),
            counting=count,
            total=total,
        )

    def _searched(self, page: Page) -> Select[Any]:
        if not page.search or not self.searchable:
            return self.query
        pattern = "%" + page.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "") + "%"
        return self.query.where(or_(*(column.ilike(pattern) for column in self.searchable)))

    def _sort_column(self, page: Page) -> ColumnElement[Any]:
        name, columns = page.sort_field or self.order.field, self.order.columns
        if name not in columns:
            raise Invalid.field(f"cannot sort by '{name}'; choose one of {', '.join(sorted(columns))}", "sort_field")
        column: ColumnElement[Any] = columns[name]
        return column

    def _down(self, page: Page) -> bool:
        return (page.sort_direction or self.order.direction) is SortDirection.desc

    def _beyond(self, column: ColumnElement[Any], page: Page) -> ColumnElement[bool]:
        value, identity = _decode(page.after or "")
        if not (_fits(value, column) and _fits(identity, self.identity)):
            raise Invalid.field(FOREIGN_CURSOR, "after")
        down = self._down(page)
        further = self.identity < identity if down else self.identity > identity
        if value is None:
            return and_(column.is_(None), further)
        if isinstance(value, datetime) and not _may_miss(column):
            # In one comparison, which an index over both can begin at.
            place, last = tuple_(column, self.identity), tuple_(literal(value), literal(identity))
            return place < last if down else place > last
        return or_((column < value if down else column > value), and_(column == value, further), column.is_(None))


def _may_miss(column: Any) -> bool:
    """Whether a column, or an expression, may be NULL."""
    return bool(getattr(column, "nullable", True))


def _encode(value: Any, identity: Any) -> str:
    kind = "t" if isinstance(value, datetime) else "v"
    return base64.urlsafe_b64encode(orjson.dumps([kind, value, identity], default=str)).decode().rstrip("=")


def _fits(value: Any, column: ColumnElement[Any]) -> bool:
    """Whether a cursor's value is of the column's kind; that of another list, or of another order, often is not."""
    try:
        kind = column.type.python_type
    except NotImplementedError:
        return True  # an expression without a type of its own; the database judges
    if value is None or issubclass(kind, int | float | Decimal):
        return value is None or isinstance(value, int | float)
    return isinstance(value, kind if issubclass(kind, UUID | datetime) else str)


def _decode(cursor: str) -> tuple[Any, UUID | int]:
    try:
        kind, value, identity = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(value, str | int | float | None):
            raise ValueError
        last = identity if isinstance(identity, int) else UUID(identity)
        return (datetime.fromisoformat(str(value)) if kind == "t" else value), last
    except (ValueError, TypeError, AttributeError):
        raise Invalid.field(FOREIGN_CURSOR, "after") from None
