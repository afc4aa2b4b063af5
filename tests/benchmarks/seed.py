"""What the server benchmarks work on: a project, a table, LightGBM models of a known booster, deployments.

The model is made here and put into the store as a training job would put it, so that the very same booster can be given to
another server.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import lightgbm as lgb
import polars as pl

import coreplex.runtime.tables  # noqa: F401  (every table, for the foreign keys)
from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Manifest
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.tabular.schema import TableSchema
from coreplex.experiment.table import EngineRun, Experiment, ProblemType
from coreplex.job.lifecycle import JobStatus
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.storage import LocalStorage
from tests.benchmarks.scoring import table
from tests.benchmarks.stack import Stack

TREES = 100


@dataclass(frozen=True)
class Trained:
    """A LightGBM model, and what it takes: `row` as a caller sends it, `encoded` as the booster wants it."""

    booster: lgb.Booster
    bundle: bytes
    row: dict[str, Any]
    encoded: list[float]
    expected: float
    """Probability of the second class, by the LightGBM package."""


def train() -> Trained:
    """Twenty features (16 numbers, 4 categories), binary, 100 trees of 31 leaves."""
    frame, y, columns = table()
    encoder, matrix = Encoder.fit_transform(frame, columns, y, kind="tree", task="binary")
    data = lgb.Dataset(matrix, y, categorical_feature=list(encoder.categorical))
    booster = lgb.train({"objective": "binary", "num_threads": 1, "verbosity": -1}, data, TREES)
    schema = TableSchema(columns).to_json()
    head = Manifest(task="binary", target="y", classes=("no", "yes"), feature_schema=schema, algo="GBM")
    row = frame.row(0, named=True)
    encoded = encoder.transform(frame[:1])
    expected = float(booster.predict(encoded, num_threads=1)[0])  # type: ignore[index,arg-type]
    return Trained(booster, bundle.dumps(head, [Member(encoder, LightGbm.of(booster))]), row, encoded[0].tolist(), expected)


@dataclass(frozen=True)
class Seeded:
    project_id: str
    version_id: str
    model_id: str
    deployment_id: str


def seed(stack: Stack, trained: Trained) -> Seeded:
    """A project with the model in it, deployed to production."""
    project = stack.call("POST", "/api/projects", json={"name": "Benchmark"})["project_id"]
    version = _upload(stack, project)
    model_id = add_model(stack, trained.bundle, project, version)
    body = {"model_id": model_id, "name": "bench", "stage": "production"}
    made = stack.call("POST", f"/api/mlops/projects/{project}/deployments", json=body)
    return Seeded(project, version, model_id, made["deployment_id"])


def add_model(stack: Stack, content: bytes, project: str, version: str, minor: int = 0) -> str:
    """A model of a project, its version 1.`minor`.0, with this file; its id."""
    return str(transact(stack, lambda session: _add_model(session, stack, content, UUID(project), UUID(version), minor)))


def _upload(stack: Stack, project: str) -> str:
    frame, y, _ = table()
    file = frame.with_columns(pl.Series("y", ["yes" if one else "no" for one in y])).write_csv().encode()
    form = {"project_id": project, "name": "Table"}
    found: str = stack.call("POST", "/api/datasets/upload", data=form, files={"file": ("t.csv", file)})["dataset_version_id"]
    return found


async def _add_model(session: WriteSession, stack: Stack, content: bytes, project: UUID, version: UUID, minor: int) -> UUID:
    experiment = Experiment(
        project_id=project,
        dataset_version_id=version,
        name="Known",
        target_column="y",
        problem_type=ProblemType.classification,
        engines=["native"],
        status=JobStatus.succeeded,
        finished_at=now(),
    )
    run = EngineRun(experiment_id=experiment.id, position=0, engine="native", requested_engine="native")
    place = f"projects/{project}/experiments/{experiment.id}/model.zip"
    target = LocalStorage(stack.folder / "storage").root / place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    artifact = Artifact(project_id=project, kind=ArtifactKind.model, storage_key=place, sha256=digest, size_bytes=len(content))
    for row in (experiment, run, artifact):
        session.add(row)
        await session.flush()
    model = Model(
        project_id=project,
        experiment_id=experiment.id,
        engine_run_id=run.id,
        dataset_version_id=version,
        artifact_id=artifact.id,
        name="GBM_1",
        version_minor=minor,
        algo="GBM",
        engine="native",
        problem_type=ProblemType.classification,
        target_column="y",
        classes=["no", "yes"],
        metrics={"auc": 0.9, "logloss": 0.3},
        score=0.9,
        rank=1,
        is_best=True,
    )
    session.add(model)
    return model.id


def transact(stack: Stack, work: Callable[[WriteSession], Coroutine[Any, Any, Any]]) -> Any:
    """Run `work` in one transaction on the stack's database."""

    async def run() -> Any:
        database = Database(stack.database_url)
        try:
            async with database.transaction() as session:
                return await work(session)
        finally:
            await database.close()

    return asyncio.run(run())
