"""Experiments in the public contract."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import strawberry

from coreplex.experiment import inputs
from coreplex.experiment.table import ExecutionMode, ExperimentStatus, ProblemType
from coreplex.job.table import percent
from coreplex.platform.permissions import READ, WRITE, Category, Permission
from coreplex.platform.roles import Plan, Role, Scope
from resolvers import experiment as resolve
from resolvers import model as resolve_model
from resolvers.guard import Info
from schema.common import DeletedPayload, DeleteInUseInput, Id, enum, published
from schema.event import LogEntry
from schema.field import by_id, guarded, loaded, mutation
from schema.model import Model, ModelSort, Validation
from schema.pagination import Connection, connection, nested, sort_input
from schema.scalars import JSON

TRAIN = Permission(Scope.write, Role.editor, category=Category.training, once=True)

enum(ExperimentStatus, "State of an experiment or of one engine's run.")
enum(ExecutionMode, "One engine, or several side by side.")
published(inputs.CreateExperiment, "CreateExperimentInput", "What is to be learned, from what, and how.")
published(inputs.ExperimentFilter, "ExperimentFilter", "Which experiments are wanted.")

ExperimentSort = sort_input("Experiment", ("created_at", "name", "status", "finished_at"))


@strawberry.type(description="What the caller's plan and this server allow.")
class ExperimentCapabilities:
    plan: Plan = strawberry.field(description="The caller's plan.")
    allowed_engines: list[str] = strawberry.field(description="Engines that may be asked for and are installed.")
    execution_modes: list[ExecutionMode] = strawberry.field(description="Modes that may be used.")
    default_engine: str = strawberry.field(description="The engine that runs when none is named.")
    max_models: int = strawberry.field(description="Most models of one experiment.")
    max_runtime_secs: int = strawberry.field(description="Longest training time in seconds.")
    gpu_available: bool = strawberry.field(description="Whether a GPU can be used.")
    algorithms: list[str] = strawberry.field(description="Algorithm families by the names `algo`, `exclude_algos` use.")


@strawberry.type(description="One engine's part of an experiment.")
class EngineRun:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    experiment_id: strawberry.ID = strawberry.field(description="The experiment.")
    engine: str = strawberry.field(description="The engine that runs.")
    requested_engine: str = strawberry.field(description="The engine that was asked for.")
    status: ExperimentStatus = strawberry.field(description="State.")
    models_trained: int = strawberry.field(description="Models finished so far, baseline and ensembles included.")
    best_model_id: strawberry.ID | None = strawberry.field(description="Its best model.")
    best_metric: float | None = strawberry.field(description="The sort metric of its best model.")
    error: str | None = strawberry.field(description="Why it failed.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


def _job(kind: Any, read: Callable[[Any, Any], Any], description: str) -> Any:
    """Something the background job knows: `read(job, experiment)`."""
    return loaded(kind, lambda loaders: loaders.job, lambda experiment: experiment.job_id, description, read)


def _progress(job: Any, experiment: Any) -> float:
    """As its job says; the job of an experiment that ended long ago is gone."""
    if job is not None:
        return percent(job.progress)
    return percent(float(experiment.status is ExperimentStatus.succeeded))


@strawberry.type(description="A search for the best model of a column: many models, ranked.")
class Experiment:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="The project.")
    dataset_version_id: strawberry.ID = strawberry.field(description="The dataset version it learns from.")
    job_id: strawberry.ID | None = strawberry.field(
        description="The background job that trains; empty once it is no longer listed."
    )
    name: str = strawberry.field(description="Name.")
    target_column: str = strawberry.field(description="The column to predict.")
    problem_type: ProblemType = strawberry.field(description="Classification or regression.")
    config: JSON = strawberry.field(description="The options in force, defaults included.")
    engines: list[str] = strawberry.field(description="The engines that run.")
    execution_mode: ExecutionMode = strawberry.field(description="One engine or several side by side.")
    use_gpu: bool = strawberry.field(description="Whether a GPU was asked for.")
    status: ExperimentStatus = strawberry.field(description="State.")
    stopped: bool = strawberry.field(description="True when the search was told to stop and keep the best.")
    progress: float = _job(float, _progress, "Share done, 0 to 100.")
    message: str = _job(str, lambda job, _: job.message if job else "", "What is going on.")
    error: str | None = strawberry.field(description="Why it failed.")
    warnings: list[str] = strawberry.field(description="What was done differently from what was asked.")
    validation: Validation | None = strawberry.field(
        description="How rows are split, and why; asked for with `config.validation`. Null in experiments older than the choice."
    )
    sort_metric: str = strawberry.field(description="The metric models are ranked by.")
    best_model_id: strawberry.ID | None = strawberry.field(description="The best model so far.")
    model_count: int = loaded(int, lambda loaders: loaders.experiment_model_count, by_id, "Models finished so far.")
    best_model: Model | None = loaded(
        Model | None, lambda loaders: loaders.model, lambda experiment: experiment.best_model_id, "The best model so far."
    )
    engine_runs: list[EngineRun] = loaded(list[EngineRun], lambda loaders: loaders.engine_runs, by_id, "What each engine did.")
    models: Connection[Model] = nested(
        resolve_model.of_experiments,
        node=Model,
        permission=READ,
        sort=ModelSort,
        description="The leaderboard: models that are finished, the best first.",
    )
    logs: Connection[LogEntry] = nested(
        resolve.logs, node=LogEntry, permission=READ, description="The log, oldest first; readable while it runs."
    )
    created_at: datetime = strawberry.field(description="When it was created.")
    started_at: datetime | None = strawberry.field(description="When training began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The experiment that was created or changed.")
class ExperimentPayload:
    experiment: Experiment = strawberry.field(description="The experiment as it is now.")


@strawberry.input(description="An experiment to act on.")
class ExperimentInput:
    experiment_id: strawberry.ID = strawberry.field(description="Its identifier.")


async def _one(info: Info, id: Id) -> Experiment:
    return await resolve.one(info, id)  # type: ignore[return-value]


async def _capabilities(info: Info) -> ExperimentCapabilities:
    return await resolve.able(info)  # type: ignore[return-value]


async def _create(info: Info, input: inputs.CreateExperiment) -> ExperimentPayload:
    return ExperimentPayload(experiment=await resolve.create(info, input))  # type: ignore[arg-type]


async def _cancel(info: Info, input: ExperimentInput) -> ExperimentPayload:
    return ExperimentPayload(experiment=await resolve.cancel(info, input.experiment_id))  # type: ignore[arg-type]


async def _stop(info: Info, input: ExperimentInput) -> ExperimentPayload:
    return ExperimentPayload(experiment=await resolve.stop(info, input.experiment_id))  # type: ignore[arg-type]


async def _delete(info: Info, input: DeleteInUseInput) -> DeletedPayload:
    return DeletedPayload(id=strawberry.ID(str(await resolve.delete(info, input.id, force=input.force))))


@strawberry.type
class ExperimentQuery:
    experiment: Experiment = guarded(_one, READ, "One experiment.")
    experiments: Connection[Experiment] = connection(
        resolve.many,
        node=Experiment,
        permission=READ,
        sort=ExperimentSort,
        filter=inputs.ExperimentFilter,
        description="Experiments of the caller's projects.",
    )
    experiment_capabilities: ExperimentCapabilities = guarded(_capabilities, READ, "What the caller may ask of an experiment.")


@strawberry.type
class ExperimentMutation:
    create_experiment: ExperimentPayload = mutation(_create, TRAIN, "Start a search; it runs in the background.")
    cancel_experiment: ExperimentPayload = mutation(_cancel, WRITE, "End the training; finished models stay.")
    stop_experiment: ExperimentPayload = mutation(_stop, WRITE, "End the search and keep the best model found so far.")
    delete_experiment: DeletedPayload = mutation(_delete, WRITE, "Delete an experiment, its models and their files.")
