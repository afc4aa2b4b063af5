"""What can be done with experiments. Training itself is a job: see `training`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, any_, func, select
from sqlmodel import col

from coreplex.artifact.table import STORAGE
from coreplex.dataset import column_overrides
from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.versions import open_version
from coreplex.engines.automl.data import feasibility
from coreplex.engines.automl.options.config import AutoMLConfig, parse_config
from coreplex.engines.automl.options.unused import unknown_options, without_effect
from coreplex.engines.automl.splits import split
from coreplex.engines.diagnosis import experiment_warnings
from coreplex.engines.diagnosis.request import ColumnRoles, DiagnosisRequest
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.disk import refuse_when_full
from coreplex.errors.tree import Conflict, Invalid, Message
from coreplex.event import service as event
from coreplex.event.listing import logs_of
from coreplex.event.table import Event, EventKind
from coreplex.experiment.capabilities import QUOTAS, Choice, choose
from coreplex.experiment.inputs import CancelExperiment, CreateExperiment, DeleteExperiment, StopExperiment
from coreplex.experiment.table import TRAIN, EngineRun, Experiment, ProblemType
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.job.service import enqueue_removal
from coreplex.job.table import Job
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, open_project, open_row, visible_projects
from coreplex.membership.duplicate_names import duplicate_name_warnings
from coreplex.membership.table import Project
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.dependents import refuse_in_use, remove_dependents
from coreplex.platform.filtering import identifiers, moments, one_of, reference, text
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import columns_of
from coreplex.platform.settings import Settings

UNNAMED = "Experiment"
"""What the published client calls every experiment whose name was left out: nobody chose it, so nobody chose it twice."""
TOO_MANY = "Delete experiments that are not needed"
ENDED_WITHIN = timedelta(minutes=1)
"""A cancelled training has written its last file and event by then, also that of a worker that died."""


ORDER = Order(
    {
        "created_at": col(Experiment.created_at),
        "name": func.lower(col(Experiment.name)),
        "status": col(Experiment.status),
        "finished_at": col(Experiment.finished_at),
    }
)
LOGS = logs_of(
    select(Event).where(col(Event.entity_type) == "experiment", col(Event.kind) == EventKind.log), col(Event.entity_id)
)
"""What experiments had to say, oldest first."""


def visible_runs(grant: Grant) -> Select[EngineRun]:
    """Runs of engines of experiments the caller sees."""
    seen = select(col(Experiment.id)).where(col(Experiment.project_id).in_(visible_projects(grant)))
    return select(EngineRun).where(col(EngineRun.experiment_id).in_(seen))


EXPERIMENTS = Listing(
    noun="Experiment",
    query=select(Experiment),
    identity=col(Experiment.id),
    order=ORDER,
    search=Search("the name and the target column", (col(Experiment.name), col(Experiment.target_column))),
    filters={
        "ids": identifiers(col(Experiment.id), "Only these experiments."),
        "project_id": reference(col(Experiment.project_id), "Project", "Only experiments of this project."),
        "dataset_version_id": reference(
            col(Experiment.dataset_version_id), "Dataset version", "Only experiments on this dataset version."
        ),
        "name": text(col(Experiment.name), "By name."),
        "target_column": text(col(Experiment.target_column), "By the column they predict."),
        "problem_type": one_of(col(Experiment.problem_type), ProblemType, "Only these kinds of problems."),
        "status": one_of(col(Experiment.status), JobStatus, "Only experiments in one of these states."),
        "created_at": moments(col(Experiment.created_at), "By when they were created."),
        "started_at": moments(col(Experiment.started_at), "By when training began."),
        "finished_at": moments(col(Experiment.finished_at), "By when they ended."),
    },
    visible=lambda grant: col(Experiment.project_id).in_(visible_projects(grant)),
    parent=col(Experiment.project_id),
)
"""Experiments of the caller's projects."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A wanted experiment that passed its checks: what it is made of, and the warnings about it."""

    project: Project
    version: DatasetVersion
    config: AutoMLConfig
    engines: Choice

    def question(self, wanted: CreateExperiment) -> DiagnosisRequest:
        """What is asked of the table before training."""
        return DiagnosisRequest(wanted.target_column, wanted.problem_type, ColumnRoles.of(self.config.model_dump()))


