"""Real worker processes: work, faults, orders, zombies, poison, lost messages, orderly ends."""

import asyncio
import os
import random
import signal
import subprocess
from collections import Counter
from typing import Any
from uuid import UUID

import psutil
import pytest
import redis
from sqlalchemy import text

from coreplex.event.service import after
from coreplex.event.table import EventKind
from coreplex.job import service
from coreplex.job.lifecycle import JobStatus
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from tests.jobs.harness import Workers, done, enqueue, happened, is_, read, until
from workers.broker import Bell
from workers.relay import Relay

FINAL = (JobStatus.succeeded, JobStatus.failed, JobStatus.cancelled)


async def cancel(database: Database, job_id: UUID) -> None:
    async with database.transaction() as session:
        assert await service.request_cancel(session, await read(database, job_id))


async def test_jobs_run_once_in_the_worker_and_in_children(database: Database, workers: Workers, project_id: UUID) -> None:
    workers.start()
    plain = await enqueue(database, 10, project_id, secs=0.05, steps=2)
    isolated = await enqueue(database, 2, project_id, secs=0.3, steps=3, child=True)
    await until(done(database))
    for job_id in [*plain, *isolated]:
        job = await read(database, job_id)
        assert (job.status, job.result, job.attempts) == (JobStatus.succeeded, {"stopped": False}, 1)
    assert await happened(database, "probe.done") == dict.fromkeys([*plain, *isolated], 1)
    job = await read(database, isolated[0])
    assert job.entity_id is not None
    async with database.read() as session:
        events = await after(session, "probe", job.entity_id)
    assert any(event.kind is EventKind.log and event.message.startswith("pid ") for event in events)
    assert any(event.kind is EventKind.progress and event.data["progress"] > 0 for event in events)
    assert [event.type for event in events if event.kind is EventKind.state] == ["job.queued", "job.running", "job.succeeded"]


async def test_faults_end_as_they_should(database: Database, workers: Workers) -> None:
    workers.start()
    (bad,) = await enqueue(database, fault="bad_input")
    (away,) = await enqueue(database, fault="retry", max_attempts=2)
    (error,) = await enqueue(database, fault="error", max_attempts=2)
    (crash,) = await enqueue(database, fault="child_crash", child=True, max_attempts=2)
    await until(done(database))
    expected = {
        bad: (1, "The request was wrong.", "probe_wrong"),
        away: (2, "Something is away", "probe_away"),
        error: (2, "server's log", "unexpected_error"),
        crash: (2, "SIGKILL", "task_crashed"),
    }
    for job_id, (attempts, words, reason) in expected.items():
        job = await read(database, job_id)
        assert (job.status, job.attempts) == (JobStatus.failed, attempts)
        assert job.error is not None
        assert (words in job.error, job.error.reason) == (True, reason)


async def test_duplicate_messages_change_nothing(database: Database, workers: Workers, settings: Settings) -> None:
    jobs = await enqueue(database, 10, secs=0.2)
    bell = Bell(settings.redis_url or "")
    for job_id in jobs * 5:
        bell.ring(job_id, (await read(database, job_id)).type)
    workers.start(2)
    await until(done(database))
    assert await happened(database, "probe.started") == dict.fromkeys(jobs, 1)
    assert await happened(database, "probe.done") == dict.fromkeys(jobs, 1)


async def test_a_poisoned_job_runs_three_times_and_harms_nobody(database: Database, workers: Workers) -> None:
    workers.start()
    (poison,) = await enqueue(database, fault="crash")
    neighbours = await enqueue(database, 5, secs=0.1, max_attempts=10)

    async def ended() -> bool:
        for process in list(workers.alive):
            if process.poll() is not None:
                workers.alive.remove(process)
                workers.start()
        return await done(database)()

    await until(ended, 40)
    job = await read(database, poison)
    assert (job.status, job.attempts) == (JobStatus.failed, 3)
    assert (await happened(database, "probe.started"))[poison] == 3
    assert await happened(database, "probe.done") == dict.fromkeys(neighbours, 1)


async def test_cancelling_a_running_job_leaves_no_child(database: Database, workers: Workers) -> None:
    workers.start()
    jobs = await enqueue(database, 3, secs=600, steps=600, child=True)

    async def all_have_children() -> bool:
        return len(workers.children()) == 3

    await until(all_have_children)
    children = workers.children()
    for job_id in jobs:
        await cancel(database, job_id)
    await until(done(database), 10)
    for job_id in jobs:
        job = await read(database, job_id)
        assert (job.status, job.error, job.result) == (JobStatus.cancelled, "cancelled", None)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    assert await happened(database, "probe.done") == {}


async def test_cancelled_or_done_at_whatever_moment_but_never_both(database: Database, workers: Workers) -> None:
    workers.start()
    draw = random.Random(3)
    jobs = await enqueue(database, 24, secs=0.4, steps=4)

    async def cancel_some_time(job_id: UUID) -> None:
        await asyncio.sleep(draw.uniform(0, 4))
        async with database.transaction() as session:
            await service.request_cancel(session, await read(database, job_id))

    await asyncio.gather(*(cancel_some_time(job_id) for job_id in jobs))
    await until(done(database))
    effects = await happened(database, "probe.done")
    for job_id in jobs:
        job = await read(database, job_id)
        expected = {JobStatus.succeeded: 1, JobStatus.cancelled: 0}
        assert effects.get(job_id, 0) == expected[job.status]
        assert (job.result is None) == (job.status is JobStatus.cancelled)


