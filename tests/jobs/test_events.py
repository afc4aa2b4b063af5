"""Events: an order without gaps for readers, and streams that replay and follow."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from coreplex.event import service, stream
from coreplex.event.service import after, append
from coreplex.event.stream import follow
from coreplex.event.table import Event, EventKind
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.listener import NAME, Listener, notify
from tests.jobs.harness import until


async def add(database: Database, entity_id: UUID, message: str = "", kind: EventKind = EventKind.log, **options: Any) -> Event:
    async with database.transaction() as session:
        return await append(session, entity_type="thing", entity_id=entity_id, kind=kind, type="t", message=message, **options)


async def test_numbers_become_visible_in_their_order(database: Database) -> None:
    """A slow transaction holds its number back, and with it everybody behind it."""
    entity_id, slow_has_number, go_on = new_id(), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with database.transaction() as session:
            await append(session, entity_type="thing", entity_id=entity_id, kind=EventKind.log, type="t", message="slow")
            slow_has_number.set()
            await go_on.wait()

    first = asyncio.create_task(slow())
    await slow_has_number.wait()
    second = asyncio.create_task(add(database, entity_id, "quick"))
    await add(database, new_id(), "another entity does not wait")
    await asyncio.sleep(0.2)
    async with database.read() as session:
        assert await after(session, "thing", entity_id) == []
    go_on.set()
    await asyncio.gather(first, second)
    async with database.read() as session:
        assert [event.message for event in await after(session, "thing", entity_id)] == ["slow", "quick"]


async def test_readers_beside_writers_miss_nothing(database: Database, database_url: str) -> None:
    entity_id, heard = new_id(), []
    listener = Listener(database_url)
    await listener.start()

    async def listen() -> None:
        async for event in follow(database, listener, "thing", entity_id):
            heard.append(event.message)

    task = asyncio.create_task(listen())

    async def write(writer: int) -> None:
        for number in range(10):
            await add(database, entity_id, f"{writer}.{number}")

    await asyncio.gather(*(write(writer) for writer in range(3)))

    async def all_heard() -> bool:
        return len(heard) >= 30

    await until(all_heard, 10)
    task.cancel()
    await listener.stop()
    assert sorted(heard) == sorted(f"{writer}.{number}" for writer in range(3) for number in range(10))
    for writer in range(3):
        assert [one for one in heard if one.startswith(f"{writer}.")] == [f"{writer}.{number}" for number in range(10)]


async def test_a_stream_begins_behind_its_cursor_and_takes_its_kinds(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CHUNK", 2)
    entity_id = new_id()
    seqs = [(await add(database, entity_id, str(number))).seq for number in range(6)]
    await add(database, entity_id, "other", EventKind.audit)
    listener = Listener(database_url)
    found = follow(database, listener, "thing", entity_id, cursor=seqs[1] or 0, kinds=[EventKind.log])
    assert [(await anext(found)).message for _ in range(4)] == ["2", "3", "4", "5"]
    assert listener._waiting, "it waits"
    await found.aclose()  # type: ignore[attr-defined]
    assert not listener._waiting, "and leaves nothing behind"


async def test_a_sweep_covers_what_was_not_heard(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHECK_SECS", 0.2)
    entity_id = new_id()
    listener = Listener(database_url)  # never started: deaf
    found = follow(database, listener, "thing", entity_id)
    waiting = asyncio.ensure_future(anext(found))
    await asyncio.sleep(0.1)
    await add(database, entity_id, "unheard")
    assert (await asyncio.wait_for(waiting, 30)).message == "unheard"
    await found.aclose()  # type: ignore[attr-defined]


async def test_channels_are_heard_at_commit_and_a_broken_callback_harms_nobody(database: Database, database_url: str) -> None:
    listener, heard = Listener(database_url), []

    def broken(_payload: str) -> None:
        raise RuntimeError("broken")

    listener.on("coreplex_one", broken)
    listener.on("coreplex_one", heard.append)
    await listener.start()
    assert listener.connected
    listener.on("coreplex_two", heard.append)
    await asyncio.sleep(0.2)
    async with database.transaction() as session:
        await notify(session, "coreplex_one", "a")
        await session.rollback()
    for channel, payload in (("coreplex_one", "b"), ("coreplex_two", "c")):
        async with database.transaction() as session:
            await notify(session, channel, payload)

    async def both() -> bool:
        return heard == ["", "b", "c"]

    await until(both, 30)
    await listener.stop()
    assert not listener.connected


async def test_a_cut_line_is_joined_again_and_its_hearers_told(database: Database, database_url: str) -> None:
    listener, heard = Listener(database_url), []
    listener.on("coreplex_one", heard.append)
    await listener.start()
    async with database.transaction() as session:
        ours = "datname = current_database() AND application_name = :name"
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"
        await session.execute(text(cut), {"name": NAME})

    async def told_again() -> bool:
        return heard == ["", ""] and listener.connected

    await until(told_again, 30)
    await listener.stop()
