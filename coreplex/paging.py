"""Lists, one way: keyset (`first` + `after`) or offset (`first` + `offset`), search, sort, count on demand.

A service describes its list once (`Listing`); the page asks for a slice of it. REST pages map onto first + offset.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from coreplex.database import ReadSession
from coreplex.errors import FieldError, Invalid

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
    sort_direction: SortDirection = SortDirection.desc

    def __post_init__(self) -> None:
        errors = []
        if not 1 <= self.first <= MAX_PAGE:
            errors.append(FieldError(("limit",), f"must be from 1 to {MAX_PAGE}"))
        if not 0 <= self.offset <= MAX_OFFSET:
            errors.append(FieldError(("offset",), f"must be from 0 to {MAX_OFFSET}"))
        if self.after is not None and self.offset:
            errors.append(FieldError(("offset",), "goes with no cursor; give one of the two"))
        if self.search and len(self.search) > MAX_SEARCH:
            errors.append(FieldError(("search",), f"has more than {MAX_SEARCH} characters"))
        if errors:
            raise Invalid("; ".join(f"{e.loc[0]} {e.msg}" for e in errors), errors=errors)


@dataclass(frozen=True, slots=True)
class Slice(Generic[Row]):
    """One page of rows, with a cursor per row and a way to count the whole list."""

    nodes: Sequence[Row]
    cursors: Sequence[str]
    has_next: bool
    has_previous: bool
    count: Callable[[], Awaitable[int]]


@dataclass(frozen=True)
class Listing:
    """A list: its query, what `search` looks into, what it can be sorted by; `id` breaks ties."""

    query: Select[Any]
    identity: Any
    sortable: Mapping[str, Any]
    searchable: Sequence[Any] = ()
    default_sort: str = "created_at"

    async def slice(self, session: ReadSession, page: Page, count: Callable[[Select[Any]], Awaitable[int]]) -> Slice[Any]:
        """Rows of the page. `count` runs the counting query later, only if somebody asks."""
        query = self._searched(page)
        column = self._sort_column(page)
        ordered = query.add_columns(column.label("sort_key"))
        if page.after is not None:
            ordered = ordered.where(self._beyond(column, page))
        down = page.sort_direction is SortDirection.desc
        # Missing values come last both ways, so "best first" never begins with an unknown.
        key = (column.desc() if down else column.asc()).nulls_last()
        ordered = ordered.order_by(key, self.identity.desc() if down else self.identity.asc())
        found = (await session.execute(ordered.limit(page.first + 1).offset(page.offset or None))).all()
        rows = found[: page.first]
        return Slice(
            nodes=[row[0] for row in rows],
            cursors=[_encode(row[-1], getattr(row[0], self.identity.key)) for row in rows],
            has_next=len(found) > page.first,
            has_previous=bool(page.after or page.offset),
            count=lambda: count(select(func.count()).select_from(query.order_by(None).subquery())),
        )

    def _searched(self, page: Page) -> Select[Any]:
        if not page.search or not self.searchable:
            return self.query
        pattern = "%" + page.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\0", "") + "%"
        return self.query.where(or_(*(column.ilike(pattern) for column in self.searchable)))

    def _sort_column(self, page: Page) -> ColumnElement[Any]:
        name = page.sort_field or self.default_sort
        if name not in self.sortable:
            raise Invalid.field(f"cannot sort by '{name}'; choose one of {', '.join(sorted(self.sortable))}", "sort_field")
        return self.sortable[name]

    def _beyond(self, column: ColumnElement[Any], page: Page) -> ColumnElement[bool]:
        value, identity = _decode(page.after or "")
        if not (_fits(value, column) and _fits(identity, self.identity)):
            raise Invalid.field(FOREIGN_CURSOR, "after")
        down = page.sort_direction is SortDirection.desc
        further = self.identity < identity if down else self.identity > identity
        if value is None:
            return and_(column.is_(None), further)
        return or_((column < value if down else column > value), and_(column == value, further), column.is_(None))


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
