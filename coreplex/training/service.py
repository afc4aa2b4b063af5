"""The job behind an experiment: engines run in children, models are stored as they finish, the best is kept whatever ends it."""

import asyncio
import shutil
from typing import Any

from sqlalchemy import func, select, update
from sqlmodel import col

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset import diagnosis
from coreplex.dataset.table import DatasetVersion
from coreplex.deployment.table import Deployment
from coreplex.engines.automl.options.config import parse_config
from coreplex.engines.automl.splits import split
from coreplex.engines.diagnosis import experiment_warnings
from coreplex.engines.diagnosis.request import ColumnRoles, DiagnosisRequest
from coreplex.errors.tree import DomainError, Message, NoModel
from coreplex.event import service as event
from coreplex.experiment.table import EngineRun, Experiment
from coreplex.job.context import JobContext
from coreplex.job.lifecycle import JobStatus
from coreplex.job.service import enqueue_removal
from coreplex.job.table import Job
from coreplex.job.work_folder import folder_of
from coreplex.model import service as model_service
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.deferred_import import child_task
from coreplex.platform.isolation import ChildCancelled, ChildTimeout, run_child
from coreplex.platform.storage import disk_errors
from coreplex.training.plan import TrainingPlan
from coreplex.training.recorder import Recorder, forget, remember
from coreplex.webhook import outbox

ENGINE = child_task("coreplex.engines.automl.train:run")
OVERRUN_FACTOR = 1.05
OVERRUN_SECS = 4.0
"""A child that does not end by itself within its budget and this much more is ended; what it has finished stays."""


async def run(job: Job, context: JobContext) -> dict[str, Any]:
    """Run every engine of the experiment. Fails only when none of them finished a model."""
    plan = await _prepare(job, context)
    try:
        await _diagnose(context, plan)
        await _say_validation(context, plan)
        outcomes = await asyncio.gather(*(_run_engine(context, plan, one) for one in plan.runs))
    finally:
        await asyncio.to_thread(shutil.rmtree, plan.folder, ignore_errors=True)
    trained = await context.save(lambda session: _count(session, plan.experiment))
    problems = [problem for problem in outcomes if problem is not None]
    if problems and not trained:
        raise problems[0]
    return {"models_trained": trained, "stopped": context.orders.stop}


async def _prepare(job: Job, context: JobContext) -> TrainingPlan:
    async def work(session: WriteSession) -> tuple[Experiment, list[EngineRun], DatasetVersion, Artifact, int]:
        experiment = await session.get_one(Experiment, job.entity_id)
        await _forget_former_attempt(session, experiment)
        kept = await _count(session, experiment)
        query = select(EngineRun).where(col(EngineRun.experiment_id) == experiment.id).order_by(col(EngineRun.position))
        version = await session.get_one(DatasetVersion, experiment.dataset_version_id)
        artifact = await session.get_one(Artifact, version.artifact_id)
        return experiment, list((await session.scalars(query)).all()), version, artifact, kept

    experiment, runs, version, artifact, kept = await context.save(work)
    if job.attempts > 1:
        context.log(f"Attempt {job.attempts}: the worker before went away; training begins anew.", "warning")
    folder = folder_of(context.settings.data_dir, experiment.id, context.token)
    with disk_errors():
        folder.mkdir(parents=True, mode=0o700)
    prefix = f"retry{job.attempts}_" if kept else ""
    return TrainingPlan(experiment, runs, version, await whole(context.storage, artifact), folder, prefix)


