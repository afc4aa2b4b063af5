"""What stands on the models of a world: deployments, a rollout that has ended, batches; and how a file is stored."""

import asyncio
import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl

from coreplex.ab_test.table import AbTest, AbTestGoal, AbTestMethod, AbTestMetric
from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.batch.table import PREDICT_BATCH, PredictionBatch
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment, DeploymentStatus, Loss, Rollout, RolloutKind, RolloutStatus, Stage
from coreplex.engines.replay.verdict import ReplayVerdict
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.errors.tree import Message
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.membership.table import Project
from coreplex.metric_change.table import MetricChange
from coreplex.model.table import Model
from coreplex.monitoring.table import Basis, MetricBasis
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import new_id
from coreplex.platform.services import Services
from coreplex.replay.table import Replay
from coreplex.retraining.table import RetrainPolicy, RetrainRun, RetrainStatus, RetrainTrigger
from tests.engines.scoring_samples import frame


async def store(services: Services, project_id: UUID, kind: ArtifactKind, key: str, data: bytes) -> Artifact:
    path: Path = services.staging.new_path()
    await asyncio.to_thread(path.write_bytes, data)
    await services.storage.put(key, path)
    return Artifact(
        project_id=project_id, kind=kind, storage_key=key, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)
    )


async def add_batches(
    session: WriteSession, services: Services, project: Project, version: DatasetVersion, models: list[Model]
) -> dict[str, PredictionBatch]:
    """One that has a result, and one that waits for a worker."""
    result = io.BytesIO()
    frame(120).select("amount", "age").with_columns(prediction=pl.lit("no")).write_parquet(result)
    folder = f"projects/{project.id}/batches/{new_id()}"
    table = await store(services, project.id, ArtifactKind.predictions, f"{folder}/predictions.parquet", result.getvalue())
    session.add(table)
    await session.flush()
    columns = [Column("amount", ColumnType.float, "float64"), Column("age", ColumnType.integer, "int64")]
    schema = TableSchema((*columns, Column("prediction", ColumnType.categorical, "string")))

    loaded = await session.get_one(Artifact, models[0].artifact_id)

    def one(model: Model, **more: Any) -> PredictionBatch:
        about = {"project_id": project.id, "model_id": model.id, "model_name": model.name, "model_sha256": loaded.sha256}
        row = PredictionBatch(**about, filename="rows.csv", input_sha256="0" * 64, created_by=project.owner_id, **more)
        session.add(row)
        return row

    known = {"row_count": 120, "refused_row_count": 0, "output_sha256": table.sha256, "artifact_id": table.id}
    done = one(models[0], status=JobStatus.succeeded, result_schema=schema.to_json(), **known)
    waiting = one(models[1], dataset_version_id=version.id, of_dataset=True)
    await session.flush()
    await job.enqueue_for(session, waiting, PREDICT_BATCH, project.owner_id)
    return {"batch": done, "waiting_batch": waiting}


async def add_deployments(session: WriteSession, project: Project, models: list[Model]) -> dict[str, Deployment]:
    """One active in staging, one in production with the archived one it replaced, one that serves no more."""

    def one(name: str, model: Model, stage: Stage, status: DeploymentStatus) -> Deployment:
        row = Deployment(project_id=project.id, model_id=model.id, name=name, stage=stage, status=status, deployed_at=now())
        session.add(row)
        return row

    made = {
        "deployment": one("staging", models[0], Stage.staging, DeploymentStatus.active),
        "production": one("production", models[1], Stage.production, DeploymentStatus.active),
        "archived": one("archived", models[0], Stage.production, DeploymentStatus.archived),
        "idle": one("idle", models[1], Stage.staging, DeploymentStatus.inactive),
    }
    made["archived"].archived_at = now()
    await session.flush()
    return made


