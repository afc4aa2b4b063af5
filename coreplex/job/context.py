"""What a running job has at hand: its row, its fence, its orders, and a way to say how far it is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from coreplex.database import WriteSession
from coreplex.errors import Unavailable
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.isolation import Control
from coreplex.job import service
from coreplex.job.table import Job
from coreplex.services import Services

RETRY_FIRST_SECS = 0.2
RETRY_LAST_SECS = 3.0

Result = TypeVar("Result")


class FenceLost(Exception):
    """Another worker has taken the job over: stop, write nothing."""


class Cancelled(Exception):
    """The owner asked to end the job."""


class Retry(Exception):
    """Try the job again after `delay`, counted as an attempt."""

    def __init__(self, message: str, delay: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(message)
        self.delay = delay


@dataclass
class JobContext:
    job: Job
    services: Services
    control: Control = field(default_factory=Control)
    """Reaches the job's child processes: cancel and stop go through it."""
    progress: float | None = None
    message: str | None = None
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def report(self, progress: float, message: str = "") -> None:
        """Say how far the job is, 0 to 100; the next heartbeat carries it."""
        self.progress, self.message = progress, message

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """A transaction that holds the fence from its first statement. Raises FenceLost."""
        async with self.services.database.transaction() as session:
            if not await service.holds_fence(session, self.job):
                self.lost.set()
                raise FenceLost
            yield session

    async def persist(self, act: Callable[[WriteSession], Awaitable[Result]]) -> Result:
        """Run `act` in a fenced transaction, again and again while the database is away; FenceLost ends it at the latest."""
        pause = RETRY_FIRST_SECS
        while True:
            try:
                async with self.write() as session:
                    return await act(session)
            except Unavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_LAST_SECS)

    async def log(self, message: str, level: str = "info") -> None:
        """Write a line into the log of the job's entity."""
        await self.persist(lambda session: append_log(session, self.job, message, level))


async def append_log(session: WriteSession, job: Job, message: str, level: str = "info") -> None:
    assert job.entity_id is not None
    await event.append(
        session,
        entity_type=job.entity_type,
        entity_id=job.entity_id,
        project_id=job.project_id,
        kind=EventKind.log,
        type=f"{job.entity_type}.log",
        level=level,
        message=message[:4000],
    )
