"""Real worker processes to kill, and a way to see what became of the jobs."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from sqlalchemy import func, select, text
from sqlmodel import col

from coreplex.errors.tree import Unavailable
from coreplex.event.table import Event
from coreplex.job import service
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.identifier import new_id
from coreplex.platform.settings import Settings
from coreplex.runtime import concepts

ROOT = Path(__file__).resolve().parents[2]
concepts.load("jobs")


class Workers:
    """`python -m workers`, as often as wanted."""

    def __init__(self, settings: Settings, timing: Timing, threads: int = 4) -> None:
        environment = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url, "WORKER_THREADS": str(threads)}
        self.environment = os.environ | environment | {"DATA_DIR": str(settings.data_dir), "LOG_LEVEL": "info"}
        self.log = Path(settings.data_dir.parent / "workers.log")
        self.arguments = [f"--{f.name.replace('_', '-')}={getattr(timing, f.name)}" for f in fields(timing)]
        self.alive: list[subprocess.Popen[bytes]] = []

    def start(self, count: int = 1) -> subprocess.Popen[bytes]:
        for _ in range(count):
            with self.log.open("ab") as output:
                command = [sys.executable, "-m", "workers", *self.arguments]
                self.alive.append(subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=output, stderr=output))
        return self.alive[-1]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        self.alive.remove(process)
        process.kill()
        process.wait()

    def stop(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        for process in self.alive:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        codes = [process.wait(30) for process in self.alive]
        self.alive.clear()
        return codes

    def children(self) -> list[psutil.Process]:
        """The children of the living workers."""
        return [child for process in self.alive for child in psutil.Process(process.pid).children()]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Database]:
    """A database of the test's own, for servers of its own."""
    database = Database(settings.database_url or "", pool_size=5)
    yield database
    await database.close()


async def enqueue(database: Database, count: int = 1, project_id: UUID | None = None, **options: Any) -> list[UUID]:
    """Queue probe jobs; `max_attempts` and the payload's keys as options."""
    attempts = options.pop("max_attempts", 3)
    async with database.transaction() as session:
        jobs = [
            await service.enqueue(
                session,
                "probe",
                entity_type="probe",
                entity_id=new_id(),
                project_id=project_id,
                payload=options,
                max_attempts=attempts,
            )
            for _ in range(count)
        ]
    return [job.id for job in jobs]


async def read(database: Database, job_id: UUID) -> Job:
    async with database.read() as session:
        return await session.get_one(Job, job_id)


async def happened(database: Database, type: str) -> dict[UUID, int]:
    """How often a probe wrote an event of this type, by job."""
    query = select(col(Event.entity_id), func.count()).where(col(Event.type) == type).group_by(col(Event.entity_id))
    async with database.read() as session:
        return {row[0]: row[1] for row in await session.execute(query)}


async def unfinished(database: Database) -> int:
    query = text("SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')")
    async with database.read() as session:
        return int(await session.scalar(query) or 0)


async def until(condition: Callable[[], Coroutine[Any, Any, bool]], seconds: float = 60.0) -> None:
    """Wait until the condition holds; the database may be away meanwhile."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                if await condition():
                    return
            except Unavailable:
                pass
            await asyncio.sleep(0.05)


def is_(database: Database, job_id: UUID, *statuses: JobStatus) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def condition() -> bool:
        return (await read(database, job_id)).status in statuses

    return condition


def done(database: Database) -> Callable[[], Coroutine[Any, Any, bool]]:
    async def condition() -> bool:
        return await unfinished(database) == 0

    return condition