def add_rollout(session: WriteSession, project: Project, deployments: dict[str, Deployment]) -> Rollout:
    """A canary of the staging deployment that a person has ended."""
    sides = {"baseline_id": deployments["production"].id, "candidate_id": deployments["deployment"].id}
    ended = {"kind": RolloutKind.canary, "status": RolloutStatus.aborted}
    row = Rollout(project_id=project.id, **sides, **ended, percent=5, steps=[5, 25, 50, 100], loss=Loss.misclassification)
    session.add(row)
    return row


def replay_of(project_id: UUID, deployment_id: UUID, model_id: UUID, number: int = 1) -> Replay:
    """One that has succeeded: `number` rows, and a hundredth of it gained."""
    ids = {"project_id": project_id, "deployment_id": deployment_id, "model_id": model_id}
    moment = now() - timedelta(hours=number // 2)
    asked = {"since": moment - timedelta(days=7), "until": moment, "max_row_count": 1000, "model_name": f"Model {number}"}
    counts = {"row_count": number, "logged_row_count": number, "failed_row_count": 0, "outcome_count": number, "look": 1}
    found = {"verdict": ReplayVerdict.better, "margin": 0.01, "gain": number / 100, "gain_lower": 0.001, "gain_upper": 0.5}
    return Replay(**ids, **asked, **counts, **found, status=JobStatus.succeeded, created_at=moment, finished_at=moment)


def metric_change_of(project_id: UUID, deployment_id: UUID, number: int = 1) -> MetricChange:
    """One that has found a shift of a column."""
    moment = now() - timedelta(hours=number // 2)
    periods = {"since": moment - timedelta(days=7), "until": moment, "baseline_until": moment - timedelta(days=7)}
    part = {"cause": "feature_shift", "features": ["size"], "effect": -0.1, "is_replaced": False}
    return MetricChange(
        project_id=project_id,
        deployment_id=deployment_id,
        metric=("accuracy", "auc", "f1", "logloss", "mcc")[number % 5],
        wanted_basis=MetricBasis.either,
        used_basis=Basis.realised,
        **periods,
        baseline_since=moment - timedelta(days=14),
        before=0.9,
        after=0.8,
        std_error=0.01,
        parts=[part],
        after_row_count=number,
        before_row_count=number,
        status=JobStatus.succeeded,
        created_at=moment,
        finished_at=moment,
    )


AB_TEST: dict[str, Any] = {
    "traffic_split": 50,
    "metric": AbTestMetric.accuracy,
    "goal": AbTestGoal.maximize,
    "method": AbTestMethod.frequentist,
    "confidence_level": 0.95,
    "min_samples": 100,
    "min_duration_hours": 0.0,
    "max_duration_hours": 672.0,
}
"""What a test asks for when nothing is said."""


def add_ab_test(session: WriteSession, project: Project, deployments: dict[str, Deployment]) -> AbTest:
    """A draft of a test of the staging deployment against the one in production."""
    sides = {"deployment_a_id": deployments["production"].id, "deployment_b_id": deployments["deployment"].id}
    row = AbTest(project_id=project.id, name="draft", **sides, **AB_TEST)
    session.add(row)
    return row


def add_retraining(session: WriteSession, project: Project, deployment: Deployment) -> RetrainRun:
    """A policy of a deployment, and a retraining that was not needed."""
    rule = {"owner_id": project.owner_id, "schedule": "0 3 * * *", "next_run_at": now() + timedelta(hours=9)}
    session.add(RetrainPolicy(deployment_id=deployment.id, project_id=project.id, **rule))
    run = retraining_of(deployment, 0)
    session.add(run)
    return run


def retraining_of(deployment: Deployment, number: int) -> RetrainRun:
    moment = now() - timedelta(hours=number // 2)
    return RetrainRun(
        project_id=deployment.project_id,
        deployment_id=deployment.id,
        trigger=RetrainTrigger.schedule,
        status=RetrainStatus.skipped,
        reason=Message("nothing_new", "Nothing is new: version {version} was learned from already.", version=number),
        created_at=moment,
        finished_at=moment,
    )
