"""The relay: turns waiting job rows into messages, takes jobs from workers that went silent, and queues what is due by the clock.

Woken by NOTIFY, and by a sweep that covers whatever a crash, an emptied Redis or a lost notification left behind. Every worker
process runs one; any number may run side by side.
"""

import asyncio
from contextlib import suppress

import redis
import structlog

from coreplex.errors.tree import Unavailable
from coreplex.job import schedule, service
from coreplex.job.timing import Timing
from coreplex.platform.database import passing
from coreplex.platform.services import Services
from workers.broker import Bell

log = structlog.get_logger(__name__)


class Relay:
    """`run` until cancelled; survives an absence of PostgreSQL and of Redis."""

    def __init__(self, services: Services, bell: Bell, timing: Timing) -> None:
        self.services, self.bell, self.timing = services, bell, timing
        self._wake = asyncio.Event()
        self._patient_until = 0.0
        services.listener.on(service.QUEUED, lambda _: self._wake.set())

    async def run(self) -> None:
        swept = float("-inf")
        clock = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            sweep = clock() - swept >= self.timing.sweep
            await self._try(sweep)
            swept = clock() if sweep else swept
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(0.0, swept + self.timing.sweep - clock()))

    async def _try(self, sweep: bool) -> None:
        try:
            if sweep:
                await self.take_over()
            await self.dispatch(sweep)
            if sweep:
                await schedule.tick(self.services.database)
        except redis.RedisError as error:
            log.warning("relay.redis_away", error=str(error))
        except Exception as error:
            if isinstance(error, Unavailable):
                # Nobody could renew a lease meanwhile: let the living do so before anybody is called dead.
                self._patient_until = asyncio.get_running_loop().time() + self.timing.lease
            if passing(error):
                log.warning("relay.waits", error=str(error))
            else:
                log.exception("relay.failed")

    async def dispatch(self, sweep: bool = True) -> int:
        """Ring for every job that waits for its first message; when sweeping, also for those whose message was lost."""
        count = 0
        in_queue = await asyncio.to_thread(self.bell.waiting) if sweep else None
        while True:
            async with self.services.database.transaction() as session:
                due = await service.due_for_dispatch(session, self.timing, in_queue)
            # Stamped before the bell rings: a crash in between costs one `redispatch`, never a job.
            await asyncio.to_thread(self._ring, due)
            count += len(due)
            if not due:
                return count
            if in_queue is not None:  # or a round that takes longer than `redispatch` would ring for its own first ones again
                in_queue.update(job_id for job_id, _ in due)

    def _ring(self, due: list[service.Due]) -> None:
        for job_id, kind in due:
            self.bell.ring(job_id, kind)

    async def take_over(self) -> int:
        """Queue again, or end, what silent workers held. One transaction each: a broken hook harms its own job only."""
        if asyncio.get_running_loop().time() < self._patient_until:
            return 0
        async with self.services.database.transaction() as session:
            await service.shorten_waits(session, self.timing)
            silent = await service.expired(session)
        count = 0
        for job_id in silent:
            try:
                async with self.services.database.transaction() as session:
                    taken = await service.take_back(session, job_id)
                if taken:
                    count += 1
                    log.warning("job.taken_back", job_id=str(job_id))
            except Exception as error:
                if passing(error):
                    raise
                log.exception("job.not_taken_back", job_id=str(job_id))
        return count
