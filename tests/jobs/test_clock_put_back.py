"""What was noted before the clock was put back lies in the future: nobody waits until it is there again."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from coreplex.account import lockout
from coreplex.errors.tree import Message, RateLimited, Unauthenticated
from coreplex.job import service
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.services import Services
from coreplex.runtime.readiness import readiness
from tests.jobs.harness import enqueue, read

HOUR = "interval '1 hour'"


async def put_back(database: Database, *columns: str) -> None:
    async with database.transaction() as session:
        for column in columns:
            table, _, name = column.partition(".")
            await session.execute(text(f"UPDATE {table} SET {name} = {name} + {HOUR}"))


async def test_a_lease_lasts_no_longer_than_a_new_one(database: Database) -> None:
    (job_id,) = await enqueue(database)
    async with database.transaction() as session:
        job = await service.claim(session, job_id, "gone", Timing())
    assert job is not None
    await put_back(database, "jobs.lease_until")
    async with database.transaction() as session:
        await service.shorten_waits(session, Timing())
    assert job.lease_until is not None
    left = (await read(database, job_id)).lease_until
    assert left is not None
    assert left - job.lease_until < timedelta(seconds=Timing().lease)


async def test_a_pause_lasts_no_longer_than_the_longest(database: Database) -> None:
    failed, delayed = await enqueue(database, 2)
    async with database.transaction() as session:
        moment = "clock_timestamp() + interval '1 second'"
        await session.execute(
            text(f"UPDATE jobs SET not_before = {moment}, attempts = CASE id WHEN '{failed}' THEN 1 ELSE 0 END")
        )
    await put_back(database, "jobs.not_before")
    before = (await read(database, delayed)).not_before
    async with database.transaction() as session:
        await service.shorten_waits(session, Timing())
    left, untouched = (await read(database, failed)).not_before, (await read(database, delayed)).not_before
    assert left is not None
    assert before is not None
    assert before - left > timedelta(minutes=50)
    assert untouched == before, "what was to wait from the beginning waits"


async def test_a_lost_message_is_sent_again(database: Database) -> None:
    (job_id,) = await enqueue(database)

    async def due() -> list[object]:
        async with database.transaction() as session:
            return [found for found, _ in await service.due_for_dispatch(session, Timing(), [])]

    assert (await due(), await due()) == ([job_id], [])
    await put_back(database, "jobs.dispatched_at")
    assert await due() == [job_id]


async def test_a_worker_of_the_future_is_none(services: Services) -> None:
    async with services.database.transaction() as session:
        await session.execute(text("INSERT INTO workers (id, started_at, seen_at) VALUES ('w', now(), now())"))
    assert (await readiness(services))["checks"]["worker"] == "ok"
    await put_back(services.database, "workers.seen_at")
    assert (await readiness(services))["checks"]["worker"] == "no worker has reported lately"


async def test_a_locked_account_opens(database: Database) -> None:
    async def attempt(*, right: bool) -> None:
        async with lockout.attempt(database, "ada@example.org", "192.0.2.1") as trial:
            trial.right = right
            if not right:
                raise Unauthenticated(Message("wrong_password", "wrong"))

    for _ in range(lockout.FREE_FAILURES):
        with pytest.raises(Unauthenticated):
            await attempt(right=False)
    with pytest.raises(RateLimited):
        await attempt(right=True)
    await put_back(database, "failed_logins.wait_until", "failed_logins.forget_at")
    await attempt(right=True)