async def check(session: ReadSession, grant: Grant, wanted: CreateExperiment, settings: Settings) -> Checked:
    """Whether it can be trained, as far as that can be known now. Raises Invalid naming the wrong key, and StorageFull."""
    project = await open_project(session, grant, wanted.project_id)
    version = await open_version(session, grant, wanted.dataset_version_id)
    if version.project_id != project.id:
        raise Invalid.field(OF_OTHER_PROJECT, "dataset_version_id")
    await quota.require_item(session, settings, project.id, Experiment, TOO_MANY)
    await quota.require_room(session, settings, project.id, {STORAGE: 1})
    config = parse_config(wanted.config, wanted.problem_type)
    schema = TableSchema.from_json(version.table_schema)
    plan = grant.principal.plan
    engines = choose(plan, wanted.execution_mode, wanted.engine, wanted.engines, fallback=settings.engine_fallback)
    kind = feasibility.check_creation(version.profile, schema, wanted.target_column, wanted.problem_type, config, engines.names)
    engines.warnings.extend(
        Message("engine_idle", "The engine '{engine}' can train none of the algorithms asked for.", engine=name)
        for name in feasibility.idle(engines.names, kind, config)
    )
    engines.warnings.extend(unknown_options(wanted.config))
    engines.warnings.extend(without_effect(config, wanted.problem_type))
    config = _within_quota(config, grant, engines)
    refuse_when_full(settings.data_dir)
    if wanted.use_gpu:
        engines.warnings.append(Message("no_gpu", "No GPU is available on this server; the CPU is used."))
    engines.warnings.extend(column_overrides.sentinel_warnings(version, wanted.target_column))
    engines.warnings.extend(feasibility.target_warnings(version.profile, schema, wanted.target_column))
    return Checked(project, version, config, engines)


async def create(
    session: WriteSession,
    grant: Grant,
    wanted: CreateExperiment,
    settings: Settings,
    diagnosis: Mapping[str, Any] | None = None,
) -> Experiment:
    """Check what can be known now, then queue the training. Raises Invalid naming the wrong key.

    `diagnosis`: of the target; without one the training makes it before anything else.
    """
    checked = await check(session, grant, wanted, settings)
    await quota.take_item(session, settings, checked.project.id, Experiment, TOO_MANY)
    config, engines = checked.config, checked.engines
    experiment = Experiment(
        project_id=checked.project.id,
        dataset_version_id=checked.version.id,
        name=wanted.name,
        target_column=wanted.target_column,
        problem_type=ProblemType(wanted.problem_type),
        config=config.model_dump(mode="json", exclude_none=True),
        engines=engines.names,
        execution_mode=wanted.execution_mode,
        use_gpu=wanted.use_gpu,
        warnings=warnings_of(checked, wanted, diagnosis),
        validation=validation_of(config, diagnosis),
        created_by=grant.user_id,
    )
    if experiment.name != UNNAMED:
        experiment.warnings = [*experiment.warnings, *await duplicate_name_warnings(session, experiment)]
    session.add(experiment)
    await session.flush()
    for position, (asked, actual) in enumerate(engines.runs):
        session.add(EngineRun(experiment_id=experiment.id, position=position, engine=actual, requested_engine=asked))
    await _queue(session, grant, experiment)
    return experiment


def warnings_of(checked: Checked, wanted: CreateExperiment, diagnosis: Mapping[str, Any] | None) -> list[Message]:
    """What is done differently from what is asked, and what is wrong with the target. Raises Invalid where nothing is left to
    learn from."""
    if diagnosis is None:
        return [*checked.engines.warnings, experiment_warnings.DIAGNOSIS_PENDING]
    _refuse_without_features(checked, wanted, diagnosis)
    leaks = experiment_warnings.warnings(diagnosis, drop_leaks=checked.config.drop_leaks)
    return [*checked.engines.warnings, *leaks, *split.warnings(checked.config, diagnosis["dependence"])]


