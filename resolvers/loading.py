"""DataLoaders: one query for many keys, in key order. One batch is one short read session; loaders live as long as a request.

A concept declares what it loads as a `Batch` (`resolvers/<concept>.py`); a request makes a loader of each that is asked for. What
loads holds the database, not the object that holds the loader: of such a cycle everything a request read would stay until the
garbage collector comes, which holds up everybody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import SQLModel
from strawberry.dataloader import DataLoader

from coreplex.platform.answer_size import AnswerSize
from coreplex.platform.database import Database, ReadSession
from coreplex.platform.page import Page, Slice
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Principal

Row = TypeVar("Row", bound=SQLModel)
Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Asking:
    """The request a batch is loaded for: who asks, and the size of the answer that is being built."""

    principal: Principal | None
    size: Callable[[], AnswerSize]


@dataclass(frozen=True, slots=True, eq=False)
class Batch(Generic[Key, Found]):
    """Something that is found for many keys by one function; `missing` where it finds nothing."""

    load: Callable[[ReadSession, list[Key], Asking], Awaitable[Mapping[Key, Found]]]
    missing: Any = None


def batch(load: Callable[[ReadSession, list[Key]], Awaitable[Mapping[Key, Found]]], missing: Any = None) -> Batch[Key, Found]:
    """What a service function finds, whoever asks."""
    return Batch(lambda session, keys, _asking: load(session, keys), missing)


def rows(table: type[Row], *options: ExecutableOption) -> Batch[UUID, Row | None]:
    """Rows by id. `options` say which columns stay behind."""
    columns: Any = table

    async def load(session: ReadSession, ids: list[UUID], _asking: Asking) -> Mapping[UUID, Row | None]:
        found: Sequence[Any] = (await session.scalars(select(table).where(columns.id.in_(ids)).options(*options))).all()
        return {row.id: row for row in found}

    return Batch(load)


class Shared(DataLoader[Any, Any]):
    """A loader whose results survive those who wait: when one field fails, graphql-core cancels the fields beside it, and a
    cancelled result would be kept and end every later field that asks for the same key."""

    def load(self, key: Any) -> Any:
        found: Any = super().load(key)
        found.add_done_callback(_seen)
        return asyncio.shield(found)


def _seen(found: "asyncio.Future[Any]") -> None:
    """Nobody may wait any more for what failed; asyncio would complain of an error that nobody looked at."""
    if not found.cancelled():
        found.exception()


class Pages:
    """The same page of the lists of many things, by the id of the thing."""

    def __init__(self, database: Database, listing: Listing, page: Page) -> None:
        async def count(keys: list[Any]) -> list[int]:
            async with database.read() as session:
                return await listing.counts(session, keys, page)

        counts = Shared(load_fn=count, cache=False)

        async def slices(keys: list[Any]) -> list[Slice[Any]]:
            async with database.read() as session:
                return await listing.slices(session, keys, page, counts.load)

        self._slices = slices
        self._single = Shared(load_fn=slices, cache=False)

    def load(self, key: Any) -> Awaitable[Slice[Any]]:
        """One list; those asked for in the same turn of the loop come from one statement."""
        found: Awaitable[Slice[Any]] = self._single.load(key)
        return found

    async def load_many(self, keys: Iterable[Any]) -> list[Slice[Any]]:
        """All that a level of the answer asks for."""
        return await self._slices(list(keys))


class Loaders:
    """The loaders of one request: `loaders[batch]`, each made when first asked for."""

    def __init__(self, database: Database, asking: Asking) -> None:
        self._database = database
        self._asking = asking
        self._made: dict[Batch[Any, Any], DataLoader[Any, Any]] = {}
        self._pages: dict[Hashable, Pages] = {}

    def __getitem__(self, batch: Batch[Key, Found]) -> DataLoader[Key, Found]:
        found = self._made.get(batch)
        if found is None:
            found = self._made[batch] = _loader(batch, self._database, self._asking)
        return found

    def pages(self, place: Hashable, begin: Callable[[], tuple[Listing, Page]]) -> Pages:
        """Pages of lists within things, by the id of the thing: one statement for all that ask at once, one for their counts.

        `place` stands for the selection of the document that asks and the type it asks of, with the same arguments each time.
        Nothing is kept: a list may have changed between two mutations.
        """
        if place not in self._pages:
            self._pages[place] = Pages(self._database, *begin())
        return self._pages[place]


def _loader(batch: Batch[Any, Any], database: Database, asking: Asking) -> DataLoader[Any, Any]:
    async def load(keys: list[Any]) -> list[Any]:
        async with database.read() as session:
            found = await batch.load(session, keys, asking)
        return [found.get(key, batch.missing) for key in keys]

    return Shared(load_fn=load)
