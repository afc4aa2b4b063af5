"""Runs one job: claim, beat, work, end. Idempotent: a second message for the same job finds it claimed or done."""

import asyncio
import contextlib
import os
import socket
from uuid import UUID

import structlog

from coreplex.errors import DomainError, Unavailable
from coreplex.identifier import new_id
from coreplex.isolation import ChildCrashed
from coreplex.job import service
from coreplex.job.context import Cancelled, FenceLost, JobContext, Retry
from coreplex.job.handlers import HANDLERS, on_final
from coreplex.job.service import ORDERS, Timing
from coreplex.job.table import Job, JobStatus
from coreplex.services import Services

log = structlog.get_logger()


class Runner:
    """The jobs of one worker process."""

    def __init__(self, services: Services, timing: Timing) -> None:
        self.services, self.timing = services, timing
        self.name = f"{socket.gethostname()}:{os.getpid()}:{new_id().hex[-8:]}"
        self.draining = False
        self._running: dict[UUID, JobContext] = {}
        self._nudges: dict[UUID, asyncio.Event] = {}
        services.listener.on(ORDERS, self._nudge)

    def _nudge(self, payload: str) -> None:
        for job_id, nudge in self._nudges.items():
            if payload in {"", str(job_id)}:
                nudge.set()

    async def run(self, job_id: UUID) -> None:
        """Take the job if it can be taken and see it through. Raises nothing."""
        try:
            if self.draining:
                return
            async with self.services.database.transaction() as session:
                job = await service.claim(session, job_id, self.name, self.timing)
            if job is not None:
                await self._work(job)
        except Exception as error:
            log.error("job_left_to_the_sweep", job_id=str(job_id), exc_info=error)

    async def _work(self, job: Job) -> None:
        context = JobContext(job, self.services)
        self._running[job.id], self._nudges[job.id] = context, asyncio.Event()
        log.info("job_started", job_id=str(job.id), type=job.type, attempt=job.attempts)
        beat = asyncio.create_task(self._beat(context))
        try:
            await self._attempt(context, beat)
        except FenceLost:
            log.warning("job_lost_to_another_worker", job_id=str(job.id))
        finally:
            beat.cancel()
            del self._running[job.id], self._nudges[job.id]

    async def _attempt(self, context: JobContext, beat: "asyncio.Task[None]") -> None:
        handler = HANDLERS[context.job.type]
        work = asyncio.ensure_future(handler.run(context))
        try:
            await asyncio.wait({work, beat}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():  # the beat ended: the fence is lost, or the owner cancelled
                context.control.cancel()
                work.cancel()
                with contextlib.suppress(BaseException):
                    await work
                raise FenceLost if context.lost.is_set() else Cancelled
            result = work.result()
        except Cancelled:
            await self._end(context, JobStatus.cancelled, error="cancelled")
        except DomainError as error:
            await self._refused(context, error)
        except Retry as error:
            await self._again(context, error)
        except ChildCrashed as error:
            log.error("child_crashed", job_id=str(context.job.id), code=error.code, stderr=error.stderr[-2000:])
            await self._again(context, Retry(f"The work's process ended unexpectedly (code {error.code})."))
        except (FenceLost, asyncio.CancelledError):
            raise
        except Exception as error:
            log.error("job_failed", job_id=str(context.job.id), exc_info=error)
            await self._again(context, Retry(f"Internal error: {type(error).__name__}."))
        else:
            status = JobStatus.cancelled if context.control.cancelled else JobStatus.succeeded
            await self._end(context, status, result=result, error="cancelled" if context.control.cancelled else None)

    async def _refused(self, context: JobContext, error: DomainError) -> None:
        if isinstance(error, Unavailable):
            await self._again(context, Retry(error.message))
        elif context.control.cancelled:
            await self._end(context, JobStatus.cancelled, error="cancelled")
        else:
            await self._end(context, JobStatus.failed, error=error.message)

    async def _again(self, context: JobContext, reason: Retry) -> None:
        """Another attempt if there is one left; the draining worker's own children do not count."""
        job = context.job
        if context.control.cancelled and not self.draining:
            return await self._end(context, JobStatus.cancelled, error="cancelled")
        if self.draining or job.attempts < job.max_attempts:
            await context.persist(lambda session: service.release(session, job, counted=not self.draining, delay=reason.delay))
        else:
            await self._end(context, JobStatus.failed, error=f"{reason} It was tried {job.attempts} times.")

    async def _end(self, context: JobContext, status: JobStatus, *, result: object = None, error: str | None = None) -> None:
        job = context.job

        async def act(session: service.WriteSession) -> None:
            if not await service.finish(session, job, status, result=result, error=error):  # type: ignore[arg-type]
                raise FenceLost
            ended = await session.get_one(Job, job.id, populate_existing=True)
            await on_final(session, ended)

        await context.persist(act)
        log.info("job_ended", job_id=str(job.id), type=job.type, status=status, error=error)

    async def _beat(self, context: JobContext) -> None:
        """Renew the lease until the fence is lost or the owner cancels; then return."""
        job, nudge = context.job, self._nudges[context.job.id]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.timing.lease.total_seconds()
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(nudge.wait(), self.timing.beat.total_seconds())
            nudge.clear()
            try:
                async with self.services.database.transaction() as session:
                    orders = await service.heartbeat(session, job, self.timing, context.progress, context.message)
                deadline = loop.time() + self.timing.lease.total_seconds()
            except Exception as error:
                log.warning("heartbeat_missed", job_id=str(job.id), error=repr(error))
                if loop.time() > deadline + 60:
                    context.lost.set()
                    return
                continue
            if orders is None:
                context.lost.set()
                return
            if orders.cancel:
                return
            if orders.stop and not context.control.stopped:
                context.control.stop()

    async def drain(self, grace_secs: float) -> None:
        """Take nothing more; give running jobs a moment, then give them back without counting the attempt."""
        self.draining = True
        deadline = asyncio.get_running_loop().time() + grace_secs
        while self._running and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        for context in list(self._running.values()):
            context.control.cancel()
        while self._running:
            await asyncio.sleep(0.05)
