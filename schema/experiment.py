"""Experiments in the public contract."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import strawberry

from coreplex.deployment.listing import LEADERBOARDS
from coreplex.experiment import inputs, service
from coreplex.experiment.table import EngineRun as RunRow
from coreplex.experiment.table import ExecutionMode, ProblemType
from coreplex.experiment.table import Experiment as Row
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import percent
from coreplex.platform.permissions import READ, WRITE, Category, Permission, Role, Scope
from resolvers import experiment as resolve
from resolvers.experiment import engine_runs, jobs
from resolvers.model import model_counts, models
from schema.background import background_work
from schema.common import published
from schema.cost import PRICE, Price
from schema.deleted import DeletedFromProjectPayload
from schema.event import LogLine
from schema.experiment_options import ExperimentCapabilities, ExperimentCheck
from schema.field import Declared, argument, by_id, command, guarded, loaded, mutation, row
from schema.links import link, owner
from schema.metric import MetricName
from schema.model import Model, Validation
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection, nested
from schema.payload import REFUSED
from schema.scalars import JSON

TRAIN = Permission(Scope.write, Role.editor, category=Category.training, once=True)
CHECK = Permission(Scope.read, Role.editor)

published(inputs.CreateExperiment, "CreateExperimentInput", "What is to be learned, from what, and how.")
published(inputs.CancelExperiment, "CancelExperimentInput", "An experiment whose training is to end.")
published(inputs.StopExperiment, "StopExperimentInput", "An experiment whose search is to end with what it has.")
published(inputs.DeleteExperiment, "DeleteExperimentInput", "An experiment to remove.")


@node(RunRow, service.visible_runs)
@strawberry.type(description="One engine's part of an experiment.")
class EngineRun:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    experiment_id: strawberry.ID = strawberry.field(description="Identifier of the experiment.")
    experiment: Any = owner("Experiment", "experiment_id", "The experiment.")
    engine: str = strawberry.field(description="The engine that runs.")
    requested_engine: str = strawberry.field(description="The engine that was asked for.")
    status: JobStatus = strawberry.field(description="State.")
    models_trained: int = strawberry.field(name="modelCount", description="Models finished so far, baseline and ensembles too.")
    best_model_id: strawberry.ID | None = strawberry.field(description="Identifier of its best model.")
    best_model: Any = link("Model", "best_model_id", "Its best model.")
    best_metric: float | None = strawberry.field(description="The sort metric of its best model.")
    error: Notice | None = strawberry.field(description="Why it failed.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


def _job(kind: Any, read: Callable[[Any, Any], Any], description: str) -> Any:
    """Something the background job knows: `read(job, experiment)`."""
    return loaded(kind, jobs, lambda experiment: experiment.job_id, description, read)


def _progress(job: Any, experiment: Any) -> float:
    """As its job says; the job of an experiment that ended long ago is gone."""
    if job is not None:
        return percent(job.progress)
    return percent(float(experiment.status is JobStatus.succeeded))


def _sort_metric(root: strawberry.Parent[Row]) -> str | None:
    return root.sort_metric or None


@background_work
@node(Row)
@strawberry.type(description="A search for the best model of a column: many models, ranked.")
class Experiment:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    dataset_version_id: strawberry.ID = strawberry.field(description="Identifier of the dataset version it learns from.")
    dataset_version: Any = owner("DatasetVersion", "dataset_version_id", "The dataset version it learns from.")
    job_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the background job that trains; null once it is no longer listed."
    )
    job: Any = link("Job", "job_id", "The background job that trains; null once it is no longer listed.")
    name: str = strawberry.field(description="Name.")
    target_column: str = strawberry.field(description="The column to predict.")
    problem_type: ProblemType = strawberry.field(description="Classification or regression.")
    config: JSON = strawberry.field(description="The options in force, defaults included.")
    engines: list[str] = strawberry.field(description="The engines that run.")
    execution_mode: ExecutionMode = strawberry.field(description="One engine or several side by side.")
    use_gpu: bool = strawberry.field(description="Whether a GPU was asked for; the CPU is used in this version.")
    status: JobStatus = strawberry.field(description="State.")
    stopped: bool = strawberry.field(name="isStopped", description="True when the search was told to stop and keep the best.")
    progress: float = _job(float, _progress, "Share done, 0 to 100.")
    message: str = _job(str, lambda job, _: job.message if job else "", "What is going on.")
    error: Notice | None = strawberry.field(description="Why it failed.")
    warnings: list[Notice] = strawberry.field(description="What was done differently from what was asked.")
    validation: Validation | None = strawberry.field(
        description="How rows are split, and why; asked for with `config.validation`. Null in experiments older than the choice."
    )
    sort_metric: str | None = strawberry.field(
        resolver=_sort_metric,
        graphql_type=MetricName | None,
        description="The metric models are ranked by; none until the first is finished.",
    )
    best_model_id: strawberry.ID | None = strawberry.field(description="Identifier of the best model so far.")
    best_model: Model | None = loaded(Model | None, models, lambda experiment: experiment.best_model_id, "The best model so far.")
    model_count: int = loaded(int, model_counts, by_id, "Models finished so far.")
    engine_runs: list[EngineRun] = loaded(list[EngineRun], engine_runs, by_id, "What each engine did.")
    models: Connection[Model] = nested(LEADERBOARDS, "The leaderboard: models that are finished, the best first.")
    logs: Connection[LogLine] = nested(service.LOGS, "The log, oldest first; readable while it runs.")
    created_by: Any = link("User", "created_by", "Who made it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was created.")
    started_at: datetime | None = strawberry.field(description="When training began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The experiment that was started, or told to end.")
class ExperimentPayload:
    experiment: Experiment = strawberry.field(description="The experiment as it is now.")


@strawberry.type
class ProjectExperiments:
    experiments: Connection[Experiment] = nested(service.EXPERIMENTS, "Its experiments.")


@strawberry.type
class ExperimentQuery:
    experiment: Experiment | None = row(Row, READ, "One experiment.")
    experiments: Connection[Experiment] | None = connection(service.EXPERIMENTS, "Experiments of the caller's projects.")
    experiment_capabilities: ExperimentCapabilities | None = guarded(
        resolve.allowed, READ, "What the caller may ask of an experiment."
    )
    check_experiment: ExperimentCheck | None = guarded(
        Declared(resolve.check, [argument("input", inputs.CreateExperiment, "What would be given to `createExperiment`.")]),
        CHECK,
        "What `createExperiment` would say of the same input, without making one.",
        metadata={REFUSED: ExperimentCheck, PRICE: Price(each=100)},
    )


@strawberry.type
class ExperimentMutation:
    create_experiment: ExperimentPayload | None = mutation(
        resolve.create, ExperimentPayload, TRAIN, "Start a search; it runs in the background."
    )
    cancel_experiment: ExperimentPayload | None = command(
        service.cancel, ExperimentPayload, WRITE, "End the training; finished models stay."
    )
    stop_experiment: ExperimentPayload | None = command(
        service.stop, ExperimentPayload, WRITE, "End the search and keep the best model found so far."
    )
    delete_experiment: DeletedFromProjectPayload | None = command(
        service.delete, DeletedFromProjectPayload, WRITE, "Delete an experiment, its models and their files."
    )
