"""Trainings, the jobs this machinery is for: killed in the middle, stopped, cancelled."""

import random
from typing import Any
from uuid import UUID

import psutil
import pytest
from sqlalchemy import func, select
from sqlmodel import col
from starlette.applications import Starlette

from coreplex.artifact.table import Artifact
from coreplex.engines.diagnosis import experiment_warnings
from coreplex.errors.tree import Message, NoModel
from coreplex.experiment.table import EngineRun, Experiment
from coreplex.job.lifecycle import JobStatus
from coreplex.model.table import Model
from coreplex.platform.database import Database
from coreplex.platform.isolation import ChildTimeout
from coreplex.platform.services import Services
from coreplex.training.service import _engine_failed
from schema.messages import catalogue
from tests.factories.dataset import Person, stored_files, table
from tests.jobs.harness import Workers, done, read, until

LONG = {"max_runtime_secs": 300, "max_models": 200, "nfolds": 5}
SHORT = {"max_runtime_secs": 120, "max_models": 2, "nfolds": 3, "include_algos": ["GLM", "GBM"]}
PATIENCE = 120.0


def blobs(rows: int = 600) -> bytes:
    """Two classes a model can tell apart."""
    draw = random.Random(7)
    lines: list[list[object]] = [["a", "b", "c", "late"]]
    for _ in range(rows):
        a, b, c = draw.gauss(0, 1), draw.gauss(0, 1), draw.choice(["x", "y", "z"])
        lines.append([round(a, 4), round(b, 4), c, "yes" if a + b + draw.gauss(0, 0.5) > 0 else "no"])
    return table(lines)


FAILED = """query($id: ID!) { experiment(id: $id) {
  error { ...told } job { error { ...told } } engineRuns { error { ...told } } } }
fragment told on Notice { message reason parameters }"""


class Training:
    """One experiment, begun over REST."""

    def __init__(self, person: Person, database: Database) -> None:
        self.person, self.database, self.id = person, database, ""

    async def begin(self, config: dict[str, Any], content: bytes | None = None) -> None:
        dataset = await self.person.dataset(content or blobs(), "blobs.csv")
        wanted = {
            "project_id": self.person.project_id,
            "dataset_version_id": dataset["version_id"],
            "name": "Blobs",
            "target_column": "late",
            "problem_type": "classification",
            "config": config,
        }
        answer = await self.person.client.post("/api/experiments", json=wanted)
        assert answer.status_code < 300, answer.text
        self.id = answer.json()["id"]

    async def look(self) -> Experiment:
        async with self.database.read() as session:
            return await session.get_one(Experiment, UUID(self.id))

    async def models(self) -> dict[UUID, str]:
        async with self.database.read() as session:
            query = select(Model).where(col(Model.experiment_id) == UUID(self.id))
            return {model.id: model.name for model in await session.scalars(query)}

    async def timeline(self) -> dict[str, dict[str, Any]]:
        """What the project's timeline has, by type."""
        found = (await self.person.client.get(f"/api/projects/{self.person.project_id}/timeline")).json()["events"]
        return {event["type"]: event for event in found}

    async def has_models(self) -> bool:
        return bool(await self.models())


async def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
async def test_a_training_killed_in_the_middle_begins_anew_and_leaves_nothing_of_the_dead_attempt(
    lab: tuple[Starlette, Person], database: Database, workers: Workers
) -> None:
    app, person = lab
    training = Training(person, database)
    workers.start()
    await training.begin({**SHORT, "max_models": 6})
    await until(training.has_models, PATIENCE)
    (child,) = workers.children()
    dead = await training.models()
    workers.kill(workers.alive[0])
    await until(lambda: gone(child), 5)
    workers.start()
    await until(done(database), PATIENCE)
    found, names = await training.look(), await training.models()
    assert (found.status, found.error) == (JobStatus.succeeded, None)
    assert found.job_id is not None
    assert (await read(database, found.job_id)).attempts > 1
    assert names
    assert not dead.keys() & names.keys(), "the dead attempt's models are gone"
    assert not any(name.startswith("retry") for name in names.values()), "and so their names are free"
    services: Services = app.state.services
    bundles = {UUID(key.split("/")[-2]) for key in stored_files(services) if key.endswith("/model.zip")}
    assert not bundles & dead.keys(), "and so are their files"
    assert bundles >= names.keys()


async def test_a_training_is_cancelled_with_its_child(
    lab: tuple[Starlette, Person], database: Database, workers: Workers
) -> None:
    training = Training(lab[1], database)
    workers.start()
    await training.begin(LONG)
    await until(training.has_models, PATIENCE)
    (child,) = workers.children()
    await training.person.client.post(f"/api/experiments/{training.id}/cancel")
    await until(done(database), 15)
    assert (await training.look()).status is JobStatus.cancelled
    assert await gone(child)


