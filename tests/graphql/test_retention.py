"""What people see of things whose older rows are gone: nothing they need is missing, and what is gone says so."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlmodel import col

from coreplex.event import service as event
from coreplex.event.table import Event, EventKind
from coreplex.experiment.table import Experiment
from coreplex.job import service as job
from coreplex.job.jobs import remove_files
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.services import Services
from tests.factories.asking import Asker
from tests.factories.clock import tidy
from tests.factories.world import World

SHOWN = """query($id: ID!) { experiment(id: $id) { status progress message jobId modelCount bestModelId finishedAt
  logs(first: 10) { nodes { message } } models(first: 5) { nodes { name } } } }"""
JOB = "query($id: ID!) { job(id: $id) { id } }"
CANCEL = "mutation($id: ID!) { cancelExperiment(input: {experimentId: $id}) { experiment { id } } }"
DELETE = "mutation($id: ID!) { deleteExperiment(input: {experimentId: $id}) { deletedId } }"
TIMELINE = "query($id: ID!) { project(id: $id) { timeline(first: 50) { nodes { type } } } }"


async def give_job(world: World, experiment: str, ended: timedelta) -> str:
    """Let the finished experiment have been trained by a job that ended so long ago, with what it said."""
    async with world.database.transaction() as session:
        row = await session.get_one(Experiment, UUID(experiment))
        made = await job.enqueue(session, "automl_train", project_id=row.project_id, entity_type="experiment", entity_id=row.id)
        made.status, made.progress, made.finished_at = JobStatus.succeeded, 1.0, now() - ended
        row.job_id, row.status = made.id, JobStatus.succeeded
        for kind in (EventKind.log, EventKind.progress, EventKind.audit):
            about = {"entity_type": "experiment", "entity_id": row.id, "project_id": row.project_id, "kind": kind}
            await event.append(session, **about, type=f"experiment.{kind}", message=f"a line of {kind}")
        await session.execute(update(Event).where(col(Event.entity_id) == row.id).values(created_at=now() - ended))
    return str(made.id)


async def test_an_experiment_outlives_its_job(asker: Asker) -> None:
    identity = asker.world.ids["experiment"]
    old = await give_job(asker.world, identity, timedelta(days=4000))
    before = (await asker.data(SHOWN, id=identity))["experiment"]
    headers = asker.world.headers("owner")
    rest = (await asker.client.get(f"/api/experiments/{identity}/status", headers=headers)).json()
    assert (before["jobId"], before["progress"], rest["status"]) == (old, 100.0, "succeeded")
    await tidy(asker.world.services)
    after = (await asker.data(SHOWN, id=identity))["experiment"]
    assert after == {**before, "jobId": None, "message": after["message"]}
    assert [line["message"] for line in after["logs"]["nodes"]] == ["a line of log"]
    again = await asker.client.get(f"/api/experiments/{identity}/status", headers=headers)
    assert again.status_code == 200
    assert again.json() == {**rest, "job_id": None, "message": again.json()["message"]}
    assert (await asker.refused(JOB, id=old))["code"] == "NOT_FOUND"
    assert (await asker.refused(CANCEL, id=identity))["code"] == "CONFLICT"
    assert (await asker.client.get(f"/api/jobs/{asker.world.ids['job']}", headers=headers)).status_code == 200, "it waits"
    async with asker.world.database.read() as session:
        kinds = (await session.scalars(select(col(Event.kind)).where(col(Event.entity_id) == UUID(identity)))).all()
    assert {EventKind.log, EventKind.audit, EventKind.state, EventKind.progress} == set(kinds), "its stream misses nothing"


async def test_what_a_deleted_experiment_said_goes_with_its_files(asker: Asker) -> None:
    services: Services = asker.world.services
    identity = asker.world.ids["experiment"]
    await give_job(asker.world, identity, timedelta(days=1))
    async with asker.world.database.transaction() as session:
        await session.execute(text("UPDATE deployments SET status = 'archived'"))
        await session.execute(text("UPDATE prediction_batches SET status = 'cancelled'"))
    before = (await asker.data(TIMELINE, id=asker.world.ids["project"]))["project"]["timeline"]["nodes"]
    assert await asker.data(DELETE, id=identity)
    async with asker.world.database.read() as session:
        waiting = col(Job.entity_id) == UUID(identity), col(Job.type) == "storage_delete"
        job_row = (await session.scalars(select(Job).where(*waiting))).one()

    class Context:
        storage, database = services.storage, services.database

    context: Any = Context()
    await remove_files(job_row, context)
    async with asker.world.database.read() as session:
        kinds = (await session.scalars(select(col(Event.kind)).where(col(Event.entity_id) == UUID(identity)))).all()
    assert set(kinds) == {EventKind.audit}
    after = (await asker.data(TIMELINE, id=asker.world.ids["project"]))["project"]["timeline"]["nodes"]
    told = {one["type"] for one in after} - {one["type"] for one in before}
    assert (told, len(after)) == ({"experiment.deleted", "alert.resolved"}, len(before) + 2), "the timeline keeps who did what"
    forced = asker.world.ids["waiting_experiment"]
    async with asker.world.database.transaction() as session:
        held = "status = 'running', token = id, lease_until = now() + interval '1 hour'"
        await session.execute(text(f"UPDATE jobs SET {held} WHERE entity_id = :id"), {"id": UUID(forced)})
        await session.execute(text("UPDATE experiments SET status = 'running' WHERE id = :id"), {"id": UUID(forced)})
    await asker.data("mutation($id: ID!) { deleteExperiment(input: {experimentId: $id, force: true}) { deletedId } }", id=forced)
    async with asker.world.database.read() as session:
        later = await session.scalar(
            select(col(Job.not_before)).where(col(Job.entity_id) == UUID(forced), col(Job.type) == "storage_delete")
        )
    assert later is not None, "a training that is being ended may still write a line"
