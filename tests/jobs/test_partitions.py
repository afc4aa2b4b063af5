"""The inference log in weekly partitions: no record is refused for its time, whole weeks go, and nobody waits for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import func, select, text
from sqlmodel import col

from coreplex.migrations.migrate import migrate
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.page import Page, SortDirection
from coreplex.platform.paging import View
from coreplex.platform.prepared import Prepared, Values
from coreplex.platform.reader import Reader, Statements
from coreplex.serving.log import orphaned_rows, partitions
from coreplex.serving.log.batch import STORE
from coreplex.serving.log.listing import LOGS
from coreplex.serving.table import InferenceLog
from tests.factories.bare import bare

GONE = UUID(int=1)
"""A deployment that was deleted."""
WEEK = timedelta(days=7)


@pytest.fixture
async def fresh(empty_database_url: str) -> AsyncIterator[Database]:
    """A migrated database of its own, whose partitions may be changed."""
    await migrate(empty_database_url)
    database = Database(empty_database_url)
    yield database
    await database.close()


def entry(moment: datetime, deployment: UUID = GONE) -> InferenceLog:
    ids = {"project_id": GONE, "deployment_id": deployment, "model_id": GONE}
    return InferenceLog(**ids, request_id="r", created_at=moment, retention_week=partitions.week_of(moment))


async def put(database: Database, *moments: datetime) -> None:
    async with database.transaction() as session:
        session.add_all(entry(moment) for moment in moments)


def record(moment: datetime, deployment: UUID = GONE, own_days: int | None = None) -> dict[str, Any]:
    """As a line of the spool has it."""
    ids = {"id": new_id(), "deployment_id": deployment, "model_id": GONE, "request_id": "r"}
    return {**ids, "row_index": 0, "inputs": {}, "latency_ms": 1, "created_at": moment, "log_days": own_days}


async def store(database: Database, records: list[dict[str, Any]]) -> None:
    async with database.transaction() as session:
        await session.execute(STORE, {"records": orjson.dumps(records, default=str).decode(), "tallies": "[]"})


async def kept(database: Database, table: str = "inference_logs") -> list[datetime]:
    async with database.read() as session:
        return list((await session.scalars(text(f"SELECT created_at FROM {table} ORDER BY created_at"))).all())


async def test_weeks_are_made_ahead_and_take_over_what_came_before_them(fresh: Database) -> None:
    today = now()
    later = today + 9 * WEEK
    odd = [today - 500 * WEEK, today - WEEK, today, later, later + 4000 * WEEK]
    await put(fresh, *odd)
    assert await kept(fresh) == odd, "whatever its time, a record is stored"
    assert len(await kept(fresh, partitions.DEFAULT)) == 4
    assert await partitions.make_ahead(fresh, today) == partitions.AHEAD - 1, "the migration made the first"
    assert await partitions.make_ahead(fresh, today) == 0
    assert await partitions.make_ahead(fresh, later) == partitions.AHEAD
    assert await kept(fresh, partitions.name_of(partitions.week_of(later))) == [later], "it was in the default partition"
    assert await kept(fresh, partitions.DEFAULT) == [*odd[:2], odd[-1]]
    assert await kept(fresh) == odd


async def test_whole_weeks_go_and_the_rest_of_them_by_rows(fresh: Database) -> None:
    today = now()
    moments = [today - 20 * WEEK, today - 2 * WEEK, today, today + 2 * WEEK, today + 30 * WEEK]
    await partitions.make_ahead(fresh, today)
    await put(fresh, *moments)
    before = await partitions.weeks(fresh)
    assert await partitions.drop_over(fresh, today, today) == 0
    assert await partitions.drop_over(fresh, today, None) == 0, "for ever"
    assert await partitions.drop_over(fresh, today, today + 2 * WEEK) == 2
    assert await partitions.weeks(fresh) == before[2:]
    assert await kept(fresh) == moments[:2] + moments[3:], "of no week: they go by rows"
    assert await orphaned_rows.remove(fresh, today, today + 2 * WEEK) == 4


async def test_nobody_waits_for_a_partition_to_go(fresh: Database) -> None:
    """A long read holds the log; the drop gives up at once, predictions are stored meanwhile, and the next round does it."""
    await partitions.make_ahead(fresh)
    far = now() + 2 * WEEK
    async with fresh.transaction() as reader:
        await reader.execute(select(func.count()).select_from(InferenceLog))
        dropping = asyncio.create_task(partitions.drop_over(fresh, now(), far))
        await asyncio.sleep(0.1)
        await put(fresh, now() + 3 * WEEK)
        assert await dropping == 0
    assert await partitions.drop_over(fresh, now(), far) == 2
    assert len(await kept(fresh)) == 1


async def test_processes_that_start_together_make_the_weeks_once(fresh: Database) -> None:
    made = await asyncio.gather(*(partitions.make_ahead(fresh) for _ in range(4)))
    assert sum(made) <= partitions.AHEAD - 1, "each week by one of them"
    await in_rounds(fresh, partitions.make_ahead, partitions.AHEAD)
    dropped = await asyncio.gather(*(partitions.drop_over(fresh, now(), now() + 2 * WEEK) for _ in range(4)))
    assert sum(dropped) <= 2
    await in_rounds(fresh, lambda database: partitions.drop_over(database, now(), now() + 2 * WEEK), partitions.AHEAD - 2)


async def in_rounds(database: Database, work: Callable[[Database], Awaitable[int]], left: int) -> None:
    """What a lock was not to be had for is done in a later round."""
    for _ in range(5):
        await work(database)
        if len(await partitions.weeks(database)) == left:
            return
    raise AssertionError(await partitions.weeks(database))


async def test_rows_of_deleted_deployments_go_in_batches(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphaned_rows, "BATCH", 10)
    there, moments = UUID(int=2), [now() - n * timedelta(days=30) for n in range(25)]
    await bare(fresh, "deployments", there)
    async with fresh.transaction() as session:
        session.add_all(entry(moment, which) for moment in moments for which in (GONE, there))
    assert await orphaned_rows.remove(fresh, now(), None) == 25
    async with fresh.read() as session:
        assert set((await session.scalars(select(col(InferenceLog.deployment_id)))).all()) == {there}
    assert await orphaned_rows.remove(fresh, now(), now() - timedelta(days=95)) == 21, "those that are in no week, by their age"
    assert await kept(fresh) == sorted(moments[:4])


async def test_a_record_that_comes_twice_is_stored_once(fresh: Database) -> None:
    for table in ("models", "deployments"):
        await bare(fresh, table, GONE)
    records = [record(moment) for moment in (now() - 700 * WEEK, now(), now() + 700 * WEEK)]
    for _ in range(2):
        await store(fresh, records)
    assert len(await kept(fresh)) == 3
    async with fresh.read() as session:
        assert await session.scalar(text("SELECT request_count FROM deployments")) == 3


async def test_a_week_goes_when_all_in_it_has_expired(fresh: Database) -> None:
    """Of deployments with days of their own: longer or shorter than the server's, each entry as it was written."""
    days = {UUID(int=2): 7, UUID(int=3): 400, UUID(int=4): None}
    await bare(fresh, "models", GONE)
    for deployment, own in days.items():
        await bare(fresh, "deployments", deployment, log_days=own)
    today = datetime.combine(partitions.end_of(partitions.week_of(now())), time(12), UTC) - timedelta(days=6)
    records = [record(today + n * WEEK, deployment, own) for n in range(3) for deployment, own in days.items()]
    await store(fresh, records)
    assert len(await kept(fresh, partitions.DEFAULT)) == 8, "the migration made the week of one"
    await partitions.make_ahead(fresh, today)
    async with fresh.transaction() as session:
        await session.execute(text("UPDATE deployments SET log_days = 30"))
    await store(fresh, records)
    assert len(await kept(fresh)) == 9, "sent again they are found"
    assert not await kept(fresh, partitions.DEFAULT)
    query = text("SELECT deployment_id, count(*) FROM inference_logs GROUP BY 1")
    for later, left in ((2, [2, 3, 3]), (4, [0, 3, 3]), (14, [0, 3, 2]), (57, [0, 3, 0]), (64, [0, 0, 0])):
        moment = today + later * WEEK
        await partitions.drop_over(fresh, moment, moment - timedelta(days=90))
        async with fresh.read() as session:
            found = dict(map(tuple, await session.execute(query)))
        assert [found.get(one, 0) for one in days] == left, later