@pytest.mark.slow
async def test_a_stopped_training_keeps_its_models(lab: tuple[Starlette, Person], database: Database, workers: Workers) -> None:
    training = Training(lab[1], database)
    workers.start()
    await training.begin(LONG)
    await until(training.has_models, PATIENCE)
    await training.person.client.post(f"/api/experiments/{training.id}/stop")
    await until(done(database), 60)
    assert (await training.look()).status is JobStatus.succeeded
    assert await training.models()


async def test_how_a_training_ends_is_told(lab: tuple[Starlette, Person], database: Database, workers: Workers) -> None:
    training = Training(lab[1], database)
    workers.start()
    await training.begin({**SHORT, "verbosity": "error"}, blobs() + b"0.5,0.5,x,perhaps\n0.1,0.2,y,\n")
    await until(done(database), PATIENCE)
    found, models = await training.look(), await training.models()
    assert found.best_model_id is not None
    assert found.warnings == [
        "Rows without a value in 'late' are left out: 1.",
        "Left out: 1 class with a single row (perhaps).",
    ]
    told = (await training.timeline())["experiment.succeeded"]
    assert (told["user"], told["entity_id"]) == (None, training.id)
    assert told["message"] == (f"Experiment “Blobs” finished: {len(models)} models, the best is {models[found.best_model_id]}.")
    await training.begin({**SHORT, "time_column": "a", "time_gap": 1e9})
    await until(done(database), PATIENCE)
    assert (await training.timeline())["experiment.failed"]["message"].startswith(
        "Experiment “Blobs” failed: config.time_gap: leaves nothing"
    )
    told = (await training.person.data(FAILED, id=training.id))["experiment"]
    assert told["error"] == {
        "message": f"config.time_gap: {catalogue()['gap_leaves_nothing']}",
        "reason": "gap_leaves_nothing",
        "parameters": {},
    }
    assert told["job"]["error"] == told["engineRuns"][0]["error"] == told["error"]
    rest = (await training.person.client.get(f"/api/experiments/{training.id}")).json()
    assert rest["error"] == told["error"]["message"]


async def test_a_training_stays_within_the_stored_bytes_of_its_owner(
    lab: tuple[Starlette, Person], database: Database, workers: Workers
) -> None:
    """At the model that does not fit any more it ends, keeps those before and says so."""
    app, person = lab
    training, services = Training(person, database), app.state.services
    await training.begin(SHORT)
    async with database.read() as session:
        used = await session.scalar(select(func.sum(col(Artifact.size_bytes)))) or 0
    workers.environment["MAX_STORED_BYTES"] = str(used + 10_000)  # room for the baseline, and for no booster
    workers.start()
    await until(done(database), PATIENCE)
    found, models = await training.look(), await training.models()
    assert (found.status, list(models)) == (JobStatus.succeeded, [found.best_model_id])
    assert "MAX_STORED_BYTES" in found.warnings[-1], found.warnings
    async with database.read() as session:
        kept = (await session.execute(select(func.sum(col(Artifact.size_bytes)), func.count()).select_from(Artifact))).one()
    assert kept[0] <= used + 10_000
    assert len(stored_files(services)) == kept[1], "files of the model that was refused are gone"


@pytest.mark.slow
async def test_columns_that_give_the_target_away_are_left_out_on_request(
    lab: tuple[Starlette, Person], database: Database, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the creation of the experiment could not wait for the diagnosis: then the training makes it."""
    monkeypatch.setattr("coreplex.dataset.diagnosis.SOON_SECS", 0.0)
    training = Training(lab[1], database)
    rows = blobs().decode().split()
    content = "\n".join([rows[0] + ",copy", *(f"{row},{1 if row.endswith('yes') else 0}" for row in rows[1:])]).encode()
    workers.start()
    await training.begin({**SHORT, "include_algos": ["GLM"], "drop_leaks": True}, content)
    await until(done(database), PATIENCE)
    found = await training.look()
    assert found.status is JobStatus.succeeded
    assert experiment_warnings.DIAGNOSIS_PENDING not in found.warnings
    assert found.warnings[-1].startswith("Left out of the features, as drop_leaks asks: 'copy'."), found.warnings
    async with database.read() as session:
        model = await session.get_one(Model, found.best_model_id)
    assert {feature["name"] for feature in model.features} == {"a", "b", "c"}
    asked = {"inputs": {"a": 1.0, "b": 0.5, "c": "x"}}
    answer = await training.person.client.post(f"/api/models/{model.id}/predict", json=asked)
    assert "warnings" not in answer.json()["predictions"][0], answer.text


async def test_a_training_ended_without_a_model_says_what_to_do() -> None:
    said: list[str] = []

    class Context:
        def log(self, message: str, level: str = "info") -> None:
            said.append(message)

        async def save(self, work: object) -> None:
            pass

    class Recorder:
        count = 0

    run, late = (
        EngineRun(engine="native"),
        ChildTimeout(Message("task_too_long", "The task took longer than the 5.05 s it may take.")),
    )
    error = await _engine_failed(Context(), run, Recorder(), late)  # type: ignore[arg-type]
    assert isinstance(error, NoModel)
    assert "max_runtime_secs" in error.message
    assert said == ["Engine native: The task took longer than the 5.05 s it may take."]
