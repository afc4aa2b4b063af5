"""What can be done with models. They are made by experiments only."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Float, Select, any_, case, cast, delete, func, select
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.engines.automl.evaluation.metrics import HIGHER_IS_BETTER
from coreplex.engines.automl.options.engine_registry import BASELINE
from coreplex.event import service as event
from coreplex.experiment.table import EngineRun, Experiment, ProblemType
from coreplex.job.lifecycle import JobStatus
from coreplex.job.service import enqueue_removal
from coreplex.membership.access import SERVING, open_row, visible_projects
from coreplex.membership.table import Project
from coreplex.model.inputs import DeleteModel, UpdateModel
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.dependents import refuse_in_use, remove_dependents
from coreplex.platform.filtering import (
    FloatRange,
    LongRange,
    flag,
    identifiers,
    moments,
    numbers,
    one_of,
    reference,
    text,
    words,
)
from coreplex.platform.identifier import parse_id
from coreplex.platform.listener import announce_change
from coreplex.platform.page import Order, Search, SortDirection
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant

SORT_METRICS = (
    *("auc", "rmse", "mae", "r2", "logloss", "accuracy", "mse", "mean_per_class_error", "aucpr", "f1", "rmsle", "mcc"),
    *("mape", "smape", "wape", "pinball"),
)


def _metric(name: str) -> ColumnElement[float]:
    return cast(col(Model.metrics)[name].astext, Float)


def _merit() -> ColumnElement[Any]:
    """Best models first, newest experiment first among them, then the leaderboard (contract B.6).

    One number, so that it can be a keyset: whether the model is its experiment's best, then the experiment's age in whole
    seconds, then its rank (a thousand models at most, so the fractions never reach one).
    """
    best = case((col(Model.is_best), 4e9), else_=0.0)
    return best + func.floor(func.extract("epoch", col(Experiment.created_at))) - cast(col(Model.rank), Float) / 1e4


def _version() -> ColumnElement[Any]:
    """One number, so that it can be a keyset: no part of a version comes near a million."""
    parts = (col(Model.version_major), col(Model.version_minor), col(Model.version_patch))
    return sum((cast(part, Float) * 1e6**place for place, part in enumerate(reversed(parts))), start=cast(0, Float))


ORDER = Order(
    {
        "best": _merit(),
        "version": _version(),
        "created_at": col(Model.created_at),
        "name": func.lower(col(Model.name)),
        "rank": col(Model.rank),
        **{name: _metric(name) for name in SORT_METRICS},
    },
    field="best",
)


MODELS = Listing(
    noun="Model",
    query=(
        select(Model)
        .join(Experiment, col(Experiment.id) == col(Model.experiment_id))
        .join(Project, col(Project.id) == col(Model.project_id))
    ),
    identity=col(Model.id),
    order=ORDER,
    search=Search(
        "the name, the algorithm, and the names of the experiment and the project",
        (col(Model.name), col(Model.algo), col(Experiment.name), col(Project.name)),
    ),
    filters={
        "ids": identifiers(col(Model.id), "Only these models."),
        "project_id": reference(col(Model.project_id), "Project", "Only models of this project."),
        "experiment_id": reference(col(Model.experiment_id), "Experiment", "Only models of this experiment."),
        "name": text(col(Model.name), "By name."),
        "algorithm": words(col(Model.algo), "Only these algorithms, whatever their case: GBM, XGBoost, GLM."),
        "engine": words(col(Model.engine), "Only models these engines made."),
        "problem_type": one_of(col(Model.problem_type), ProblemType, "Only these kinds of problems."),
        "is_best": flag(col(Model.is_best), "True: only the best model of each experiment."),
        "rank": numbers(col(Model.rank), "By place on the leaderboard, from 1."),
        "training_time_secs": numbers(col(Model.training_time_secs), "By seconds their training took.", FloatRange),
        "latency_ms": numbers(col(Model.latency_ms), "By milliseconds one row takes.", FloatRange),
        "size_bytes": numbers(col(Model.size_bytes), "By the size of their file.", LongRange),
        "created_at": moments(col(Model.created_at), "By when they were finished."),
    },
    visible=lambda grant: col(Model.project_id).in_(visible_projects(grant)),
    parent=col(Model.project_id),
)
"""Models of the caller's projects, the best first unless asked otherwise."""


def leaderboards(listing: Listing) -> Listing:
    """The models of each experiment the caller may see, by rank unless asked otherwise."""
    order = replace(ORDER, field="rank", direction=SortDirection.asc)
    return replace(listing, order=order, parent=col(Model.experiment_id))


