"""The statements of a list, made once for each shape of page: which conditions, which order, which cursors.

Whatever differs between two requests of a shape is a parameter. That holds for the caller too: who sees what is asked of a
grant whose ids are parameters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Float,
    Integer,
    Select,
    String,
    any_,
    case,
    func,
    literal,
    or_,
    select,
    true,
)
from sqlalchemy import column as sql_column

from coreplex.platform.anybody import anybody
from coreplex.platform.cursor import beyond, kind_of, may_miss
from coreplex.platform.filtering import Filters, only_quick, quick_part, where
from coreplex.platform.page import Order, Search
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import columns_of, parameter

KINDS: dict[type, Any] = {int: BigInteger(), float: Float(), str: String(), datetime: DateTime(timezone=True)}
"""Of values that are compared with an expression which has no type of its own."""


class Position(NamedTuple):
    """A cursor: the argument it came by, and what kind of value it holds."""

    argument: str
    value: type


class PageShape(NamedTuple):
    """What a page is besides its values."""

    conditions: Any
    """The shape of the filter."""
    bound: bool | None
    """Whether the caller's credential is bound to a project; None where nobody in particular asks."""
    sort: str
    down: bool
    backwards: bool
    searched: bool
    positions: tuple[Position, ...]
    offset: bool
    within: bool
    """Whether it is the list of one thing, or of each of several."""


@dataclass(frozen=True, eq=False)
class Listed:
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
    """Which rows a caller may see; None: all, because only who sees the parent gets there. Of the grant it asks only whose it is
    and to which project it is bound: what it says is kept for all callers."""
    parent: Any = None
    without: Sequence[str] = ()
    """Which columns of the rows stay behind."""
    newest: int | None = None
    """Of each parent's list, sorted by time, so many rows are looked at by search and by conditions no index meets: of those that
    the conditions leave which an index meets."""

    @cached_property
    def table(self) -> Any:
        """The table its rows are of."""
        (entity,) = (description["entity"] for description in self.query.column_descriptions)
        return entity

    @cached_property
    def names(self) -> Sequence[str]:
        """The columns of its rows."""
        return [column.key for column in columns_of(self.table, self.without)]


