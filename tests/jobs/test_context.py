"""What a handler can and cannot do through its context."""

from uuid import UUID

import pytest
from sqlalchemy import text

from coreplex.event.service import after
from coreplex.event.table import EventKind
from coreplex.job import service
from coreplex.job.context import MAX_LOG_LINES, FenceLost, JobCancelled, JobContext
from coreplex.job.lifecycle import JobStatus
from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.runtime import build as composition
from tests.jobs.harness import enqueue, read


async def claimed(database: Database, settings: Settings, timing: Timing, project_id: UUID | None = None) -> JobContext:
    (job_id,) = await enqueue(database, 1, project_id)
    async with database.transaction() as session:
        job = await service.claim(session, job_id, "w", timing)
    assert job is not None
    assert job.token is not None
    return JobContext(job, job.token, database, settings, composition.build(settings).storage, timing)


async def lose(database: Database) -> None:
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET token = gen_random_uuid()"))


async def test_nothing_is_written_without_the_fence(database: Database, settings: Settings, timing: Timing) -> None:
    context = await claimed(database, settings, timing)
    await lose(database)
    with pytest.raises(FenceLost):
        await context.save(lambda session: session.execute(text("DELETE FROM jobs")))
    context.log("too late")
    with pytest.raises(FenceLost):
        await context.flush()
    assert (await read(database, context.job_id)).status is JobStatus.running


async def test_nothing_is_written_after_a_cancellation(database: Database, settings: Settings, timing: Timing) -> None:
    context = await claimed(database, settings, timing)
    async with database.transaction() as session:
        await service.request_cancel(session, await read(database, context.job_id))
    with pytest.raises(JobCancelled):
        await context.save(lambda session: session.execute(text("DELETE FROM jobs")))


async def test_progress_and_logs_arrive_in_order_and_the_newest_progress_wins(
    database: Database, settings: Settings, timing: Timing, project_id: UUID
) -> None:
    context = await claimed(database, settings, timing, project_id)
    context.log("one")
    context.report(0.25, "a quarter")
    context.report(0.5, "half\0")
    context.log("two", "warning", row=7)
    await context.flush()
    await context.flush()
    job = await read(database, context.job_id)
    assert (job.progress, job.message) == (0.5, "half")
    assert job.entity_id is not None
    async with database.read() as session:
        events = await after(session, "probe", job.entity_id, kinds=[EventKind.log, EventKind.progress])
    assert [(e.type, e.level, e.message) for e in events] == [
        ("probe.log", "info", "one"),
        ("probe.log", "warning", "two"),
        ("probe.progress", "info", "half"),
    ]
    assert [event.data for event in events[1:]] == [{"row": 7}, {"progress": 50.0}], "told in per cent, as everywhere"


async def test_a_flood_of_logs_is_bounded_and_says_so(
    database: Database, settings: Settings, timing: Timing, project_id: UUID
) -> None:
    context = await claimed(database, settings, timing, project_id)
    for number in range(MAX_LOG_LINES + 5):
        context.log(str(number))
    assert len(context._lines) == MAX_LOG_LINES
    context._lines = context._lines[:3]
    await context.flush()
    job = await read(database, context.job_id)
    assert job.entity_id is not None
    async with database.read() as session:
        events = await after(session, "probe", job.entity_id, kinds=[EventKind.log])
    assert events[-1].message == "5 lines were dropped: too many at once."
