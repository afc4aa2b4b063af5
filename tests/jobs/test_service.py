"""The life of a job row: claims, fences, leases, orders, attempts, dispatch."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from coreplex.errors.tree import Message
from coreplex.event.service import after
from coreplex.job import service
from coreplex.job.lifecycle import JobStatus
from coreplex.job.service import Orders
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id

LATE, AWAY = Message("late", "late"), Message("away", "away")


async def make(database: Database, project_id: UUID | None = None, **values: Any) -> Job:
    async with database.transaction() as session:
        return await service.enqueue(
            session, "probe", project_id=project_id, entity_type="experiment", entity_id=new_id(), **values
        )


async def claim(database: Database, job: Job, timing: Timing) -> Job | None:
    async with database.transaction() as session:
        return await service.claim(session, job.id, "w", timing)


async def read(database: Database, job: Job) -> Job:
    async with database.read() as session:
        return await session.get_one(Job, job.id)


async def expire(database: Database, job: Job) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET lease_until = now() - interval '1s' WHERE id = :id"), {"id": job.id})


async def claimed(database: Database, timing: Timing, **values: Any) -> tuple[Job, UUID]:
    job = await claim(database, await make(database, **values), timing)
    assert job is not None
    assert job.token is not None
    return job, job.token


async def test_many_claimers_one_claim(database: Database, timing: Timing) -> None:
    job = await make(database)
    claims = await asyncio.gather(*(claim(database, job, timing) for _ in range(8)))
    assert sum(taken is not None for taken in claims) == 1
    assert (await read(database, job)).attempts == 1


async def test_rolled_back_never_was(database: Database, timing: Timing) -> None:
    async with database.transaction() as session:
        job = await service.enqueue(session, "probe", entity_type="x", entity_id=new_id())
        await session.rollback()
    assert await claim(database, job, timing) is None


async def test_the_fence_refuses_the_late(database: Database, timing: Timing) -> None:
    job, old = await claimed(database, timing)
    await expire(database, job)
    again = await claim(database, job, timing)
    assert again is not None
    assert again.token is not None
    assert again.attempts == 2
    async with database.transaction() as session:
        assert await service.heartbeat(session, job.id, old, timing) is None
        assert not await service.finish(session, job.id, old, {"late": True})
        assert not await service.fail(session, job.id, old, LATE)
        assert not await service.retry(session, job.id, old, LATE, timedelta(0))
        assert not await service.release(session, job.id, old)
        assert not await service.cancelled(session, job.id, old)
        await service.heartbeat(session, job.id, again.token, timing, 0.3, "weighing")
        assert await service.finish(session, job.id, again.token, {"in_time": True})
    done = await read(database, job)
    assert (done.progress, done.message) == (1.0, ""), "nothing goes on any more"
    assert (done.status, done.result, done.token) == (JobStatus.succeeded, {"in_time": True}, None)


async def test_an_ended_job_stays_ended(database: Database, timing: Timing) -> None:
    job, token = await claimed(database, timing)
    async with database.transaction() as session:
        assert await service.fail(session, job.id, token, Message("broken", "broken"))
    async with database.transaction() as session:
        assert not await service.finish(session, job.id, token)
        assert not await service.request_cancel(session, job)
        assert not await service.request_stop(session, job)
        assert not await service.take_back(session, job.id)
    assert await claim(database, job, timing) is None
    assert (await read(database, job)).status is JobStatus.failed


async def test_a_beat_keeps_the_lease_and_brings_orders(database: Database, timing: Timing) -> None:
    job, token = await claimed(database, timing)
    await expire(database, job)
    async with database.transaction() as session:
        assert await service.heartbeat(session, job.id, token, timing, 0.5, "half") == Orders()
        assert not await service.take_back(session, job.id)
        assert await service.request_stop(session, job)
        assert await service.heartbeat(session, job.id, token, timing) == Orders(stop=True)
        assert await service.request_cancel(session, job)
        assert await service.heartbeat(session, job.id, token, timing) == Orders(cancel=True, stop=True)
    found = await read(database, job)
    assert (found.progress, found.message) == (0.5, "half")


@pytest.mark.parametrize("order", [service.request_cancel, service.request_stop])
async def test_a_queued_job_is_cancelled_at_once(database: Database, timing: Timing, order: Any) -> None:
    job = await make(database)
    async with database.transaction() as session:
        assert await order(session, job)
    assert (await read(database, job)).status is JobStatus.cancelled
    assert await claim(database, job, timing) is None


async def test_cancelled_or_done_but_never_both(database: Database, timing: Timing) -> None:
    job, token = await claimed(database, timing)
    async with database.transaction() as session:
        await service.request_cancel(session, job)
    async with database.transaction() as session:
        assert await service.finish(session, job.id, token, {"too": "late"})
    found = await read(database, job)
    assert (found.status, found.error, found.result) == (JobStatus.cancelled, "cancelled", None)


async def test_a_cancelled_job_says_why_and_not_what_failed_before(database: Database, timing: Timing) -> None:
    ours, others = [(await claimed(database, timing)) for _ in range(2)]
    for job, token in (ours, others):
        async with database.transaction() as session:
            assert await service.retry(session, job.id, token, LATE, timedelta(0))
    again = [await claim(database, job, timing) for job, _ in (ours, others)]
    async with database.transaction() as session:
        await service.cancel_all(session, select(col(Job.id)).where(col(Job.id) == ours[0].id), Message("gone", "It is gone."))
        assert await service.request_cancel(session, others[0])
        assert await service.request_cancel(session, ours[0]), "the first reason stays"
    for job in again:
        assert job is not None
        assert job.token is not None
        async with database.transaction() as session:
            assert await service.fail(session, job.id, job.token, LATE)
    found = [await read(database, job) for job, _ in (ours, others)]
    assert [(one.status, str(one.error)) for one in found] == [("cancelled", "It is gone."), ("cancelled", "cancelled")]


async def test_an_abandoned_cancelled_job_ends_cancelled(database: Database, timing: Timing) -> None:
    job, _ = await claimed(database, timing)
    async with database.transaction() as session:
        await service.request_cancel(session, job)
    await expire(database, job)
    async with database.transaction() as session:
        assert await service.expired(session) == [job.id]
        assert await service.take_back(session, job.id)
    assert (await read(database, job)).status is JobStatus.cancelled


async def test_a_poisoned_job_is_given_up(database: Database, timing: Timing) -> None:
    job = await make(database, max_attempts=3)
    for _ in range(3):
        assert await claim(database, job, timing) is not None
        await expire(database, job)
        async with database.transaction() as session:
            assert await service.take_back(session, job.id)
    found = await read(database, job)
    assert (found.status, found.attempts) == (JobStatus.failed, 3)
    assert "3 times" in (found.error or "")


async def test_retry_waits_then_gives_up(database: Database, timing: Timing) -> None:
    job, token = await claimed(database, timing, max_attempts=2)
    slow = timedelta(seconds=60)
    async with database.transaction() as session:
        assert await service.retry(session, job.id, token, AWAY, slow)
    assert await claim(database, job, timing) is None
    async with database.transaction() as session:
        assert await service.due_for_dispatch(session, timing) == []
        await session.execute(text("UPDATE jobs SET not_before = now()"))
    again = await claim(database, job, timing)
    assert again is not None
    assert again.token is not None
    async with database.transaction() as session:
        assert await service.retry(session, job.id, again.token, Message("away_still", "away still"), slow)
    found = await read(database, job)
    assert (found.status, found.error) == (JobStatus.failed, "away still")


async def test_release_does_not_count(database: Database, timing: Timing) -> None:
    job, token = await claimed(database, timing)
    async with database.transaction() as session:
        assert await service.release(session, job.id, token)
    found = await read(database, job)
    assert (found.status, found.attempts, found.dispatched_at) == (JobStatus.queued, 0, None)


async def test_dispatch_once_and_again_only_when_lost(database: Database, timing: Timing) -> None:
    job = await make(database)

    async def due(*in_queue: UUID) -> list[UUID]:
        async with database.transaction() as session:
            return [id for id, _ in await service.due_for_dispatch(session, timing, in_queue)]

    assert await due() == [job.id]
    assert await due() == []
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET dispatched_at = now() - interval '1 minute'"))
    assert await due(job.id) == []
    assert await due(new_id()) == [job.id]


async def test_relays_side_by_side_dispatch_each_job_once(database: Database, timing: Timing) -> None:
    jobs = {(await make(database)).id for _ in range(20)}

    async def due() -> list[UUID]:
        async with database.transaction() as session:
            return [id for id, _ in await service.due_for_dispatch(session, timing, limit=7)]

    found = [id for batch in await asyncio.gather(*(due() for _ in range(5))) for id in batch]
    assert len(found) == len(set(found))
    while more := await due():
        found += more
    assert set(found) == jobs


async def test_a_job_of_a_newer_server_is_left_alone(database: Database, timing: Timing) -> None:
    job = await make(database)
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET type = 'from_the_future'"))
    assert await claim(database, job, timing) is None
    async with database.transaction() as session:
        assert await service.due_for_dispatch(session, timing) == []


async def test_cancelling_a_project_reaches_all_its_open_jobs(database: Database, timing: Timing, project_id: UUID) -> None:
    queued = await make(database, project_id)
    running, token = await claimed(database, timing, project_id=project_id)
    async with database.transaction() as session:
        await service.cancel_project(session, project_id)
        assert await service.heartbeat(session, running.id, token, timing) == Orders(cancel=True)
    assert (await read(database, queued)).status is JobStatus.cancelled


async def test_every_change_is_an_event_of_the_entity(database: Database, timing: Timing, project_id: UUID) -> None:
    job, token = await claimed(database, timing, project_id=project_id)
    assert job.entity_id is not None
    async with database.transaction() as session:
        await service.finish(session, job.id, token)
    async with database.read() as session:
        events = await after(session, "experiment", job.entity_id)
    assert [event.type for event in events] == ["job.queued", "job.running", "job.succeeded"]