class PageQuery:
    """The statements of one list and shape. `grant`: whoever asks first; none of its ids is in them."""

    def __init__(self, listing: Listed, shape: PageShape, grant: Grant | None) -> None:
        self.listing, self.shape = listing, shape
        self.column: Any = listing.order.columns[shape.sort]
        self.query = listing.query
        if listing.visible is not None and grant is not None:
            self.query = self.query.where(listing.visible(anybody(grant)))
        if shape.conditions is not None:
            self.query = self.query.where(where(listing.filters, shape.conditions))

    def page(self) -> Select[Any]:
        """Rows and sort keys, of all there are or of one parent."""
        columns = columns_of(self.listing.table, self.listing.without)
        query = self._page(self._parent()).order_by(*self._order(self.column, self.listing.identity))
        return self._cut(query.with_only_columns(*columns, self.column.label("sort_key"), maintain_column_froms=True))

    def counted_page(self) -> Select[Any]:
        """The same, and beside the last row that may come how long the list is: where fewer come, they are the whole of it.

        One statement sees one state of the list. Of a page that is cut out of its list every row has it beside it.
        """
        rows, total = self.page().subquery("rows"), self.count().scalar_subquery()
        last = func.row_number().over() == parameter("size", Integer())
        wanted = total if self._cut_out else case((last, total))
        order = self._order(rows.c.sort_key, rows.c[self.listing.identity.key])
        return select(*rows.c, wanted.label("total")).order_by(*order)

    @property
    def _cut_out(self) -> bool:
        return self.shape.offset or bool(self.shape.positions)

    def pages(self) -> Select[Any]:
        """Rows with sort key and the place of their parent: for each parent its own limited subquery, then the rows they name."""
        listing, kind = self.listing, self.listing.parent.type
        unnested = func.unnest(parameter("parents", ARRAY(kind)))
        wanted = unnested.table_valued(sql_column("parent", kind), with_ordinality="place", name="wanted").render_derived()
        inner: Any = self._page(wanted.c.parent, wanted).order_by(*self._order(self.column, listing.identity))
        named = (listing.identity.label("identity"), self.column.label("sort_key"))
        inner = inner.with_only_columns(*named, maintain_column_froms=True)
        rows = self._cut(inner).correlate(wanted).lateral("rows")
        return (
            select(*columns_of(listing.table, listing.without), rows.c.sort_key, wanted.c.place)
            .select_from(wanted.join(rows, true()).join(listing.table, listing.identity == rows.c.identity))
            .order_by(wanted.c.place, *self._order(rows.c.sort_key, rows.c.identity))
        )

    def count(self) -> Select[Any]:
        """How long the list is."""
        return select(func.count()).select_from(self._searched(self._parent()).order_by(None).subquery())

    def counts(self) -> Select[Any]:
        """How long the list of each parent is, where there is anything in it."""
        parent = self.listing.parent
        query = self._searched(None).where(parent == any_(parameter("parents", ARRAY(parent.type)))).order_by(None)
        return query.with_only_columns(parent, func.count(), maintain_column_froms=True).group_by(parent)

    @property
    def looks_back(self) -> bool:
        """Whether rows must be read one by one to find those that are wanted, so that not all of a long list can be."""
        if self.listing.newest is None:
            return False
        return self.shape.searched or not only_quick(self.listing.filters, self.shape.conditions or ())

    def _parent(self) -> Any:
        return parameter("parent", self.listing.parent.type) if self.shape.within else None

    def _cut(self, query: Select[Any]) -> Select[Any]:
        query = query.limit(parameter("size", Integer()))
        return query.offset(parameter("offset", Integer())) if self.shape.offset else query

    def _page(self, parent: Any, outer: Any = None) -> Select[Any]:
        """The rows that may be on the page: of one parent, or of all."""
        query, identity = self._searched(parent, outer), self.listing.identity
        for argument, value in self.shape.positions:
            kind = KINDS.get(value) if kind_of(self.column) is None else self.column.type
            since = None if value is type(None) else parameter(f"{argument}_value", kind)
            key = parameter(f"{argument}_key", identity.type)
            query = query.where(beyond(since, key, argument, self.column, identity, down=self.shape.down))
        return query

    def _order(self, column: Any, identity: Any) -> tuple[Any, Any]:
        """The order rows are read in: from the end of the list where the page is its last part."""
        down = self.shape.down is not self.shape.backwards
        key = column.desc() if down else column.asc()
        if not may_miss(column):
            # Said of a column that knows no missing values, their place would keep the database from reading the page off an
            # index: it would sort the whole list.
            return key, identity.desc() if down else identity.asc()
        # Missing values come last both ways, so "best first" never begins with an unknown.
        ordered = key.nulls_first() if self.shape.backwards else key.nulls_last()
        return ordered, identity.desc() if down else identity.asc()

    def _searched(self, parent: Any, outer: Any = None) -> Select[Any]:
        """The rows that are found, of one parent or of all."""
        query = self.query if parent is None else self.query.where(self.listing.parent == parent)
        if self.shape.searched:
            wanted = parameter("search", String())
            query = query.where(or_(*(column.ilike(wanted) for column in self.listing.search.columns)))
        return query.where(self._since(parent, outer)) if self.looks_back else query

    def _since(self, parent: Any, outer: Any) -> ColumnElement[bool]:
        """Whether a row is as new as the oldest that is looked at."""
        assert parent is not None, "the lists that look back are lists within things"
        listing = self.listing
        moment = listing.order.columns[listing.order.field]
        among = where(listing.filters, quick_part(listing.filters, self.shape.conditions or ()))
        oldest = select(moment).where(listing.parent == parent, among).order_by(moment.desc()).offset(listing.newest).limit(1)
        oldest = oldest.correlate(None) if outer is None else oldest.correlate(outer)
        since: ColumnElement[bool] = moment > func.coalesce(oldest.scalar_subquery(), literal("-infinity").cast(moment.type))
        return since
