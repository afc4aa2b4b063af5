"""What a handler may do while its job runs: write through the fence, report, log, and hear what it was ordered.

Nothing a handler does through here has an effect once the job belongs to another worker. Progress and logs are collected and
written every half second; handlers need not ration them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.job import service
from coreplex.job.service import Orders
from coreplex.job.table import Job, percent
from coreplex.job.timing import Timing
from coreplex.platform.database import Database, WriteSession, persist
from coreplex.platform.isolation import Control
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.platform.storage import Storage

MAX_LOG_LINES = 2000
MAX_MESSAGE = 4000

T = TypeVar("T")


class FenceLost(Exception):
    """The job is somebody else's by now; whatever was about to be written is not."""


class JobCancelled(Exception):
    """The job was cancelled; whatever was about to be written is not."""


class JobContext:
    """One attempt of one job."""

    def __init__(
        self,
        job: Job,
        token: UUID,
        database: Database,
        settings: Settings,
        storage: Storage,
        timing: Timing,
        services: Services | None = None,
    ) -> None:
        self.job_id, self.token = job.id, token
        self.database, self.settings, self.storage, self.timing = database, settings, storage, timing
        self.services = services
        """What concepts keep for the life of the process; None where a job is run by itself."""
        self.control = Control()
        """Give this to `run_child`, and an order to stop reaches the child."""
        self.orders = Orders()
        self.progress: float | None = None
        self.message: str | None = None
        self._entity = (job.entity_type, job.entity_id) if job.project_id and job.entity_id else ("job", job.id)
        self._project_id = job.project_id
        self._lines: list[tuple[EventKind, str, str, dict[str, Any]]] = []
        self._dropped = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """A transaction that commits only while the job is ours. Raises FenceLost, JobCancelled, Unavailable."""
        async with self.database.transaction() as session:
            await self._hold(session)
            yield session

    async def save(self, work: Callable[[WriteSession], Awaitable[T]]) -> T:
        """The same for a function of the session, tried again as long as the database is away: it must bear a repetition."""

        async def once() -> T:
            async with self.write() as session:
                return await work(session)

        return await persist(once)

    def report(self, progress: float, message: str = "") -> None:
        """How far the whole job is, 0 to 1, and what it is doing."""
        self.progress, self.message = progress, message[:MAX_MESSAGE]

    def log(self, message: str, level: str = "info", **data: Any) -> None:
        """A line for the log of the job's entity."""
        if len(self._lines) >= MAX_LOG_LINES:
            self._dropped += 1
        else:
            self._lines.append((EventKind.log, level, message[:MAX_MESSAGE], data))

    async def flush(self) -> None:
        """Write what was reported and logged since the last time."""
        progress, message, self.progress, self.message = self.progress, self.message, None, None
        lines, self._lines, dropped, self._dropped = self._lines, [], self._dropped, 0
        if dropped:
            lines.append((EventKind.log, "warning", f"{dropped} lines were dropped: too many at once.", {}))
        if progress is not None:
            lines.append((EventKind.progress, "info", message or "", {"progress": percent(progress)}))
        if not lines:
            return
        try:
            async with self.write() as session:
                if progress is not None:
                    await service.heartbeat(session, self.job_id, self.token, self.timing, progress, message)
                await self._append(session, lines)
        except Exception:
            # Kept for the next time; what was reported since then is newer.
            self._lines = (lines + self._lines)[:MAX_LOG_LINES]
            raise

    async def _append(self, session: WriteSession, lines: list[tuple[EventKind, str, str, dict[str, Any]]]) -> None:
        entity_type, entity_id = self._entity
        for kind, level, message, data in lines:
            await event.append(
                session,
                entity_type=entity_type,
                entity_id=entity_id,
                project_id=self._project_id,
                kind=kind,
                type=f"{entity_type}.{kind}",
                level=level,
                message=message,
                data=data,
            )

    async def _hold(self, session: WriteSession) -> Job:
        job = await service.hold(session, self.job_id, self.token)
        if job is None:
            raise FenceLost
        if job.cancel_requested_at is not None:
            raise JobCancelled
        return job
