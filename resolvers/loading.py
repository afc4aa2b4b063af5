"""Loaders: one query for many keys, in key order; loaders live as long as a request.

A concept declares what it loads (`resolvers/<concept>.py`): rows by id (`Rows`), what one statement finds (`Read`), or what a
service function does in a read session (`Batch`). A request makes a loader of each that is asked for. What loads holds the
database, not the object that holds the loader: of such a cycle everything a request read would stay until the garbage collector
comes, which holds up everybody.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, Dialect, Uuid, any_, select

from coreplex.errors.tree import Forbidden, Unauthenticated
from coreplex.platform.answer_size import AnswerSize
from coreplex.platform.anybody import CALLER, anybody, ids_of, is_bound
from coreplex.platform.database import Database, ReadSession
from coreplex.platform.page import Page, Slice
from coreplex.platform.paging import View
from coreplex.platform.permissions import READ, Grant, Principal, authorize
from coreplex.platform.prepared import Prepared, columns_of, parameter
from coreplex.platform.reader import Reader
from resolvers.loader import Loader

IDS = parameter("ids", ARRAY(Uuid()))
"""The ids a statement is about."""
Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Asking:
    """The request a batch is loaded for: who asks, and the size of the answer that is being built."""

    principal: Principal | None
    size: Callable[[], AnswerSize]

    @property
    def reader(self) -> Grant | None:
        """The caller's grant to read; None for one who has none (a key that may only write, or predict)."""
        try:
            authorize(self.principal, READ)
        except (Unauthenticated, Forbidden):
            return None
        return None if self.principal is None else Grant(self.principal)


@dataclass(frozen=True, slots=True, eq=False)
class Batch(Generic[Key, Found]):
    """Something that is found for many keys by one function; `missing` where it finds nothing."""

    load: Callable[[ReadSession, list[Key], Asking], Awaitable[Mapping[Key, Found]]]
    missing: Any = None


def batch(load: Callable[[ReadSession, list[Key]], Awaitable[Mapping[Key, Found]]], missing: Any = None) -> Batch[Key, Found]:
    """What a service function finds, whoever asks."""
    return Batch(lambda session, keys, _asking: load(session, keys), missing)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows by id, as far as the caller may see them: `visible` says which; None: all, for whoever got so far."""

    table: Any
    without: Sequence[str] = ()
    """Which columns stay behind."""
    visible: Callable[[Grant], Any] | None = None
    """Of the grant it asks only whose it is and to which project it is bound: what it says is kept for all callers."""
    missing: None = None

    async def load(self, reader: Reader, ids: list[UUID], asking: Asking) -> Mapping[UUID, Any]:
        grant = None if self.visible is None else asking.reader
        if self.visible is not None and grant is None:
            return {}
        caller: Mapping[str, Any] = {} if grant is None else ids_of(grant)
        key = (self, grant is not None and is_bound(grant))
        found = await reader.rows(key, lambda dialect: self._prepared(grant, dialect), {"ids": ids, **caller})
        return {row.id: row for row in found}

    def _prepared(self, grant: Grant | None, dialect: Dialect) -> Prepared:
        columns = columns_of(self.table, self.without)
        query = select(*columns).where(self.table.id == any_(IDS))
        if self.visible is not None and grant is not None:
            query = query.where(self.visible(anybody(grant)))
        return Prepared(query, self.table, [column.key for column in columns], dialect)


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What one statement finds of many ids: `made` of all that it reads. `table`: what it reads are rows of it."""

    statement: Callable[[Any], Any]
    """Of the parameter that is the ids."""
    made: Callable[[list[Any]], Mapping[UUID, Any]] = dict
    missing: Any = None
    table: Any = None
    without: Sequence[str] = ()
    """Which of its columns stay behind."""

    async def load(self, reader: Reader, ids: list[UUID], asking: Asking) -> Mapping[UUID, Any]:
        caller = asking.principal.user_id if asking.principal else None
        return self.made(await reader.rows(self, self._prepared, {"ids": ids, CALLER: caller}))

    def _prepared(self, dialect: Dialect) -> Prepared:
        names = [] if self.table is None else [column.key for column in columns_of(self.table, self.without)]
        return Prepared(self.statement(IDS), self.table, names, dialect)


class Pages:
    """The same page of the lists of many things, by the id of the thing."""

    def __init__(self, database: Database, view: View, page: Page) -> None:
        async def count(keys: list[Any]) -> list[int]:
            async with database.reader() as reader:
                return await view.counts(reader, keys, page)

        counts = Loader(count, kept=False)

        async def slices(keys: list[Any]) -> list[Slice[Any]]:
            async with database.reader() as reader:
                return await view.slices(reader, keys, page, counts.load)

        self._slices = slices
        self._single = Loader(slices, kept=False)

    def load(self, key: Any) -> Awaitable[Slice[Any]]:
        """One list; those asked for in the same turn of the loop come from one statement."""
        found: Awaitable[Slice[Any]] = self._single.load(key)
        return found

    async def load_many(self, keys: Iterable[Any]) -> list[Slice[Any]]:
        """All that a level of the answer asks for."""
        return await self._slices(list(keys))


Loads = Batch[Any, Any] | Rows | Read
"""What a request has a loader of."""


class Loaders:
    """The loaders of one request: `loaders[batch]`, each made when first asked for."""

    def __init__(self, database: Database, asking: Asking) -> None:
        self._database = database
        self._asking = asking
        self._made: dict[Loads, Loader] = {}
        self._pages: dict[Hashable, Pages] = {}

    def __getitem__(self, batch: Loads) -> Loader:
        found = self._made.get(batch)
        if found is None:
            found = self._made[batch] = _loader(batch, self._database, self._asking)
        return found

    def pages(self, place: Hashable, begin: Callable[[], tuple[View, Page]]) -> Pages:
        """Pages of lists within things, by the id of the thing: one statement for all that ask at once, one for their counts.

        `place` stands for the selection of the document that asks and the type it asks of, with the same arguments each time.
        Nothing is kept: a list may have changed between two mutations.
        """
        if place not in self._pages:
            self._pages[place] = Pages(self._database, *begin())
        return self._pages[place]


def _loader(batch: Loads, database: Database, asking: Asking) -> Loader:
    async def load(keys: list[Any]) -> list[Any]:
        if isinstance(batch, Batch):
            async with database.read() as session:
                found: Mapping[Any, Any] = await batch.load(session, keys, asking)
        else:
            async with database.reader() as reader:
                found = await batch.load(reader, keys, asking)
        return [found.get(key, batch.missing) for key in keys]

    return Loader(load)