@pytest.mark.parametrize("child", [True, False])
async def test_stop_keeps_what_there_is(database: Database, workers: Workers, child: bool) -> None:
    workers.start()
    (job_id,) = await enqueue(database, secs=60, steps=600, child=child)

    async def progressed() -> bool:
        return (await read(database, job_id)).progress > 0

    await until(progressed)
    async with database.transaction() as session:
        assert await service.request_stop(session, await read(database, job_id))
    await until(is_(database, job_id, JobStatus.succeeded), 15)
    assert (await read(database, job_id)).result == {"stopped": True}


async def freeze(worker: subprocess.Popen[bytes], database: Database) -> None:
    """Stop a worker between two transactions: one that is frozen within a heartbeat's keeps its jobs for twenty seconds."""
    begun = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'")
    while True:
        worker.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.1)
        async with database.read() as session:
            if not await session.scalar(begun):
                return
        worker.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.05)


async def test_a_zombie_comes_back_too_late(database: Database, workers: Workers) -> None:
    zombie = workers.start()
    jobs = await enqueue(database, 2, secs=1.0) + await enqueue(database, 1, secs=1.0, child=True)

    async def all_run() -> bool:
        return len(await happened(database, "probe.started")) == 3

    await until(all_run)
    await freeze(zombie, database)
    workers.start()
    await until(done(database))
    zombie.send_signal(signal.SIGCONT)
    await asyncio.sleep(2)
    assert await happened(database, "probe.done") == dict.fromkeys(jobs, 1)
    assert {(await read(database, job_id)).attempts for job_id in jobs} == {2}
    assert not psutil.Process(zombie.pid).children()


async def test_a_killed_worker_takes_its_children_along(database: Database, workers: Workers) -> None:
    workers.start()
    (job_id,) = await enqueue(database, secs=600, steps=1, child=True)

    async def has_child() -> bool:
        return len(workers.children()) == 1

    await until(has_child)
    child = workers.children()[0]
    workers.kill(workers.alive[0])

    async def gone() -> bool:
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    await until(gone, 20)
    assert (await read(database, job_id)).status is JobStatus.running


async def test_an_emptied_redis_loses_no_job(database: Database, workers: Workers, settings: Settings, redis_url: str) -> None:
    workers.start()
    jobs = await enqueue(database, 40, secs=0.3)
    await asyncio.sleep(1.0)
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
    await until(done(database))
    assert await happened(database, "probe.done") == dict.fromkeys(jobs, 1)


async def test_a_full_queue_gets_no_second_messages(database: Database, workers: Workers, settings: Settings) -> None:
    workers.start()
    await enqueue(database, 4, secs=30, steps=300)
    await enqueue(database, 20, secs=0.01)

    async def all_run() -> bool:
        return len(await happened(database, "probe.started")) == 4

    await until(all_run)
    await asyncio.sleep(4)  # several times `redispatch`
    messages: list[Any] = Bell(settings.redis_url or "").client.lrange("coreplexml:chores", 0, -1)
    counts = Counter(message.partition(b":")[0] for message in messages)
    assert set(counts.values()) == {1}, counts


async def test_a_long_round_rings_once_for_each(services: Services, settings: Settings) -> None:
    """A round that takes longer than `redispatch`, as one of a hundred thousand jobs does."""
    bell = Bell(settings.redis_url or "")
    relay = Relay(services, bell, Timing(redispatch=0.0))
    jobs = await enqueue(services.database, 5)
    assert await relay.dispatch() == 5
    assert await relay.dispatch() == 0
    assert bell.waiting() == set(jobs)


async def test_sigterm_gives_jobs_back_unharmed(database: Database, workers: Workers) -> None:
    workers.start()
    jobs = await enqueue(database, 2, secs=60, steps=600, child=True)
    quick = await enqueue(database, 2, secs=1.0)

    async def all_run() -> bool:
        return len(await happened(database, "probe.started")) == 4

    await until(all_run)
    began = asyncio.get_running_loop().time()
    assert await asyncio.to_thread(workers.stop) == [0]
    assert asyncio.get_running_loop().time() - began < 10
    for job_id in jobs:
        job = await read(database, job_id)
        assert (job.status, job.attempts, job.token) == (JobStatus.queued, 0, None)
    assert {(await read(database, job_id)).status for job_id in quick} == {JobStatus.succeeded}


async def test_a_second_signal_ends_it_at_once(database: Database, workers: Workers) -> None:
    process = workers.start()
    await enqueue(database, 1, secs=60, steps=1)

    async def runs() -> bool:
        return len(await happened(database, "probe.started")) == 1

    await until(runs)
    process.terminate()
    await asyncio.sleep(0.3)
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 1


async def test_a_project_deleted_under_a_running_job(database: Database, workers: Workers, project_id: UUID) -> None:
    from sqlalchemy import text

    workers.start()
    await enqueue(database, 1, project_id, secs=600, steps=1, child=True)

    async def has_child() -> bool:
        return len(workers.children()) == 1

    await until(has_child)
    async with database.transaction() as session:
        await service.cancel_project(session, project_id)
        await session.execute(text("DELETE FROM projects"))

    async def no_child() -> bool:
        return not workers.children()

    await until(no_child, 30)
    assert workers.alive[0].poll() is None
    os.kill(workers.alive[0].pid, 0)