async def test_a_week_is_the_same_in_the_database(fresh: Database) -> None:
    monday = datetime(2026, 11, 30, tzinfo=UTC)
    edges = [monday + n * timedelta(days=1) + m * timedelta(microseconds=1) for n in range(-9, 10) for m in (-1, 0, 1)]
    for moment in (*edges, datetime(1900, 1, 1, tzinfo=UTC), datetime(1970, 1, 12, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)):
        for own in (None, 1, 7, 90, 91, 3650):
            values = {"moment": moment, "own": own}
            query = text(f"SELECT {partitions.week_in_sql('CAST(:moment AS timestamptz)', 'CAST(:own AS int)')}")
            async with fresh.read() as session:
                found = await session.scalar(query, values)
            assert found == partitions.week_of(moment, own), values


@pytest.mark.parametrize("direction", SortDirection)
async def test_a_page_of_the_log_is_read_off_the_index_of_each_week(fresh: Database, direction: SortDirection) -> None:
    """A list sorts nothing, however long the log is, and its pages make the whole of it, over weeks and equal moments."""
    await partitions.make_ahead(fresh)
    await put(fresh, *(now() + number // 3 * timedelta(days=5) - 4 * WEEK for number in range(40)))
    alone = replace(LOGS, query=select(InferenceLog).where(col(InferenceLog.deployment_id) == GONE))
    plans: list[str] = []
    found: list[UUID] = []
    page = Page(first=7, sort_direction=direction)
    async with fresh.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        await session.execute(text("SET LOCAL enable_bitmapscan = off"))
        connection = await (await session.connection()).get_raw_connection()
        reader = _Explaining(connection.driver_connection, Statements(), fresh.engine.dialect)
        while True:
            one = await View(alone).slice(reader, page, nobody)
            plans.append("\n".join(reader.plans))
            found += [row.id for row in one.nodes]
            if not one.has_next:
                break
            page = replace(page, after=one.cursors[-1])
        rows = (await session.execute(select(InferenceLog.created_at, InferenceLog.id))).all()
    assert found == [row.id for row in sorted(rows, reverse=direction is SortDirection.desc)]
    for plan in plans:
        assert "Merge Append" in plan
        assert "Sort  (" not in plan, plan
    assert "ROW(created_at, id)" in plans[1], "a later page begins where the one before ended"


class _Explaining(Reader):
    """Keeps how the last statement it was asked is carried out."""

    async def fetch(self, statement: Prepared, values: Values) -> list[Any]:
        explained = await self.connection.fetch(f"EXPLAIN {statement.text}", *statement.arguments(values))
        self.plans = [line for (line,) in explained]
        return await super().fetch(statement, values)


async def nobody() -> int:
    return 0
