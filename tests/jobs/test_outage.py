"""PostgreSQL or Redis away for a while: nothing is lost, nothing is done twice, and running children go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr

import asgi
from coreplex.account.signin import user_by_email
from coreplex.errors.tree import Unavailable
from coreplex.event import service as event
from coreplex.event.stream import follow
from coreplex.event.table import EventKind
from coreplex.job.lifecycle import JobStatus
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.listener import Listener
from coreplex.platform.settings import Settings
from tests import servers
from tests.jobs.conftest import kill_postgres, make_project, revive_postgres
from tests.jobs.harness import Workers, connected, done, enqueue, happened, read, until


@pytest.fixture
async def mortal(mortal_settings: Settings) -> AsyncIterator[Database]:
    async with connected(mortal_settings) as database:
        yield database


async def test_both_may_go_and_come_back(
    running: servers.Servers, mortal: Database, mortal_settings: Settings, timing: Timing
) -> None:
    project_id = await make_project(mortal)
    workers = Workers(mortal_settings, timing)
    try:
        process = workers.start()
        await _a_child_outlives_postgres(running, mortal, workers, project_id)
        await _redis_may_be_away(running, mortal)
        assert process.poll() is None
        assert await asyncio.to_thread(workers.stop) == [0]
    finally:
        for process in workers.alive:
            process.kill()
            process.wait()


async def _a_child_outlives_postgres(running: servers.Servers, mortal: Database, workers: Workers, project_id: UUID) -> None:
    """Longer than the lease: the child is the same afterwards, and so is the attempt."""
    (job_id,) = await enqueue(mortal, 1, project_id, secs=4.5, steps=60, child=True)

    async def has_child() -> bool:
        return len(workers.children()) == 1 and (await read(mortal, job_id)).progress > 0

    await until(has_child)
    (child,) = workers.children()
    await asyncio.to_thread(kill_postgres, running)
    await asyncio.sleep(2.5)
    await asyncio.to_thread(revive_postgres, running)
    assert child.status() != psutil.STATUS_ZOMBIE
    await until(done(mortal))
    job = await read(mortal, job_id)
    assert (job.status, job.attempts) == (JobStatus.succeeded, 1)
    assert await happened(mortal, "probe.done") == {job_id: 1}


async def _redis_may_be_away(running: servers.Servers, mortal: Database) -> None:
    """Jobs are accepted meanwhile, and run soon after."""
    await asyncio.to_thread(running.valkey.stop)
    jobs = await enqueue(mortal, 20)
    await asyncio.sleep(1.5)
    running.valkey.start()
    await asyncio.to_thread(running.valkey.wait)
    await until(done(mortal))
    found = await happened(mortal, "probe.done")
    assert {job_id: found[job_id] for job_id in jobs} == dict.fromkeys(jobs, 1)


async def test_a_web_process_starts_while_the_database_is_away(
    running: servers.Servers, mortal: Database, mortal_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "PATIENT_SECS", 0.2)
    who = {"admin_email": "late@example.com", "admin_password": SecretStr("correct-horse-battery")}
    app = asgi.create_app(mortal_settings.model_copy(update=who))
    await asyncio.to_thread(kill_postgres, running)
    try:
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as web,
        ):
            assert (await web.get("/health")).status_code == 200
            assert (await web.get("/ready")).status_code == 503
            await asyncio.to_thread(revive_postgres, running)

            async def there() -> bool:
                with suppress(Unavailable):
                    async with mortal.read() as session:
                        return await user_by_email(session, "late@example.com") is not None
                return False

            await until(there)
    finally:
        if running.postgres.child is None or running.postgres.child.poll() is not None:
            await asyncio.to_thread(revive_postgres, running)


async def test_a_follower_misses_nothing_while_the_database_restarts(
    running: servers.Servers, mortal: Database, mortal_settings: Settings
) -> None:
    project_id = await make_project(mortal)
    listener = Listener(mortal_settings.database_url or "")
    missed: list[str] = []
    listener.on("coreplex_test", missed.append)
    await listener.start()
    heard: list[str] = []

    async def listen() -> None:
        async for found in follow(mortal, listener, "project", project_id):
            heard.append(found.message)

    task = asyncio.create_task(listen())
    for number in range(6):
        if number == 3:
            await asyncio.to_thread(running.restart_postgres)
        async with mortal.transaction() as session:
            await event.append(
                session,
                entity_type="project",
                entity_id=project_id,
                project_id=project_id,
                kind=EventKind.audit,
                type="test",
                message=str(number),
            )

    async def all_heard() -> bool:
        return len(heard) == 6 and listener.connected

    await until(all_heard, 15)
    task.cancel()
    await listener.stop()
    assert heard == [str(number) for number in range(6)]
    assert missed == ["", ""], "whoever remembers something is told when the line was down"


async def test_a_server_that_is_not_there_is_weather_and_no_fault(tmp_path: Path) -> None:
    async with connected(Settings(database_url=f"postgresql://nobody@/none?host={tmp_path}")) as database:
        with pytest.raises(Unavailable):
            await database.ping()
