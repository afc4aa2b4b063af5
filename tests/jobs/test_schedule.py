"""What runs by the clock: once per period over all processes, never lost, never twice at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from structlog.testing import capture_logs

from coreplex.errors.tree import Message
from coreplex.job import kinds, schedule, service
from coreplex.job.kinds import JobKind
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Schedule
from coreplex.job.timing import Timing
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.runtime import concepts
from tests.factories.bare import bare
from tests.jobs.harness import Workers, read, until

concepts.load("jobs")
REAL = {kind.name for kind in kinds.scheduled()}
HOUR = timedelta(hours=1)
HOURLY, DAILY = "hourly_probe", "daily_probe"
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 aware by `timezones`


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two kinds beside the real ones; those of the clock are only ours."""
    probe = kinds.kind_of("probe").run
    ours = {name: JobKind(name, probe, every=every) for name, every in ((HOURLY, HOUR), (DAILY, 24 * HOUR))}
    monkeypatch.setattr(kinds, "_KINDS", {name: kinds.kind_of(name) for name in kinds.listed()} | ours)


@pytest.fixture
async def others(settings: Settings) -> AsyncIterator[list[Database]]:
    """What other processes have: pools of their own."""
    made = [Database(settings.database_url or "", pool_size=4) for _ in range(4)]
    yield made
    for one in made:
        await one.close()


async def row_of(database: Database, name: str = HOURLY) -> Schedule:
    async with database.read() as session:
        return await session.get_one(Schedule, name)


async def make_due(database: Database, ago: timedelta = timedelta(0), name: str = HOURLY) -> None:
    async with database.transaction() as session:
        statement = text("UPDATE schedules SET next_at = clock_timestamp() - CAST(:ago AS interval) WHERE name = :name")
        await session.execute(statement, {"ago": ago, "name": name})


async def queued(database: Database, name: str = HOURLY) -> int:
    async with database.read() as session:
        return await session.scalar(text("SELECT count(*) FROM jobs WHERE type = :name"), {"name": name}) or 0


async def end(database: Database, job_id: UUID | None, error: str = "") -> None:
    assert job_id is not None
    async with database.transaction() as session:
        job = await service.claim(session, job_id, "w", Timing())
        assert job is not None
        assert job.token is not None
        said = Message("ended", "{error}", error=error)
        ended = service.fail(session, job_id, job.token, said) if error else service.finish(session, job_id, job.token)
        assert await ended


@given(due=moments, late=st.timedeltas(timedelta(0), timedelta(days=4000)), every=st.timedeltas(timedelta(seconds=1), 9 * HOUR))
def test_the_next_time_is_the_first_to_come_on_the_grid(due: datetime, late: timedelta, every: timedelta) -> None:
    following = schedule.following(due, due + late, every)
    assert due + late < following <= due + late + every
    assert (following - due) % every == timedelta(0)


@given(now=moments, ahead=st.timedeltas(timedelta(microseconds=1), timedelta(days=4000)), every=st.timedeltas(HOUR, 9 * HOUR))
def test_a_time_further_ahead_than_a_period_is_forgotten(now: datetime, ahead: timedelta, every: timedelta) -> None:
    assert schedule.following(now + every + ahead, now, every) == now + every


async def test_a_kind_runs_at_first_sight_and_then_once_a_period(database: Database) -> None:
    first = await schedule.tick(database)
    assert [(await read(database, one)).type for one in first] == [HOURLY, DAILY]
    for one in first:
        await end(database, one)
    assert await schedule.tick(database) == []
    row = await row_of(database)
    assert row.job_id == first[0]
    assert row.last_at is not None
    assert timedelta(0) < row.next_at - row.last_at <= HOUR
    await make_due(database)
    (second,) = await schedule.tick(database)
    job = await read(database, second)
    assert (job.type, job.project_id, job.entity_type, job.entity_id) == (HOURLY, None, "schedule", None)
    assert await queued(database, DAILY) == 1


async def test_many_relays_at_once_queue_one_job(database: Database, others: list[Database]) -> None:
    for number in range(1, 6):
        found = await asyncio.gather(*(schedule.tick(one) for one in others * 3))
        assert len([job for jobs in found for job in jobs if job]) == (2 if number == 1 else 1)
        assert (await queued(database), await queued(database, DAILY)) == (number, 1)
        await end(database, (await row_of(database)).job_id)
        await make_due(database)