def validation_of(config: AutoMLConfig, diagnosis: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """How rows will be split; None where that is not known before the training."""
    return None if diagnosis is None else split.described(config, diagnosis["dependence"])


def _refuse_without_features(checked: Checked, wanted: CreateExperiment, diagnosis: Mapping[str, Any]) -> None:
    """Raise Invalid when `drop_leaks` leaves no column to learn from."""
    if not checked.config.drop_leaks:
        return
    gone = {wanted.target_column, *checked.config.special_columns, *experiment_warnings.left_out(diagnosis)}
    if all(column["name"] in gone for column in checked.version.table_schema["columns"]):
        raise Invalid.field(
            Message("every_column_leaks", "leaves no column to learn from: every one of them gives the target away"),
            "config",
            "drop_leaks",
        )


def _within_quota(config: AutoMLConfig, grant: Grant, engines: Choice) -> AutoMLConfig:
    quota = QUOTAS[grant.principal.plan]
    capped = {
        name: getattr(quota, name) for name in ("max_models", "max_runtime_secs") if getattr(config, name) > getattr(quota, name)
    }
    engines.warnings.extend(
        Message(
            "option_capped",
            "{option} was capped at {most} by the plan '{plan}'.",
            option=name,
            most=limit,
            plan=grant.principal.plan,
        )
        for name, limit in capped.items()
    )
    return config.model_copy(update=capped)


async def _queue(session: WriteSession, grant: Grant, experiment: Experiment) -> None:
    await job.enqueue_for(session, experiment, TRAIN, grant.user_id)
    await event.audit(session, grant.user_id, experiment, "experiment.created", f"Experiment “{experiment.name}” was started.")
    for warning in experiment.warnings:
        await event.append(
            session,
            entity_type="experiment",
            entity_id=experiment.id,
            project_id=experiment.project_id,
            kind=EventKind.log,
            type="experiment.log",
            level="warning",
            message=warning,
        )


def engine_runs(experiment_ids: Any) -> Select[Any]:
    """The runs of experiments' engines, in their order."""
    query = select(*columns_of(EngineRun)).where(col(EngineRun.experiment_id) == any_(experiment_ids))
    return query.order_by(col(EngineRun.position))


async def cancel(session: WriteSession, grant: Grant, wanted: CancelExperiment) -> Experiment:
    """End the training and keep no further model. Raises Conflict when it has ended already."""
    experiment = await open_row(session, grant, Experiment, wanted.experiment_id, "Experiment")
    if not await job.request_cancel(session, await _job_of(session, experiment)):
        raise Conflict(_ended(experiment))
    await event.audit(
        session, grant.user_id, experiment, "experiment.cancelled", f"Experiment “{experiment.name}” was cancelled."
    )
    return await _fresh(session, experiment)


async def stop(session: WriteSession, grant: Grant, wanted: StopExperiment) -> Experiment:
    """End the search and keep the best so far. Raises Conflict when it has ended already."""
    experiment = await open_row(session, grant, Experiment, wanted.experiment_id, "Experiment")
    if not await job.request_stop(session, await _job_of(session, experiment)):
        raise Conflict(_ended(experiment))
    await event.audit(
        session, grant.user_id, experiment, "experiment.stopped", f"Experiment “{experiment.name}” was told to stop."
    )
    return await _fresh(session, experiment)


async def delete(session: WriteSession, grant: Grant, wanted: DeleteExperiment) -> tuple[UUID, UUID]:
    """Remove an experiment and its models; its id, and that of its project.

    Raises Conflict while it trains or a model serves, unless `force`, which cancels the training and ends the deployments.
    """
    experiment = await open_row(session, grant, Experiment, wanted.experiment_id, "Experiment")
    if not wanted.force:
        if not experiment.status.final:
            raise Conflict(
                Message(
                    "experiment_not_ended",
                    "The experiment is {status}; cancel it first, or delete it with force=true.",
                    status=experiment.status,
                )
            )
        await refuse_in_use(session, Experiment, select(col(Experiment.id)).where(col(Experiment.id) == experiment.id))
    if experiment.job_id is not None and not experiment.status.final:
        await job.request_cancel(session, await session.get_one(Job, experiment.job_id))
    await event.audit(session, grant.user_id, experiment, "experiment.deleted", f"Experiment “{experiment.name}” was deleted.")
    await remove(session, [experiment.id], grant.user_id)
    return experiment.id, experiment.project_id


async def remove(session: WriteSession, experiment_ids: Sequence[UUID], user_id: UUID | None) -> None:
    """Remove experiments with what stands on them (models, their idle deployments), and their files."""
    await remove_dependents(session, Experiment, experiment_ids, user_id)
    for experiment_id in experiment_ids:
        experiment = await session.get_one(Experiment, experiment_id)
        await session.delete(experiment)
        await session.flush()
        delay = None if experiment.status.final else ENDED_WITHIN
        prefix = storage_prefix(experiment)
        await enqueue_removal(session, "experiment", experiment_id, prefix=prefix, created_by=user_id, delay=delay)


def storage_prefix(experiment: Experiment) -> str:
    """The folder in storage of everything an experiment made."""
    return f"projects/{experiment.project_id}/experiments/{experiment.id}"


async def _job_of(session: WriteSession, experiment: Experiment) -> Job:
    if experiment.job_id is None:
        raise Conflict(_ended(experiment))
    return await session.get_one(Job, experiment.job_id)


async def _fresh(session: WriteSession, experiment: Experiment) -> Experiment:
    await session.flush()
    await session.refresh(experiment)
    return experiment


def _ended(experiment: Experiment) -> Message:
    return Message("experiment_ended", "The experiment has ended already: {status}.", status=experiment.status)
