"""Two projects with one of everything in each, and the people around them."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import polars as pl
from sqlalchemy import select
from sqlmodel import col
from starlette.applications import Starlette

from coreplex.account import signin, tokens
from coreplex.account.table import ApiKey, Session, User
from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.engines.automl.evaluation.curves import classification
from coreplex.engines.explain.importance import explain
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.scorer import Scorer
from coreplex.experiment.table import EngineRun, Experiment, ProblemType
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.membership.table import Invitation, MemberRole, Membership, Project
from coreplex.model import registry
from coreplex.model import service as model_service
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.identifier import new_id
from coreplex.platform.permissions import Role, Scope
from coreplex.platform.services import Services
from coreplex.serving.log.writer import InferenceWriter
from tests.engines.scoring_samples import frame, manifest, member, target
from tests.factories.account import bearer, browser, make_key, make_user, sign_in
from tests.factories.outside import add_alert, add_webhook
from tests.factories.snapshot import connected
from tests.factories.standing_on_models import (
    add_ab_test,
    add_batches,
    add_deployments,
    add_retraining,
    add_rollout,
    metric_change_of,
    replay_of,
    store,
)

TARGET = "left"
TABLE = frame(120)
ROW = {"amount": 12.5, "age": 61, "member": True, "plan": "pro", "town": "T001", "note": "late parcel", "since": "2020-01-01"}


@dataclass
class World:
    """`ids` are of the project everybody here belongs to, `foreign` of the stranger's, both by kind of thing."""

    app: Starlette
    database: Database
    people: dict[str, User] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    key_rows: dict[str, ApiKey] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    cookies: dict[str, str] = field(default_factory=dict)
    csrf: dict[str, str] = field(default_factory=dict)
    elsewhere: str = ""
    """Another session of the owner's."""

    @property
    def services(self) -> Services:
        found = self.app.state.services
        assert isinstance(found, Services)
        return found

    def person_of(self, actor: str) -> User:
        return self.people.get(actor, self.people["owner"])

    def headers(self, actor: str) -> dict[str, str]:
        """How an actor shows who they are: nothing, a session of the owner, or a key."""
        if actor == "anonymous":
            return {}
        if actor == "session":
            return {**self.csrf, "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        return bearer(self.keys[actor])

    async def settled(self) -> None:
        """Wait until the inference log is in the database."""
        writer = InferenceWriter.of(self.services)
        while writer.waiting:  # noqa: ASYNC110 it has no event for it
            await asyncio.sleep(0.02)

    async def stage(self, actor: str) -> str:
        """A fresh upload of the actor's own."""

        async def chunks() -> AsyncIterator[bytes]:
            yield content()

        owner = self.person_of(actor).id
        file = await self.services.staging.receive(chunks(), owner_id=owner, filename="t.csv", limit=10**7)
        return str(file.id)


def content(rows: int = 120) -> bytes:
    """The table as CSV, with its target."""
    table = TABLE.head(rows)
    labels = np.array(["no", "yes"])[target(TABLE, "binary")][:rows]
    return table.with_columns(pl.Series(TARGET, labels)).write_csv().encode()


@cache
def bundle_bytes() -> bytes:
    return bundle.dumps(manifest(TABLE), [member(TABLE, target(TABLE, "binary"), "binary", "linear")])


@cache
def model_documents() -> tuple[dict[str, Any], dict[str, Any]]:
    """The curves and the explanation of the model."""
    scorer = Scorer.load(bundle_bytes())
    y = target(TABLE, "binary")
    curves = classification(y, scorer.ensemble.predict(TABLE), ["no", "yes"])
    return curves, explain(scorer, TABLE[:20], y[:20], budget_secs=1)


@dataclass(frozen=True)
class Kept:
    """The first world of a test process, from which all others are copied: that takes a fifth of the time."""

    world: World
    database_url: str
    files: "TemporaryDirectory[str]"


KEPT: list[Kept] = []


@asynccontextmanager
async def world(app: Starlette, database: Database) -> AsyncIterator[World]:
    """In an empty database, of an application that has stored nothing yet."""
    folder = app.state.services.settings.storage_dir
    async with connected(database, schema="world") as rows:
        if not KEPT:
            made = await _made(app, database)
            await rows.take()
            KEPT.append(Kept(made, database.url, TemporaryDirectory(prefix="world-")))
            shutil.copytree(folder, KEPT[0].files.name, dirs_exist_ok=True)
        else:
            assert KEPT[0].database_url == database.url, "a test process has one database"
            await rows.restore()
            shutil.copytree(KEPT[0].files.name, folder, dirs_exist_ok=True)
    yield await _again(KEPT[0].world, app, database)


async def _again(first: World, app: Starlette, database: Database) -> World:
    """The same, with rows of its own."""
    async with database.read() as session:
        people = {row.id: row for row in await session.scalars(select(User))}
        keys = {row.id: row for row in await session.scalars(select(ApiKey))}
    return replace(
        deepcopy(replace(first, app=None, database=None, people={}, key_rows={})),  # type: ignore[arg-type]
        app=app,
        database=database,
        people={name: people[row.id] for name, row in first.people.items()},
        key_rows={name: keys[row.id] for name, row in first.key_rows.items()},
    )


async def _made(app: Starlette, database: Database) -> World:
    made = World(app, database)
    for name in ("owner", "admin", "editor", "viewer", "stranger", "newcomer"):
        made.people[name] = await make_user(database, f"{name}@example.com")
        made.key_rows[name], made.keys[name] = await make_key(database, made.people[name])
    owner, stranger = made.people["owner"], made.people["stranger"]
    roles = {made.people[role].id: Role(role) for role in Role}
    made.ids = await furnish(made, owner, roles)
    made.foreign = await furnish(made, stranger, {stranger.id: Role.owner, made.people["newcomer"].id: Role.viewer})
    for scope in (Scope.read, Scope.write, Scope.predict):
        _, made.keys[f"{scope}_only"] = await make_key(database, owner, [scope])
    row, made.keys["revoked"] = await make_key(database, owner)
    bound, made.keys["bound"] = await make_key(database, owner)
    other = await make_project(database, owner, {owner.id: Role.owner})
    async with database.transaction() as session:
        (await session.get_one(ApiKey, row.id)).revoked_at = now()
        (await session.get_one(ApiKey, bound.id)).project_id = other.id
    async with browser(app) as client:
        made.csrf = await sign_in(client, owner.email)
        made.cookies = dict(client.cookies)
    async with database.transaction() as session:
        token = await signin.open_session(session, owner.id)
        made.elsewhere = str(await session.scalar(select(Session.id).where(col(Session.token_hash) == tokens.digest(token))))
    return made


async def make_project(database: Database, owner: User, roles: dict[UUID, Role]) -> Project:
    project = Project(owner_id=owner.id, name=f"Project of {owner.email}")
    async with database.transaction() as session:
        session.add(project)
        await session.flush()
        session.add_all(Membership(project_id=project.id, user_id=user, role=role) for user, role in roles.items())
    return project


async def furnish(made: World, owner: User, roles: dict[UUID, Role]) -> dict[str, str]:
    """A project with one of everything; ids by kind."""
    project = await make_project(made.database, owner, roles)
    uploaded = [await _dataset(made, owner, project, name) for name in ("Main", "Spare")]
    ids = {
        "project": str(project.id),
        "dataset": uploaded[0]["dataset_id"],
        "version": uploaded[0]["version_id"],
        "artifact": uploaded[0]["artifact_id"],
        "spare_dataset": uploaded[1]["dataset_id"],
    }
    async with made.database.transaction() as session:
        viewer = next((user for user, role in roles.items() if role is Role.viewer), owner.id)
        memberships = {row.user_id: row for row in await session.scalars(_memberships(project))}
        version = await session.get_one(DatasetVersion, UUID(ids["version"]))
        finished = await add_experiment(session, project, version, "finished", JobStatus.succeeded)
        waiting = await add_experiment(session, project, version, "waiting", JobStatus.queued)
        models = [await add_model(session, made.services, finished, f"GBM_{i}", 0.9 - i / 10) for i in range(3)]
        await model_service.rank(session, finished)
        deployments = await add_deployments(session, project, models)
        batches = await add_batches(session, made.services, project, version, models)
        rollout = add_rollout(session, project, deployments)
        ab_test = add_ab_test(session, project, deployments)
        retrain_run = add_retraining(session, project, deployments["deployment"])
        replay = replay_of(project.id, deployments["production"].id, models[1].id)
        session.add(replay)
        metric_change = metric_change_of(project.id, deployments["production"].id)
        session.add(metric_change)
        sent = await add_webhook(session, project)
        sent |= await add_alert(session, project, deployments["deployment"].id)
        invitation = Invitation(
            project_id=project.id,
            email="guest@example.org",
            role=MemberRole.editor,
            invited_by=owner.id,
            token_hash=tokens.digest(f"invited to {project.id}"),
            mails=1,
            expires_at=now() + timedelta(days=7),
        )
        session.add(invitation)
    return ids | {
        "member": str(memberships[viewer].id),
        "invitation": str(invitation.id),
        "experiment": str(finished.id),
        "waiting_experiment": str(waiting.id),
        "job": str(waiting.job_id),
        "model": str(models[0].id),
        "spare_model": str(models[2].id),
        **{name: str(row.id) for name, row in (deployments | batches).items()},
        "rollout": str(rollout.id),
        "ab_test": str(ab_test.id),
        "retrain_run": str(retrain_run.id),
        "replay": str(replay.id),
        "metric_change": str(metric_change.id),
        **sent,
    }


def _memberships(project: Project) -> Any:
    return select(Membership).where(col(Membership.project_id) == project.id)


async def _dataset(made: World, owner: User, project: Project, name: str) -> dict[str, Any]:
    """A dataset with its version: the first of a test process is really uploaded, the others are copies of it."""
    if not UPLOADED:
        answer = await _upload(made, owner, project, name)
        async with made.database.read() as session:
            version = await session.get_one(DatasetVersion, UUID(answer["version_id"]))
            table = await session.get_one(Artifact, version.artifact_id)
        path = await made.services.storage.path(table.storage_key)
        UPLOADED.append((version, await asyncio.to_thread(path.read_bytes)))
        return answer
    original, data = UPLOADED[0]
    async with made.database.transaction() as session:
        dataset = Dataset(project_id=project.id, name=name, created_by=owner.id)
        key = f"projects/{project.id}/datasets/{dataset.id}/table.parquet"
        artifact = await store(made.services, project.id, ArtifactKind.table, key, data)
        session.add_all([dataset, artifact])
        await session.flush()
        own = {"id": new_id(), "project_id": project.id, "dataset_id": dataset.id, "artifact_id": artifact.id}
        copied = original.model_dump(exclude={*own, "upload_artifact_id", "created_by", "created_at"})
        version = DatasetVersion(**copied, **own)
        session.add(version)
    return {"dataset_id": str(dataset.id), "version_id": str(version.id), "artifact_id": str(artifact.id)}


UPLOADED: list[tuple[DatasetVersion, bytes]] = []


async def _upload(made: World, owner: User, project: Project, name: str) -> dict[str, Any]:
    key = next(made.keys[actor] for actor, user in made.people.items() if user.id == owner.id)
    async with browser(made.app) as client:
        form = {"project_id": str(project.id), "name": name}
        answer = await client.post(
            "/api/datasets/upload", data=form, files={"file": ("t.csv", content())}, headers=bearer(key), timeout=60
        )
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def add_experiment(
    session: WriteSession, project: Project, version: DatasetVersion, name: str, status: JobStatus
) -> Experiment:
    """An experiment nobody trains; a queued one has its job."""
    experiment = Experiment(
        project_id=project.id,
        dataset_version_id=version.id,
        name=name,
        target_column=TARGET,
        problem_type=ProblemType.classification,
        config={"max_runtime_secs": 10},
        engines=["native"],
        status=status,
        sort_metric="auc",
    )
    session.add(experiment)
    await session.flush()
    session.add(EngineRun(experiment_id=experiment.id, position=0, engine="native", requested_engine="native", status=status))
    if not status.final:
        row = await job.enqueue(
            session,
            "automl_train",
            project_id=project.id,
            entity_type="experiment",
            entity_id=experiment.id,
        )
        experiment.job_id = row.id
    return experiment


async def add_model(
    session: WriteSession,
    services: Services,
    experiment: Experiment,
    name: str,
    score: float,
    *,
    curves: Any = None,
    explanation: Any = None,
    model: bytes | None = None,
    **more: Any,
) -> Model:
    """A model that really predicts, trained on the table in a moment; its files are those given."""
    run = await session.scalar(select(EngineRun).where(col(EngineRun.experiment_id) == experiment.id))
    assert run is not None
    model_id = new_id()
    prefix = f"projects/{experiment.project_id}/experiments/{experiment.id}/models/{model_id}"
    files = {
        "artifact_id": (ArtifactKind.model, "model.zip", model or bundle_bytes()),
        "curves_artifact_id": (ArtifactKind.curves, "curves.json", orjson.dumps(curves or model_documents()[0])),
        "explanation_artifact_id": (
            ArtifactKind.explanation,
            "explanation.json",
            orjson.dumps(explanation or model_documents()[1]),
        ),
    }
    artifacts = {
        column: await store(services, experiment.project_id, kind, f"{prefix}/{filename}", data)
        for column, (kind, filename, data) in files.items()
    }
    session.add_all(artifacts.values())
    await session.flush()
    values: dict[str, Any] = {
        "name": name,
        "algo": "GBM",
        "engine": "native",
        "classes": ["no", "yes"],
        "metrics": {"auc": score, "logloss": 1 - score},
        "score": score,
        **{column: artifact.id for column, artifact in artifacts.items()},
        **more,
    }
    model = Model(
        id=model_id,
        project_id=experiment.project_id,
        experiment_id=experiment.id,
        engine_run_id=run.id,
        dataset_version_id=experiment.dataset_version_id,
        problem_type=experiment.problem_type,
        target_column=experiment.target_column,
        **values,
    )
    await registry.number(session, model)
    session.add(model)
    await session.flush()
    return model
