"""The relay against a real database and a real Redis: nothing lost wherever it crashes, nothing rung that was rolled back."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import redis
from sqlalchemy import text

from coreplex.job import service
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from tests.jobs.harness import enqueue, until
from workers.broker import Bell
from workers.relay import Relay

JOBS = 4


class FailingBell(Bell):
    """Redis goes away at the n-th ring, before or after it was heard."""

    def __init__(self, url: str, failing_at: int, heard: bool) -> None:
        super().__init__(url)
        self.left, self.heard = failing_at, heard

    def ring(self, job_id: UUID, kind: str) -> None:
        self.left -= 1
        if self.left or self.heard:
            super().ring(job_id, kind)
        if not self.left:
            raise redis.ConnectionError("away")


@pytest.fixture
async def services(settings: Settings) -> AsyncIterator[Services]:
    made = composition.build(settings)
    yield made
    await made.stop()


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("failing_at", range(1, JOBS + 1))
async def test_a_crash_at_any_ring_loses_no_job(
    database: Database, services: Services, redis_url: str, timing: Timing, failing_at: int, heard: bool
) -> None:
    jobs = set(await enqueue(database, JOBS))
    with pytest.raises(redis.ConnectionError):
        await Relay(services, FailingBell(redis_url, failing_at, heard), timing).dispatch()
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET dispatched_at = dispatched_at - interval '1 minute'"))
    bell = Bell(redis_url)
    sent = await Relay(services, bell, timing).dispatch()
    assert await asyncio.to_thread(bell.waiting) == jobs
    assert sent == JOBS - failing_at + (0 if heard else 1), "only what was not heard is rung again"


async def test_what_was_rolled_back_is_not_rung(database: Database, services: Services, redis_url: str, timing: Timing) -> None:
    async with database.transaction() as session:
        await service.enqueue(session, "probe", entity_type="probe", entity_id=UUID(int=1))
        await session.rollback()
    bell = Bell(redis_url)
    assert await Relay(services, bell, timing).dispatch() == 0
    assert not await asyncio.to_thread(bell.waiting)


async def test_word_of_a_new_job_wakes_the_relay(database: Database, services: Services, redis_url: str) -> None:
    bell = Bell(redis_url)
    relay = Relay(services, bell, Timing(sweep=3600))
    await services.start()
    task = asyncio.create_task(relay.run())
    await asyncio.sleep(0.2)
    jobs = set(await enqueue(database, 3))

    async def rung() -> bool:
        return jobs <= await asyncio.to_thread(bell.waiting)  # beside those of the clock

    await until(rung, 60)
    task.cancel()


async def test_a_broken_hook_harms_its_own_job_only(
    database: Database, services: Services, redis_url: str, timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await enqueue(database, 2, max_attempts=1)
    for job_id in (first, second):
        async with database.transaction() as session:
            assert await service.claim(session, job_id, "dead", timing)
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET lease_until = now() - interval '1s'"))
    genuine = service.kinds.tell

    async def tell(session: object, job: object) -> None:
        if getattr(job, "id", None) == first:
            raise RuntimeError("a broken hook")
        await genuine(session, job)  # type: ignore[arg-type]

    monkeypatch.setattr(service.kinds, "tell", tell)
    assert await Relay(services, Bell(redis_url), timing).take_over() == 1
    async with database.read() as session:
        rows = await session.execute(text("SELECT id, status FROM jobs"))
        assert dict(tuple(row) for row in rows) == {first: "running", second: "failed"}


async def test_after_an_absence_of_the_database_the_living_may_beat_first(
    database: Database, services: Services, redis_url: str
) -> None:
    (job_id,) = await enqueue(database, 1)
    relay = Relay(services, Bell(redis_url), Timing(lease=3600))
    async with database.transaction() as session:
        assert await service.claim(session, job_id, "alive", Timing(lease=-1))
    relay._patient_until = asyncio.get_running_loop().time() + 60
    assert await relay.take_over() == 0
    relay._patient_until = 0
    assert await relay.take_over() == 1