def counts(experiment_ids: Any) -> Select[*tuple[Any, ...]]:
    """How many models of each experiment are finished."""
    experiment_id = col(Model.experiment_id)
    return select(experiment_id, func.count()).where(experiment_id == any_(experiment_ids)).group_by(experiment_id)


async def first_model_pending(
    session: ReadSession, grant: Grant, project_id: str | None = None, experiment_id: str | None = None
) -> bool:
    """True when the project or experiment asked for has no model yet but still trains; other conditions are worth no waiting.

    The baseline is no model to wait for: who takes the first of the list wants one that has learned something.
    """
    visible = visible_projects(grant)
    learned = MODELS.query.where(col(Model.project_id).in_(visible), col(Model.algo) != BASELINE)
    query = select(col(Experiment.id)).where(
        col(Experiment.project_id).in_(visible),
        col(Experiment.status).in_([JobStatus.queued, JobStatus.running]),
    )
    if project_id is not None:
        project = parse_id(project_id, "Project")
        learned, query = learned.where(col(Model.project_id) == project), query.where(col(Experiment.project_id) == project)
    if experiment_id is not None:
        experiment = parse_id(experiment_id, "Experiment")
        learned, query = learned.where(col(Model.experiment_id) == experiment), query.where(col(Experiment.id) == experiment)
    if await session.scalar(learned.limit(1)) is not None:
        return False
    return await session.scalar(query.limit(1)) is not None


async def rank(session: WriteSession, experiment: Experiment) -> Model | None:
    """Number the experiment's models from best to worst by its sort metric; the first is its best, each engine has its own.

    Of equals the older comes first, and the baseline last.
    """
    query = select(Model).where(col(Model.experiment_id) == experiment.id)
    models = list((await session.scalars(query)).all())
    models.sort(key=lambda m: (-m.score, m.algo == BASELINE, m.created_at, m.name))
    for position, model in enumerate(models, 1):
        if (model.rank, model.is_best) != (position, position == 1):
            model.rank, model.is_best = position, position == 1
            session.add(model)
    best = models[0] if models else None
    experiment.best_model_id = best.id if best else None
    session.add(experiment)
    for run in await session.scalars(select(EngineRun).where(col(EngineRun.experiment_id) == experiment.id)):
        leader = next((model for model in models if model.engine_run_id == run.id), None)
        run.best_model_id = leader.id if leader else None
        run.best_metric = leader.metrics.get(experiment.sort_metric) if leader else None
        session.add(run)
    return best


UNKNOWN_MERIT = -1e300


def merit(metric: str, value: float | None) -> float:
    """A metric's value with its sign turned so that more is better; one that is not defined is worst."""
    if value is None:
        return UNKNOWN_MERIT
    return value if metric in HIGHER_IS_BETTER else -value


async def remove(session: WriteSession, models: Sequence[Model], user_id: UUID | None = None) -> None:
    """Delete models with what stands on them (idle deployments) and the rows of their files."""
    ids = [model.id for model in models]
    artifacts = [a for m in models for a in (m.artifact_id, m.curves_artifact_id, m.explanation_artifact_id) if a]
    await remove_dependents(session, Model, ids, user_id)
    await session.execute(delete(Model).where(col(Model.id).in_(ids)))
    await session.execute(delete(Artifact).where(col(Artifact.id).in_(artifacts)))
    await announce_change(session, SERVING)


async def update(session: WriteSession, grant: Grant, wanted: UpdateModel) -> Model:
    """Change what is noted of a model."""
    model = await open_row(session, grant, Model, wanted.model_id, "Model")
    if wanted.notes is not None:
        model.notes = wanted.notes
    session.add(model)
    await event.audit(session, grant.user_id, model, "model.updated", f"The notes of the model “{model.name}” were changed.")
    return model


async def delete_one(session: WriteSession, grant: Grant, wanted: DeleteModel) -> tuple[UUID, UUID]:
    """Remove a model; its id, and that of its experiment. Raises Conflict while an active deployment serves it."""
    model = await open_row(session, grant, Model, wanted.model_id, "Model")
    await refuse_in_use(session, Model, select(col(Model.id)).where(col(Model.id) == model.id))
    experiment = await session.get_one(Experiment, model.experiment_id)
    await event.audit(session, grant.user_id, model, "model.deleted", f"Model “{model.name}” was deleted.")
    await remove(session, [model], grant.user_id)
    await rank(session, experiment)
    await enqueue_removal(session, "model", model.id, prefix=storage_prefix(model), created_by=grant.user_id)
    return model.id, experiment.id


def storage_prefix(model: Model) -> str:
    """The folder in storage of a model's files."""
    return f"projects/{model.project_id}/experiments/{model.experiment_id}/models/{model.id}"