async def test_a_process_frozen_before_its_commit_holds_nobody_up(database: Database, others: list[Database]) -> None:
    """Its row of the schedule is not committed yet: to insert another would wait for it."""
    async with others[0].transaction() as frozen:
        await schedule._queue(frozen, kinds.kind_of(HOURLY))
        async with asyncio.timeout(5):
            assert [(await read(database, job)).type for job in await schedule.tick(database)] == [DAILY]
        await frozen.rollback()
    assert [(await read(database, job)).type for job in await schedule.tick(database)] == [HOURLY]


async def test_a_crash_before_the_commit_loses_no_tick_and_doubles_none(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any) -> datetime:
        raise RuntimeError("killed between the job and the next time")

    with monkeypatch.context() as killed:
        killed.setattr(schedule, "following", crash)
        with pytest.raises(RuntimeError):
            await schedule.tick(database)
    assert (await queued(database), await queued(database, DAILY)) == (0, 0)
    assert len(await schedule.tick(database)) == 2
    assert await schedule.tick(database) == []


async def test_an_absence_of_ten_periods_is_made_up_for_once(database: Database) -> None:
    (first, _) = await schedule.tick(database)
    await end(database, first)
    await make_due(database, 10.5 * HOUR)
    (second,) = await schedule.tick(database)
    await end(database, second)
    assert await schedule.tick(database) == []
    row = await row_of(database)
    assert row.last_at is not None
    assert abs(row.next_at - row.last_at - HOUR / 2) < timedelta(minutes=5), "it stays on its grid"


async def test_a_slow_run_is_not_overtaken(database: Database) -> None:
    (first, _) = await schedule.tick(database)
    async with database.transaction() as session:
        job = await service.claim(session, first, "slow", Timing())
    assert job is not None
    assert job.token is not None
    await make_due(database, HOUR * 3)
    assert await schedule.tick(database) == []
    async with database.transaction() as session:
        assert await service.retry(session, first, job.token, Message("away", "away"), timedelta(minutes=1))
    assert await schedule.tick(database) == [], "it waits for its second attempt"
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET not_before = NULL"))
    await end(database, first)
    assert len(await schedule.tick(database)) == 1


async def test_a_failed_run_is_said_and_tried_again_in_the_next_period(database: Database) -> None:
    (first, _) = await schedule.tick(database)
    await end(database, first, "the disk was full")
    assert await schedule.tick(database) == []
    await make_due(database)
    with capture_logs() as said:
        (second,) = await schedule.tick(database)
    assert second != first
    (warning,) = [line for line in said if line["event"] == "schedule.failed_before"]
    assert warning["log_level"] == "warning"
    assert (warning["kind"], warning["job_id"], warning["error"]) == (HOURLY, str(first), "the disk was full")


async def test_a_clock_put_back_and_a_job_that_was_purged_stop_nothing(database: Database) -> None:
    (first, _) = await schedule.tick(database)
    await end(database, first)
    await make_due(database, -50 * HOUR)
    (second,) = await schedule.tick(database)
    await end(database, second)
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": second})
    assert (await row_of(database)).job_id is None
    assert await schedule.tick(database) == []
    await make_due(database)
    assert len(await schedule.tick(database)) == 1


async def test_workers_run_what_is_due_once(database: Database, workers: Workers) -> None:
    """Real processes and the real kinds: two at once, at first sight and after five days."""

    async def ran(times: int) -> bool:
        async with database.read() as session:
            query = text("SELECT type, status, count(*) FROM jobs WHERE entity_type = 'schedule' GROUP BY type, status")
            rows = {tuple(row) for row in await session.execute(query)}
        return rows == {(name, JobStatus.succeeded, times) for name in REAL}

    assert {"retention", "inference_log", "mails_waiting"} <= REAL
    await bare(database, "mails", UUID(int=1), created_at=now() - timedelta(days=40))
    workers.start(2)
    await until(lambda: ran(1))
    async with database.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM mails")) == 0
        await session.execute(text("UPDATE schedules SET next_at = now() - interval '5 days'"))
    await until(lambda: ran(2))
    await asyncio.sleep(1)
    assert await ran(2)
