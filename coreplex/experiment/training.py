"""The job behind an experiment: engines run in children, models are stored as they finish, the best is kept whatever ends it."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, update
from sqlmodel import col

from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.clock import now
from coreplex.database import WriteSession
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment
from coreplex.errors import DomainError
from coreplex.event import service as event
from coreplex.event.table import EventKind
from coreplex.experiment.table import EngineRun, Experiment, ExperimentStatus
from coreplex.identifier import new_id
from coreplex.isolation import ChildTimeout, run_child
from coreplex.job.context import JobContext, append_log
from coreplex.job.handlers import register
from coreplex.job.table import Job, JobStatus, JobType
from coreplex.model import service as model_service
from coreplex.model.table import Model

OVERRUN_FACTOR = 1.05
OVERRUN_SECS = 4.0
"""A child that does not end by itself within its budget and this much more is ended; what it has finished stays."""


@dataclass(frozen=True)
class Plan:
    """What one attempt of the job works on."""

    experiment: Experiment
    runs: list[EngineRun]
    version: DatasetVersion
    table: Path
    folder: Path


async def train(context: JobContext) -> dict[str, Any]:
    """Run every engine of the experiment. Fails only when none of them finished a model."""
    plan = await _prepare(context)
    try:
        outcomes = await asyncio.gather(*(_run_engine(context, plan, run) for run in plan.runs))
    finally:
        await asyncio.to_thread(shutil.rmtree, plan.folder, ignore_errors=True)
    trained = await context.persist(lambda session: _count(session, plan.experiment))
    problems = [problem for problem in outcomes if problem is not None]
    if problems and (not trained or context.control.cancelled):
        raise problems[0]
    return {"models_trained": trained, "stopped": context.control.stopped}


async def _prepare(context: JobContext) -> Plan:
    services, job = context.services, context.job

    async def act(session: WriteSession) -> tuple[Experiment, list[EngineRun], DatasetVersion, Artifact]:
        experiment = await session.get_one(Experiment, job.entity_id)
        await _forget_former_attempt(session, experiment)
        experiment.status, experiment.started_at = ExperimentStatus.running, experiment.started_at or now()
        query = select(EngineRun).where(col(EngineRun.experiment_id) == experiment.id).order_by(col(EngineRun.position))
        version = await session.get_one(DatasetVersion, experiment.dataset_version_id)
        await _state(session, experiment, "experiment.running", "Training has begun.")
        if job.attempts > 1:
            await append_log(
                session, job, f"Attempt {job.attempts}: the worker before went away; training begins anew.", "warning"
            )
        return experiment, list(await session.scalars(query)), version, await session.get_one(Artifact, version.artifact_id)

    experiment, runs, version, artifact = await context.persist(act)
    folder = services.settings.data_dir / "work" / f"{experiment.id}-{job.token}"
    folder.mkdir(parents=True, mode=0o700)
    return Plan(experiment, runs, version, await services.storage.path(artifact.storage_key), folder)


async def _forget_former_attempt(session: WriteSession, experiment: Experiment) -> None:
    """Remove the models an attempt that died has left, except those somebody has deployed meanwhile."""
    deployed = select(col(Deployment.model_id))
    query = select(Model).where(col(Model.experiment_id) == experiment.id, col(Model.id).not_in(deployed))
    await model_service.remove(session, (await session.scalars(query)).all())
    runs = update(EngineRun).where(col(EngineRun.experiment_id) == experiment.id)
    await session.execute(runs.values(models_trained=0, best_model_id=None, best_metric=None, status=ExperimentStatus.queued))


async def _run_engine(context: JobContext, plan: Plan, run: EngineRun) -> DomainError | None:
    """One engine in its child; the error that ended it, unless it left models behind."""
    await context.persist(lambda session: _mark(session, run, ExperimentStatus.running))
    budget = float(plan.experiment.config["max_runtime_secs"])
    recorder = Recorder(context, plan, run)
    settings = context.services.settings
    try:
        result = await run_child(
            "coreplex.engines.automl.train:run",
            _request(context, plan, run, budget),
            on_event=recorder.on_event,
            time_limit_secs=budget * OVERRUN_FACTOR + OVERRUN_SECS,
            memory_bytes=settings.training_memory_bytes,
            threads=_threads(settings.training_threads, len(plan.runs)),
            control=context.control,
        )
    except DomainError as error:
        return await _engine_failed(context, run, recorder, error)
    await context.persist(lambda session: _mark(session, run, ExperimentStatus.succeeded))
    if result.get("stopped"):
        await context.log(f"Engine {run.engine} was stopped; the best so far is kept.")
    return None


async def _engine_failed(context: JobContext, run: EngineRun, recorder: "Recorder", error: DomainError) -> DomainError | None:
    kept = recorder.count > 0 and not context.control.cancelled
    if isinstance(error, ChildTimeout) and kept:
        await context.log(f"Engine {run.engine} was ended at its time limit; its {recorder.count} models are kept.", "warning")
        await context.persist(lambda session: _mark(session, run, ExperimentStatus.succeeded))
        return None
    status = ExperimentStatus.cancelled if context.control.cancelled else ExperimentStatus.failed
    await context.log(f"Engine {run.engine}: {error.message}", "error")
    await context.persist(lambda session: _mark(session, run, status, error.message))
    return None if kept else error


def _threads(threads: int, engines: int) -> int:
    return max(1, threads // engines)


def _request(context: JobContext, plan: Plan, run: EngineRun, budget: float) -> dict[str, Any]:
    return {
        "table": str(plan.table),
        "schema": plan.version.table_schema,
        "target": plan.experiment.target_column,
        "problem_type": plan.experiment.problem_type,
        "config": plan.experiment.config,
        "engine": run.engine,
        "work_dir": str(plan.folder / run.engine),
        "threads": _threads(context.services.settings.training_threads, len(plan.runs)),
        "deadline_secs": budget,
        "name_prefix": f"retry{context.job.attempts}_" if context.job.attempts > 1 else "",
    }


class Recorder:
    """Turns what an engine reports into rows, files and events."""

    def __init__(self, context: JobContext, plan: Plan, run: EngineRun) -> None:
        self.context, self.plan, self.run = context, plan, run
        self.count = 0
        self.fraction = 0.0

    async def on_event(self, told: dict[str, Any]) -> None:
        match told["event"]:
            case "log":
                await self.context.log(told["message"], told.get("level", "info"))
            case "progress":
                await self._progress(told["fraction"], told.get("message", ""))
            case "model":
                await self._model(told)

    async def _progress(self, fraction: float, message: str) -> None:
        """Progress of the experiment is the mean over its engines."""
        self.fraction = fraction
        percent = round(100 * fraction, 1)
        if len(self.plan.runs) > 1:
            message = f"{self.run.engine}: {message}"
        self.context.report(percent, message)
        await self.context.persist(lambda session: _tell_progress(session, self.plan.experiment, percent, message))

    async def _model(self, told: dict[str, Any]) -> None:
        """Files first, then the row that names them: a row without its file never exists."""
        experiment, model_id = self.plan.experiment, new_id()
        prefix = f"projects/{experiment.project_id}/experiments/{experiment.id}/models/{model_id}"
        artifacts: dict[str, Artifact] = {}
        for part, kind, filename, content_type in (
            ("bundle", ArtifactKind.model, "model.zip", "application/zip"),
            ("curves", ArtifactKind.curves, "curves.json", "application/json"),
            ("explanation", ArtifactKind.explanation, "explanation.json", "application/json"),
        ):
            file = told[part]
            await self.context.services.storage.put(f"{prefix}/{filename}", Path(file["path"]))
            artifacts[part] = Artifact(
                project_id=experiment.project_id,
                kind=kind,
                storage_key=f"{prefix}/{filename}",
                filename=f"{told['name']}.zip" if part == "bundle" else filename,
                content_type=content_type,
                sha256=file["sha256"],
                size_bytes=file["size"],
            )
        try:
            await self.context.persist(lambda session: self._store(session, told, model_id, artifacts))
        except BaseException:
            await self.context.services.storage.delete_all(prefix)
            raise
        self.count += 1

    async def _store(self, session: WriteSession, told: dict[str, Any], model_id: Any, artifacts: dict[str, Artifact]) -> None:
        experiment = await session.get_one(Experiment, self.plan.experiment.id, with_for_update=True)
        # Artefacts are objects of the attempt before when this is a repeated transaction: add copies.
        rows = {part: Artifact(**artifact.model_dump()) for part, artifact in artifacts.items()}
        session.add_all(rows.values())
        await session.flush()
        experiment.sort_metric = told.get("sort_metric") or experiment.sort_metric
        model = self._row(told, model_id, rows)
        session.add(model)
        await session.flush()
        best = await model_service.rank(session, experiment)
        await _count_model(session, self.run, model)
        await event.append(
            session,
            entity_type="experiment",
            entity_id=experiment.id,
            project_id=experiment.project_id,
            kind=EventKind.state,
            type="model.trained",
            message=f"{model.name} is finished.",
            data={
                "model_id": str(model.id),
                "name": model.name,
                "algo": model.algo,
                "metrics": model.metrics,
                "rank": model.rank,
                "best_model_id": str(best.id) if best else None,
            },
        )

    def _row(self, told: dict[str, Any], model_id: Any, artifacts: dict[str, Artifact]) -> Model:
        experiment, version = self.plan.experiment, self.plan.version
        types = {column["name"]: column["type"] for column in version.table_schema["columns"]}
        metric = told["sort_metric"]
        return Model(
            id=model_id,
            project_id=experiment.project_id,
            experiment_id=experiment.id,
            engine_run_id=self.run.id,
            dataset_version_id=version.id,
            artifact_id=artifacts["bundle"].id,
            curves_artifact_id=artifacts["curves"].id,
            explanation_artifact_id=artifacts["explanation"].id,
            name=told["name"],
            algo=told["algo"],
            engine=self.run.engine,
            problem_type=experiment.problem_type,
            target_column=experiment.target_column,
            classes=told["classes"],
            features=[{"name": name, "type": types.get(name, "")} for name in told["features"]],
            metrics=told["metrics"],
            cv_metrics=told["cv_metrics"],
            parameters=told["parameters"],
            score=model_service.merit(metric, told["score"]),
            training_time_secs=told["training_time_secs"],
            latency_ms=told["latency_ms"],
            size_bytes=told["size_bytes"],
        )


async def _count(session: WriteSession, experiment: Experiment) -> int:
    query = select(func.count()).select_from(Model).where(col(Model.experiment_id) == experiment.id)
    return await session.scalar(query) or 0


async def _count_model(session: WriteSession, run: EngineRun, model: Model) -> None:
    row = await session.get_one(EngineRun, run.id)
    row.models_trained += 1
    leader = await session.get(Model, row.best_model_id) if row.best_model_id else None
    if leader is None or model.score > leader.score:
        row.best_model_id, row.best_metric = model.id, abs(model.score)
    session.add(row)


async def _mark(session: WriteSession, run: EngineRun, status: ExperimentStatus, error: str | None = None) -> None:
    row = await session.get_one(EngineRun, run.id)
    row.status, row.error = status, error
    if status is ExperimentStatus.running:
        row.started_at = row.started_at or now()
    else:
        row.finished_at = now()
    session.add(row)


async def _tell_progress(session: WriteSession, experiment: Experiment, percent: float, message: str) -> None:
    row = await session.get_one(Experiment, experiment.id)
    row.progress, row.message = max(row.progress, percent), message[:500]
    session.add(row)
    await event.append(
        session,
        entity_type="experiment",
        entity_id=row.id,
        project_id=row.project_id,
        kind=EventKind.progress,
        type="experiment.progress",
        message=message,
        data={"progress": row.progress},
    )


async def _state(session: WriteSession, experiment: Experiment, kind: str, message: str) -> None:
    session.add(experiment)
    await event.append(
        session,
        entity_type="experiment",
        entity_id=experiment.id,
        project_id=experiment.project_id,
        kind=EventKind.state,
        type=kind,
        message=message,
        data={"status": experiment.status, "error": experiment.error},
    )


OUTCOMES = {
    JobStatus.succeeded: (ExperimentStatus.succeeded, "Training is finished."),
    JobStatus.failed: (ExperimentStatus.failed, "Training has failed."),
    JobStatus.cancelled: (ExperimentStatus.cancelled, "Training was cancelled."),
}


async def settle(session: WriteSession, job: Job) -> None:
    """The experiment ends in the transaction that ends its job."""
    experiment = await session.get(Experiment, job.entity_id)
    if experiment is None:
        return
    experiment.status, message = OUTCOMES[job.status]
    experiment.error, experiment.finished_at = job.error, now()
    experiment.stopped = job.stop_requested_at is not None and job.status is JobStatus.succeeded
    if job.status is JobStatus.succeeded:
        experiment.progress, experiment.message = 100.0, "Finished."
    ended = update(EngineRun).where(
        col(EngineRun.experiment_id) == experiment.id,
        col(EngineRun.status).in_([ExperimentStatus.queued, ExperimentStatus.running]),
    )
    await session.execute(ended.values(status=experiment.status, error=job.error, finished_at=now()))
    await model_service.rank(session, experiment)
    await _state(session, experiment, f"experiment.{experiment.status}", job.error or message)


register(JobType.automl_train, train, settle)
