"""The relay: turns waiting job rows into messages, and takes jobs from workers that went silent.

Woken by NOTIFY, and by a sweep that covers whatever a crash, an empty Redis or a lost notification left behind. Several may run.
"""

import asyncio
import contextlib

import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import ConnectionError as BrokerAway
from redis.exceptions import RedisError

from coreplex.job import service
from coreplex.job.handlers import on_final
from coreplex.job.service import JOBS, Timing
from coreplex.job.table import JobStatus
from coreplex.services import Services
from workers.broker import ring

log = structlog.get_logger()


class Relay:
    def __init__(self, services: Services, broker: RedisBroker, timing: Timing) -> None:
        self.services, self.broker, self.timing = services, broker, timing
        self._wake = asyncio.Event()
        services.listener.on(JOBS, lambda _: self._wake.set())

    async def run(self) -> None:
        """Until cancelled: sweep, then wait for word or the next sweep."""
        while True:
            self._wake.clear()
            try:
                await self.dispatch()
                await self.take_over()
            except Exception as error:
                log.warning("relay_waits", error=repr(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self.timing.sweep.total_seconds())

    async def dispatch(self) -> int:
        """Ring for waiting jobs. The stamp is only kept when the bell rang."""
        count = 0
        while True:
            async with self.services.database.transaction() as session:
                ids = await service.undispatched(session, self.timing)
                try:
                    for job_id in ids:
                        await asyncio.to_thread(self.broker.enqueue, ring(str(job_id)))
                except (BrokerAway, RedisError, OSError) as error:
                    log.warning("redis_away", error=repr(error))
                    await session.rollback()
                    return count
            count += len(ids)
            if not ids:
                return count

    async def take_over(self) -> None:
        """Requeue jobs whose worker went silent; end those that have used up their attempts."""
        async with self.services.database.transaction() as session:
            for job in await service.silent(session):
                if job.cancel_requested_at is not None:
                    await service.end(session, job, JobStatus.cancelled, "cancelled")
                elif job.attempts >= job.max_attempts:
                    message = f"The job crashed its worker {job.attempts} times and was given up."
                    await service.end(session, job, JobStatus.failed, message)
                else:
                    log.warning("job_taken_over", job_id=str(job.id), worker=job.worker, attempt=job.attempts)
                    await service.requeue(session, job)
                    continue
                await on_final(session, job)
