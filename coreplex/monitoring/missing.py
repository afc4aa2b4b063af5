"""Makes bins for deployments whose models are from before training made them."""

from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlmodel import col

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.engines.automl.options.config import parse_config
from coreplex.experiment.table import Experiment
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.model.table import Model
from coreplex.monitoring import baseline
from coreplex.monitoring.table import FeatureBaseline
from coreplex.platform.deferred_import import child_task
from coreplex.platform.isolation import run_child

TABLE_BINS = child_task("coreplex.engines.drift.table_bins:run")
MOST_AT_ONCE = 20
TIME_LIMIT_SECS = 300.0
MEMORY_BYTES = 4 << 30


async def make(_job: Job, context: JobContext) -> dict[str, Any]:
    """Put the tables of experiments in bins that have an active deployment and none. From then on its requests are counted by
    what they hold."""
    found = await _without(context)
    for experiment_id in found:
        await _make(context, experiment_id)
    return {"baselines": len(found)}


async def _without(context: JobContext) -> list[UUID]:
    serving = (
        select(col(Model.experiment_id))
        .join(Deployment, col(Deployment.model_id) == col(Model.id))
        .where(col(Deployment.status) == DeploymentStatus.active)
    )
    there = exists().where(col(FeatureBaseline.experiment_id) == col(Experiment.id))
    query = select(col(Experiment.id)).where(col(Experiment.id).in_(serving), ~there).limit(MOST_AT_ONCE)
    async with context.database.read() as session:
        return list((await session.scalars(query)).all())


async def _make(context: JobContext, experiment_id: UUID) -> None:
    async with context.database.read() as session:
        experiment = await session.get_one(Experiment, experiment_id)
        version = await session.get_one(DatasetVersion, experiment.dataset_version_id)
        artifact = await session.get_one(Artifact, version.artifact_id)
    without = {experiment.target_column, *parse_config(experiment.config).special_columns}
    table = await whole(context.storage, artifact)
    request = {"table": str(table), "schema": version.table_schema, "without": sorted(without)}
    found = await run_child(
        TABLE_BINS, request, time_limit_secs=TIME_LIMIT_SECS, memory_bytes=MEMORY_BYTES, control=context.control
    )
    await context.save(lambda session: baseline.keep_features(session, experiment_id, found["features"]))