async def _diagnose(context: JobContext, plan: TrainingPlan) -> None:
    """Fill in the columns to leave out and how rows depend on each other. Says what the creation had no time for."""
    experiment = plan.experiment
    question = DiagnosisRequest(experiment.target_column, experiment.problem_type, ColumnRoles.of(experiment.config))
    drop = bool(experiment.config.get("drop_leaks"))
    found = await context.save(lambda session: diagnosis.known(session, plan.version.id, question))
    await context.save(lambda session: forget(session, experiment.id, experiment_warnings.DIAGNOSIS_PENDING))
    if found is None:
        context.report(0.0, "looking for columns that give the target away, and for rows that depend on each other")
        try:
            schema, pace = plan.version.table_schema, diagnosis.IN_TRAINING
            found = await diagnosis.make(context.settings, plan.table, schema, question, pace, context.control)
        except ChildCancelled:
            raise
        except DomainError as error:
            await _warn(context, experiment, experiment_warnings.not_diagnosed(error.message, drop_leaks=drop))
            return
        await context.save(lambda session: diagnosis.keep(session, plan.version.id, question, found))
    for warning in experiment_warnings.warnings(found, drop_leaks=drop):
        await _warn(context, experiment, warning)
    plan.left_out.extend(experiment_warnings.left_out(found) if drop else [])
    plan.dependence.update(found["dependence"])


async def _say_validation(context: JobContext, plan: TrainingPlan) -> None:
    """Keep with the experiment how its rows are split, and say where a random split would promise too much."""
    config = parse_config(plan.experiment.config)

    async def work(session: WriteSession) -> None:
        experiment = await session.get_one(Experiment, plan.experiment.id, with_for_update=True)
        experiment.validation = split.described(config, plan.dependence)

    await context.save(work)
    for warning in split.warnings(config, plan.dependence):
        await _warn(context, plan.experiment, warning)


async def _warn(context: JobContext, experiment: Experiment, message: Message) -> None:
    """A warning for the log and to stay with the experiment, unless it does already."""
    if await context.save(lambda session: remember(session, experiment.id, message)):
        context.log(message, "warning")


async def _forget_former_attempt(session: WriteSession, experiment: Experiment) -> None:
    """Remove the models an attempt that died has left, except those somebody has deployed meanwhile."""
    deployed = select(col(Deployment.model_id))
    query = select(Model).where(col(Model.experiment_id) == experiment.id, col(Model.id).not_in(deployed))
    models = (await session.scalars(query)).all()
    await model_service.remove(session, models)
    for model in models:
        await enqueue_removal(session, "model", model.id, prefix=model_service.storage_prefix(model))
    runs = update(EngineRun).where(col(EngineRun.experiment_id) == experiment.id)
    await session.execute(runs.values(models_trained=0, best_model_id=None, best_metric=None, status=JobStatus.queued))


async def _run_engine(context: JobContext, plan: TrainingPlan, run: EngineRun) -> DomainError | None:
    """One engine in its child; the error that ended it, unless it left models behind."""
    await context.save(lambda session: _mark(session, run, JobStatus.running))
    budget = float(plan.experiment.config["max_runtime_secs"])
    recorder = Recorder(context, plan, run)
    context.report(0.0, "starting")
    try:
        result = await run_child(
            ENGINE,
            _request(context, plan, run, budget),
            on_event=recorder.on_event,
            time_limit_secs=budget * OVERRUN_FACTOR + OVERRUN_SECS,
            memory_bytes=context.settings.training_memory_bytes,
            env_threads=_threads(context, plan),
            control=context.control,
            writes_to=plan.folder,
        )
    except ChildCancelled:
        raise
    except DomainError as error:
        return await _engine_failed(context, run, recorder, error)
    await context.save(lambda session: _mark(session, run, JobStatus.succeeded))
    if result.get("stopped"):
        context.log(f"Engine {run.engine} was stopped; the best so far is kept.")
    return None


