"""Chaos: workers killed in the middle of real jobs, Redis emptied and restarted, PostgreSQL killed and restarted.

Afterwards the database is compared with what the client was told: every acknowledged job is done (lost 0), its one effect is
there exactly once (duplicated 0), nothing is left queued or running (stuck 0), and no job changed after its end (resurrected 0).
"""

import asyncio
import random
import time
from dataclasses import dataclass, field
from uuid import UUID

import pytest
import redis
from sqlalchemy import select
from sqlmodel import col

from coreplex.errors.tree import Unavailable
from coreplex.event.table import Event, EventKind
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from tests import servers
from tests.jobs.conftest import kill_postgres, make_project, revive_postgres
from tests.jobs.harness import Workers, connected, done, enqueue, unfinished, until


@dataclass(frozen=True)
class Plan:
    """How much of what happens."""

    jobs: int
    kills: int
    flushes: int
    redis_restarts: int
    postgres_kills: int
    pause: float
    patience: float
    batch: int = field(default=10)


SMALL = Plan(jobs=50, kills=3, flushes=1, redis_restarts=1, postgres_kills=1, pause=0.5, patience=100)
LARGE = Plan(jobs=1000, kills=40, flushes=4, redis_restarts=2, postgres_kills=4, pause=1.0, patience=400)


MOST_WAITING, LEAST_WAITING = 100, 20


class Storm:
    """Everything that goes wrong, in an order drawn from a seed."""

    def __init__(self, plan: Plan, workers: Workers, running: servers.Servers, database: Database, seed: int) -> None:
        self.plan, self.workers, self.running, self.database = plan, workers, running, database
        self.random = random.Random(seed)
        self.over = False

    async def blow(self) -> None:
        faults = [self._kill_worker] * self.plan.kills + [self._flush] * self.plan.flushes
        faults += [self._restart_redis] * self.plan.redis_restarts + [self._kill_postgres] * self.plan.postgres_kills
        self.random.shuffle(faults)
        for fault in faults:
            await asyncio.sleep(self.plan.pause * self.random.uniform(0.5, 1.5))
            await fault()
        self.over = True

    async def _kill_worker(self) -> None:
        """One that is in the middle of a job."""
        busy: set[int] = set()

        async def found() -> bool:
            async with self.database.read() as session:
                names = await session.scalars(select(Job.worker).where(col(Job.status) == JobStatus.running))
            busy.update(int(name.split(":")[1]) for name in names if name)
            return bool(busy & self._pids())

        await until(found, 60)
        victim = self.random.choice([process for process in self.workers.alive if process.pid in busy])
        await asyncio.to_thread(self.workers.kill, victim)
        self.workers.start()

    def _pids(self) -> set[int]:
        return {process.pid for process in self.workers.alive}

    async def _flush(self) -> None:
        with redis.Redis.from_url(self.running.valkey.url()) as client:
            client.flushall()

    async def _restart_redis(self) -> None:
        await asyncio.to_thread(self.running.restart_valkey)

    async def _kill_postgres(self) -> None:
        await asyncio.to_thread(self._replace_postgres)

    def _replace_postgres(self) -> None:
        kill_postgres(self.running)
        time.sleep(self.random.uniform(0, 2))
        revive_postgres(self.running)


class Client:
    """Queues jobs all the while, and remembers what it was told."""

    def __init__(self, database: Database, project_id: UUID, plan: Plan) -> None:
        self.database, self.project_id, self.plan = database, project_id, plan
        self.acknowledged: set[UUID] = set()

    async def work(self, storm: "Storm") -> None:
        """Until the storm is over and all is queued; never so fast that there would be nothing left to do in the storm."""
        number = 0
        while len(self.acknowledged) < self.plan.jobs or not storm.over:
            number += 1
            try:
                backlog = await unfinished(self.database)
                if (len(self.acknowledged) < self.plan.jobs and backlog < MOST_WAITING) or backlog < LEAST_WAITING:
                    child, job = number % 10 == 0, {"secs": 0.3, "steps": 3, "max_attempts": 100}
                    found = await enqueue(self.database, self.plan.batch, self.project_id, child=child, **job)
                    self.acknowledged |= set(found)
            except Unavailable:
                await asyncio.sleep(0.3)
            await asyncio.sleep(0.1)


async def survey(database: Database, acknowledged: set[UUID]) -> dict[str, int]:
    """What came of the jobs, as counts that should be 0."""
    async with database.read() as session:
        jobs = {job.id: job for job in await session.scalars(select(Job))}
        events = list(await session.scalars(select(Event).order_by(col(Event.seq))))
    effects = dict.fromkeys(jobs, 0)
    last: dict[str, str] = {}
    resurrected = 0
    for event in events:
        if event.type == "probe.done":
            effects[event.entity_id] = effects.get(event.entity_id, 0) + 1
        if event.kind is EventKind.state:
            job_id = event.data["job_id"]
            resurrected += last.get(job_id) == "job.succeeded"
            last[job_id] = event.type
    return {
        "lost": sum(job_id not in jobs or effects[job_id] == 0 for job_id in acknowledged),
        "duplicated": sum(count > 1 for count in effects.values()),
        "phantom": len(effects.keys() - jobs.keys()),
        "stuck": sum(not job.status.final for job in jobs.values()),
        "ended otherwise": sum(job.status is not JobStatus.succeeded for job in jobs.values()),
        "resurrected": resurrected,
    }


async def weather(plan: Plan, running: servers.Servers, settings: Settings, timing: Timing, seed: int) -> None:
    workers = Workers(settings, timing)
    try:
        async with connected(settings) as database:
            client = Client(database, await make_project(database), plan)
            workers.start(3)
            storm = Storm(plan, workers, running, database, seed)
            async with asyncio.TaskGroup() as group:
                group.create_task(storm.blow())
                group.create_task(client.work(storm))
            await until(done(database), plan.patience)
            assert await asyncio.to_thread(workers.stop) == [0, 0, 0]
            assert len(client.acknowledged) >= plan.jobs
            assert not {what: count for what, count in (await survey(database, client.acknowledged)).items() if count}
    finally:
        for process in workers.alive:
            process.kill()
            process.wait()


async def test_chaos(running: servers.Servers, mortal_settings: Settings, timing: Timing) -> None:
    await weather(SMALL, running, mortal_settings, timing, seed=20261123)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_chaos_at_full_size(running: servers.Servers, mortal_settings: Settings, timing: Timing) -> None:
    await weather(LARGE, running, mortal_settings, timing, seed=1)
