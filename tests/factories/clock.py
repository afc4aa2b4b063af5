"""What the server does by the clock, done now."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlmodel import col

from coreplex.job import kinds, schedule
from coreplex.job.context import JobContext
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import new_id
from coreplex.platform.services import Services
from coreplex.runtime import housekeeping
from workers.runner import Runner


class Unfenced(JobContext):
    """Of a job that has no row."""

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        async with self.database.transaction() as session:
            yield session


async def tidy(services: Services) -> None:
    """This host's files, then the work of every kind of job that runs by the clock. Raises what one of them raises."""
    await housekeeping.tidy(services)
    for kind in kinds.scheduled():
        job = Job(type=kind.name)
        await kind.run(job, Unfenced(job, new_id(), services.database, services.settings, services.storage, Timing()))


async def work(services: Services) -> None:
    """Queue what is due, and run every job that waits, and those it leads to, as a worker does."""
    await schedule.tick(services.database)
    runner, waiting = Runner(services, Timing()), select(col(Job.id)).where(col(Job.status) == JobStatus.queued)
    for _ in range(10):
        async with services.database.read() as session:
            found = (await session.scalars(waiting.where(col(Job.not_before).is_(None)))).all()
        for job_id in found:
            await runner.run(job_id)
