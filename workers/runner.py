"""Runs jobs: claim, beat, work, settle. A second message for the same job finds it claimed or done.

The work runs as a task beside the heartbeat. Whatever ends it early (an order, a lost fence, the end of this process) cancels
that task, which ends its child process too; then the row is settled, patiently, because the database may be away for a while.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum
from typing import Any
from uuid import UUID

import structlog

from coreplex.errors.disk import FULL, is_full
from coreplex.errors.tree import DomainError, Message, Unavailable
from coreplex.job import kinds, service
from coreplex.job.context import FenceLost, JobCancelled, JobContext
from coreplex.job.table import Job
from coreplex.job.timing import Timing
from coreplex.platform import tracing
from coreplex.platform.database import WriteSession, passing, persist
from coreplex.platform.identifier import new_id
from coreplex.platform.isolation import ChildCancelled, ChildCrashed, ChildError
from coreplex.platform.services import Services

UNEXPECTED = Message("unexpected_error", "An unexpected error; the server's log has the details.")
Settle = Callable[[WriteSession], Awaitable[bool]]
log = structlog.get_logger(__name__)


class Reason(Enum):
    """Why the work was ended from outside."""

    cancelled = "cancelled"
    lost = "lost"
    drained = "drained"


class Runner:
    """Runs the jobs of one worker process."""

    def __init__(self, services: Services, timing: Timing) -> None:
        self.services, self.timing = services, timing
        self.name = f"{socket.gethostname()[:80]}:{os.getpid()}:{new_id().hex[-8:]}"
        self._draining = False
        self._attempts: dict[UUID, Attempt] = {}
        services.listener.on(service.ORDERS, self._nudge)

    async def run(self, job_id: UUID) -> None:
        """Take the job if it is there to be taken, and see it through. Raises nothing."""
        try:
            if not self._draining and (job := await persist(lambda: self._claim(job_id))) is not None:
                await self._attempt(job)
        except Exception:
            # Nothing is lost: the lease runs out, and the sweep takes the job back.
            log.exception("job.left_to_the_sweep", job_id=str(job_id))

    async def drain(self) -> None:
        """Take nothing more; give running jobs a moment, then give them back without counting the attempt."""
        self._draining = True
        await self._wait(self.timing.drain)
        for attempt in list(self._attempts.values()):
            attempt.end(Reason.drained)
        await self._wait(self.timing.lease)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._attempts:  # noqa: ASYNC110 a few times, at the very end
                    await asyncio.sleep(0.02)

    async def _claim(self, job_id: UUID) -> Job | None:
        if self._draining:
            return None
        async with self.services.database.transaction() as session:
            return await service.claim(session, job_id, self.name, self.timing)

    async def _attempt(self, job: Job) -> None:
        attempt = self._attempts[job.id] = Attempt(self.services, self.timing, job)
        try:
            await attempt.go()
        finally:
            # A later attempt of the same job may have begun here already, after this one lost its fence.
            if self._attempts.get(job.id) is attempt:
                del self._attempts[job.id]

    def _nudge(self, payload: str) -> None:
        for job_id, attempt in self._attempts.items():
            if payload in {"", str(job_id)}:
                attempt.nudge.set()


class Attempt:
    """One claimed job, from its first heartbeat to its settlement."""

    def __init__(self, services: Services, timing: Timing, job: Job) -> None:
        assert job.token is not None
        self.job, self.timing, self.database = job, timing, services.database
        self.context = JobContext(job, job.token, services.database, services.settings, services.storage, timing, services)
        self.nudge = asyncio.Event()
        self.reason: Reason | None = None
        self._work: asyncio.Future[dict[str, Any] | None] | None = None
        self._log = log.bind(job_id=str(job.id), type=job.type, attempt=job.attempts)

    async def go(self) -> None:
        self._log.info("job.started")
        self._work = work = asyncio.ensure_future(self._run())
        helpers = [asyncio.create_task(self._beat()), asyncio.create_task(self._flush())]
        try:
            await asyncio.wait({work})
            await self._settle()
        finally:
            for task in (work, *helpers):
                task.cancel()
            await asyncio.gather(work, *helpers, return_exceptions=True)

    async def _run(self) -> dict[str, Any] | None:
        job = self.job
        told: tracing.Attributes = {
            "coreplex.job.id": str(job.id),
            "coreplex.job.kind": job.type,
            "coreplex.job.attempt": job.attempts,
        }
        with tracing.span(f"job {job.type}", "consumer", told, job.traceparent):
            return await kinds.kind_of(job.type).run(job, self.context)

    def end(self, reason: Reason) -> None:
        """End the work from outside; its children die with it."""
        if self.reason is None and self._work is not None and not self._work.done():
            self.reason = reason
            self._work.cancel()

    async def _beat(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.nudge.wait(), self.timing.beat)
            self.nudge.clear()
            try:
                async with self.database.transaction() as session:
                    orders = await service.heartbeat(session, self.job.id, self.context.token, self.timing)
            except Exception as error:
                # The work goes on: without the database nobody else can take the job either.
                self._log.warning("job.beat_missed", error=str(error))
                continue
            if orders is None:
                return self.end(Reason.lost)
            self.context.orders = orders
            if orders.stop:
                self.context.control.stop()
            if orders.cancel:
                self.end(Reason.cancelled)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(self.timing.flush)
            try:
                await self.context.flush()
            except (FenceLost, JobCancelled):
                self.nudge.set()  # the beat will see it, and end the work
            except Exception as error:
                if not passing(error):
                    self._log.exception("job.flush_failed")

    async def _settle(self) -> None:
        assert self._work is not None
        settle = self._verdict()
        if settle is None:
            return
        with suppress(FenceLost, JobCancelled):
            await persist(self.context.flush)
        held = await persist(lambda: self._in_transaction(settle))
        self._log.info("job.settled" if held else "job.fence_lost", how=self.reason and self.reason.value)

    async def _in_transaction(self, settle: Settle) -> bool:
        async with self.database.transaction() as session:
            return await settle(session)

    def _verdict(self) -> Settle | None:
        """What to make of the row now; None when it is not ours to change."""
        assert self._work is not None
        job_id, token = self.job.id, self.context.token
        if self.reason is Reason.lost:
            return None
        error = RuntimeError("the handler cancelled itself") if self._work.cancelled() else self._work.exception()
        if error is not None and self.reason is Reason.cancelled:
            return lambda session: service.cancelled(session, job_id, token)
        if error is not None and self.reason is Reason.drained:
            return lambda session: service.release(session, job_id, token)
        if error is not None:
            return self._judge(error)
        result = self._work.result()
        return lambda session: service.finish(session, job_id, token, result if isinstance(result, dict) else None)

    def _judge(self, error: BaseException) -> Settle | None:
        job_id, token = self.job.id, self.context.token
        unexpected = FULL if is_full(error) else UNEXPECTED
        message = error.message if isinstance(error, DomainError) else unexpected
        detail = error.detail if isinstance(error, ChildError) else ""
        match error:
            case FenceLost():
                return None
            case JobCancelled() | ChildCancelled():
                return lambda session: service.cancelled(session, job_id, token)
            case DomainError() if not isinstance(error, Unavailable | ChildCrashed):
                self._log.warning("job.failed", error=message, detail=detail)
                return lambda session: service.fail(session, job_id, token, message)
        self._log.warning("job.trouble", error=message, detail=detail, exc_info=None if isinstance(error, DomainError) else error)
        pause = self.timing.pause(self.job.attempts)
        return lambda session: service.retry(session, job_id, token, message, pause)