async def _engine_failed(context: JobContext, run: EngineRun, recorder: Recorder, error: DomainError) -> DomainError | None:
    if isinstance(error, ChildTimeout) and recorder.count:
        context.log(f"Engine {run.engine} was ended at its time limit; its {recorder.count} models are kept.", "warning")
        await context.save(lambda session: _mark(session, run, JobStatus.succeeded))
        return None
    detail = getattr(error, "detail", "")
    context.log(f"Engine {run.engine}: {error.message} {detail[-1500:]}".strip(), "error")
    if isinstance(error, ChildTimeout):
        error = NoModel()
    if recorder.count:
        early = _ended_early(run.engine, recorder.count, error.message)
        await context.save(lambda session: remember(session, run.experiment_id, early))
    await context.save(lambda session: _mark(session, run, JobStatus.failed, error.message))
    return None if recorder.count else error


def _ended_early(engine: str, models: int, why: Message) -> Message:
    return Message(
        "engine_ended_early",
        "Engine {engine} ended early, its {models} models are kept: {why}",
        engine=engine,
        models=models,
        why=why,
    )


def _threads(context: JobContext, plan: TrainingPlan) -> int:
    return max(1, context.settings.training_threads // len(plan.runs))


def _request(context: JobContext, plan: TrainingPlan, run: EngineRun, budget: float) -> dict[str, Any]:
    return {
        "table": str(plan.table),
        "schema": plan.version.table_schema,
        "target": plan.experiment.target_column,
        "problem_type": plan.experiment.problem_type,
        "config": _config(plan),
        "dependence": plan.dependence,
        "engine": run.engine,
        "work_dir": str(plan.folder / run.engine),
        "threads": _threads(context, plan),
        "deadline_secs": budget,
        "memory_bytes": context.settings.training_memory_bytes,
        "name_prefix": plan.prefix,
    }


def _config(plan: TrainingPlan) -> dict[str, Any]:
    config = plan.experiment.config
    return {**config, "ignored_columns": [*config.get("ignored_columns", ()), *plan.left_out]}


async def _count(session: WriteSession, experiment: Experiment) -> int:
    query = select(func.count()).select_from(Model).where(col(Model.experiment_id) == experiment.id)
    return await session.scalar(query) or 0


async def _mark(session: WriteSession, run: EngineRun, status: JobStatus, error: Message | None = None) -> None:
    row = await session.get_one(EngineRun, run.id)
    row.enter(status, error)
    session.add(row)


async def on_final(session: WriteSession, job: Job) -> None:
    """The experiment ends in the transaction that ends its job, however it ends."""
    experiment = await session.get(Experiment, job.entity_id)
    if experiment is None:
        return
    experiment.enter(job.status, job.error)
    experiment.stopped = job.stop_requested_at is not None and job.status is JobStatus.succeeded
    ended = update(EngineRun).where(
        col(EngineRun.experiment_id) == experiment.id,
        col(EngineRun.status).in_([JobStatus.queued, JobStatus.running]),
    )
    await session.execute(ended.values(status=experiment.status, error=job.error, finished_at=now()))
    best = await model_service.rank(session, experiment)
    await _tell(session, experiment, best)


async def _tell(session: WriteSession, experiment: Experiment, best: Model | None) -> None:
    """The end in the project's timeline, and to its webhooks; whoever cancelled or deleted it is in there already, by name."""
    if experiment.status is JobStatus.cancelled:
        return
    outcome = f"failed: {experiment.error}"
    if experiment.status is JobStatus.succeeded:
        outcome = f"finished: {await _count(session, experiment)} models" + (f", the best is {best.name}." if best else ".")
    kind, message = f"experiment.{experiment.status}", f"Experiment “{experiment.name}” {outcome}"
    said = {"message": message, "experiment_id": str(experiment.id), "name": experiment.name, "status": experiment.status}
    best_id = {"best_model_id": str(best.id)} if best else {}
    await outbox.send(session, experiment.project_id, kind, said | best_id, subject=f"experiment/{experiment.id}")
    await event.audit(session, None, experiment, kind, message)


async def entity(session: WriteSession, job: Job) -> str | None:
    """What people call the thing the job works on."""
    experiment = await session.get(Experiment, job.entity_id)
    return f"experiment “{experiment.name}”" if experiment else None
