"""Prepared statements: their rows read as the mapper's do, they hold nothing of whoever asked first, and nobody uses a connection
that was left in the middle."""

import asyncio
import gc
from typing import Any, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import Dialect, Float, func, select, text
from sqlalchemy.orm import InstanceState
from sqlalchemy.orm.exc import UnmappedInstanceError
from sqlmodel import SQLModel

import schema.root  # noqa: F401  (every list)
from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.versions import DOCUMENTS
from coreplex.errors.tree import Unavailable
from coreplex.platform.database import Database, is_bad_value
from coreplex.platform.identifier import new_id
from coreplex.platform.page import Page
from coreplex.platform.page_query import PageQuery
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Credential, Grant, Plan, Principal, Scope, UserRole
from coreplex.platform.prepared import Prepared, columns_of, parameter
from resolvers.loading import Rows
from tests.factories.asking import Asker
from tests.factories.lists import fill_lists


def tables() -> list[Any]:
    return [kind for kind in SQLModel.__subclasses__() if hasattr(kind, "__table__")]


async def test_rows_read_as_the_mappers_do(asker: Asker, database: Database) -> None:
    await fill_lists(asker.world)
    seen = 0
    for table in tables():
        query = select(*columns_of(table)).order_by(*table.__table__.primary_key)
        names = [column.key for column in columns_of(table)]
        async with database.read() as session, database.reader() as reader:
            mapped = (await session.scalars(select(table).order_by(*table.__table__.primary_key))).all()
            found = await reader.rows(table, lambda dialect, q=query, t=table, n=names: Prepared(q, t, n, dialect), {})
        for row, other in zip(found, mapped, strict=True):
            wanted = {name: value for name, value in vars(other).items() if not isinstance(value, InstanceState)}
            assert type(row) is type(other)
            assert vars(row) == wanted
            assert list(map(type, vars(row).values())) == [type(wanted[name]) for name in vars(row)]
            seen += 1
    assert seen > 100


async def test_what_stayed_behind_is_an_error(asker: Asker, database: Database) -> None:
    versions = Rows(DatasetVersion, DOCUMENTS)
    identity = UUID(asker.world.ids["version"])
    async with database.reader() as reader:
        found = await versions.load(reader, [identity], None)  # type: ignore[arg-type]
    assert found[identity].version == 1
    with pytest.raises(UnmappedInstanceError):
        _ = found[identity].profile


Kind = TypeVar("Kind")


def loaded(kind: type[Kind]) -> list[Kind]:
    """Those of a kind that there are, also among what was frozen when all was loaded."""
    gc.unfreeze()
    try:
        return [one for one in gc.get_objects() if isinstance(one, kind)]
    finally:
        gc.freeze()


def caller() -> Grant:
    """Somebody whose key is bound to a project."""
    who = Principal(
        new_id(), "a@example.com", "A", UserRole.user, Plan.free, Credential.api_key, new_id(), frozenset(Scope), new_id()
    )
    return Grant(who)


def parts_of(listing: Listing, grant: Grant, dialect: Dialect) -> list[tuple[str, Any]]:
    shape, _ = listing.asked(grant)._asked(Page(), within=listing.parent is not None)
    query = PageQuery(listing, shape, grant)
    return [(made.text, made.known) for made in (Prepared(one, None, (), dialect) for one in (query.page(), query.count()))]


async def test_statements_hold_nothing_of_who_asked_first(database: Database) -> None:
    """Neither an id nor a moment: they are kept for everybody, for as long as the process lives."""
    await database.ping()
    one, other = caller(), caller()
    listings, tables = loaded(Listing), loaded(Rows)
    assert min(len(listings), len(tables)) > 10
    for listing in listings:
        assert parts_of(listing, one, database.engine.dialect) == parts_of(listing, other, database.engine.dialect), listing.noun
    for rows in tables:
        made = [rows._prepared(grant, database.engine.dialect) for grant in (one, other)]
        assert made[0].known == made[1].known, rows.table


def sleeping(dialect: Dialect) -> Prepared:
    return Prepared(select(func.pg_sleep(parameter("seconds", Float()))), None, (), dialect)


async def test_whoever_is_told_to_stop_leaves_no_answer_to_the_next(database: Database) -> None:
    async def ask() -> None:
        async with database.reader() as reader:
            await reader.rows("sleep", sleeping, {"seconds": 5.0})

    await ask_one(database)
    task = asyncio.create_task(ask())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await ask_one(database) == 1


async def ask_one(database: Database) -> int:
    async with database.reader() as reader:
        ((found,),) = await reader.rows("one", lambda dialect: Prepared(select(func.length("x")), None, (), dialect), {})
    return int(found)


async def test_weather_is_told_as_of_a_session(database: Database) -> None:
    async def cut_off() -> None:
        async with database.read() as session, database.reader() as reader:
            own = reader.connection.get_server_pid()
            await session.execute(text(f"SELECT pg_terminate_backend({own})"))
            await reader.rows("sleep", sleeping, {"seconds": 1.0})

    async def too_slow() -> None:
        async with hasty.reader() as reader:
            await reader.rows("sleep", sleeping, {"seconds": 5.0})

    hasty = Database(database.url, pool_size=1, statement_timeout_ms=50)
    with pytest.raises(Unavailable):
        await cut_off()
    with pytest.raises(Unavailable):
        await too_slow()
    await hasty.close()
    assert await ask_one(database) == 1


async def test_a_value_the_database_cannot_take_is_the_callers(database: Database) -> None:
    with pytest.raises(Exception, match="query argument") as caught:
        async with database.reader() as reader:
            await reader.rows("sleep", sleeping, {"seconds": "far"})
    assert is_bad_value(caught.value)


async def test_readers_share_the_places_of_sessions(database: Database) -> None:
    """A caller has at most half of the connections, whichever way they are held; within one's own a further one takes none."""
    most = database.places.limits.each
    async with database.reader():
        async with database.read(), database.reader():
            assert database.places.used == 1
        assert database.places.used == 1
    assert database.places.used == 0
    assert most < database.places.limits.total
