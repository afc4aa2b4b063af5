"""Deleting a dataset: what stands in the way, and what goes with it."""

import asyncio
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlmodel import col

from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.deployment.table import Deployment, DeploymentStatus, Stage
from coreplex.experiment.table import EngineRun, Experiment, ProblemType
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.model import registry
from coreplex.model.table import Model
from coreplex.platform.database import Database
from tests.factories.dataset import Person

DELETE = "mutation($id: ID!) { deleteDataset(input: {datasetId: $id}) { deletedId } }"
DEPLOY = "mutation($input: CreateDeploymentInput!) { createDeployment(input: $input) { deployment { id } } }"

# Other tests share the server: who waits must wait for this very transaction.
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


async def experiment_on(database: Database, made: dict[str, Any], status: JobStatus) -> Experiment:
    """An experiment in a state, with one model."""
    project_id, version_id = UUID(made["dataset"]["project_id"]), UUID(made["version_id"])
    experiment = Experiment(
        project_id=project_id,
        dataset_version_id=version_id,
        name="Search",
        target_column="late",
        problem_type=ProblemType.classification,
        engines=["native"],
        status=status,
    )
    run = EngineRun(experiment_id=experiment.id, position=0, engine="native", requested_engine="native")
    key = f"projects/{project_id}/experiments/{experiment.id}/model.zip"
    bundle = Artifact(project_id=project_id, kind=ArtifactKind.model, storage_key=key, sha256="0" * 64, size_bytes=1)
    model = Model(
        project_id=project_id,
        experiment_id=experiment.id,
        engine_run_id=run.id,
        dataset_version_id=version_id,
        artifact_id=bundle.id,
        name="GBM_1",
        algo="GBM",
        engine="native",
        problem_type=ProblemType.classification,
        target_column="late",
        score=0.9,
    )
    async with database.transaction() as session:
        for rows in ([experiment, bundle], [run]):
            session.add_all(rows)
            await session.flush()
        await registry.number(session, model)
        session.add(model)
    return experiment


async def test_an_unfinished_experiment_keeps_it(ada: Person, database: Database) -> None:
    made = await ada.dataset()
    await experiment_on(database, made, JobStatus.running)
    error = (await ada.ask(DELETE, id=made["id"]))["errors"][0]
    assert error["extensions"]["code"] == "CONFLICT"
    assert "“Search” is running" in error["message"]
    answer = await ada.client.delete(f"/api/datasets/{made['id']}")
    assert answer.status_code == 409
    assert (await ada.client.get(f"/api/datasets/{made['id']}")).status_code == 200


async def test_finished_experiments_go_with_it_unless_a_model_serves(ada: Person, database: Database) -> None:
    made, other = await ada.dataset(), await ada.dataset()
    experiment = await experiment_on(database, made, JobStatus.succeeded)
    await experiment_on(database, other, JobStatus.succeeded)
    async with database.transaction() as session:
        model = (await session.scalars(select(Model).where(col(Model.experiment_id) == experiment.id))).one()
        serving = Deployment(project_id=model.project_id, model_id=model.id, name="live", stage=Stage.staging)
        session.add(serving)
    error = (await ada.ask(DELETE, id=made["id"]))["errors"][0]
    assert error["extensions"]["code"] == "CONFLICT"
    assert "“live”" in error["message"]

    async with database.transaction() as session:
        (await session.get_one(Deployment, serving.id)).status = DeploymentStatus.inactive
    assert (await ada.data(DELETE, id=made["id"]))["deleteDataset"]["deletedId"] == made["id"]
    async with database.read() as session:
        for table, left in ((Experiment, 1), (Model, 1), (Deployment, 0), (Artifact, 3)):
            assert await session.scalar(select(func.count()).select_from(table)) == left, table
        jobs = (await session.scalars(select(Job).where(col(Job.type) == "storage_delete"))).all()
    project = f"projects/{ada.project_id}"
    wanted = {f"{project}/datasets/{made['id']}", f"{project}/experiments/{experiment.id}"}
    assert {job.payload["prefix"] for job in jobs} == wanted


async def test_what_refers_to_something_deleted_in_the_same_moment_is_refused(ada: Person, database: Database) -> None:
    """Whoever looked before the deletion was committed waits for it, and finds out."""
    made = await ada.dataset()
    experiment = await experiment_on(database, made, JobStatus.succeeded)
    async with database.read() as session:
        model = await session.scalar(select(col(Model.id)).where(col(Model.experiment_id) == experiment.id))
    wanted = {"projectId": made["dataset"]["project_id"], "modelId": str(model), "name": "d", "stage": "PRODUCTION"}
    async with database.transaction() as session:
        await session.execute(delete(Model).where(col(Model.id) == model))
        asked = asyncio.create_task(ada.ask(DEPLOY, input=wanted))
        async with asyncio.timeout(30):
            while not await session.scalar(text(WAITING)):  # noqa: ASYNC110 locks tell nobody
                await asyncio.sleep(0.02)
    error = (await asked)["errors"][0]
    assert error["extensions"]["code"] == "CONFLICT", error
    assert "deleted in the same moment" in error["message"]
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(Deployment)) == 0
