"""Begins the retrainings it is time for, and takes in those whose training has ended. Nothing that is heavy is done here."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select
from sqlmodel import col

from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.engines.performance.realised import worse_by
from coreplex.errors.tree import Message, NoModel
from coreplex.experiment.table import Experiment
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.model.table import Model
from coreplex.monitoring.current_metric import current_metric
from coreplex.monitoring.table import DriftWatch
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.one_by_one import one_by_one
from coreplex.retraining import schedule
from coreplex.retraining.queries import DRIFTING, ENDED, LOOKED_AT, SCHEDULED
from coreplex.retraining.service import open_run
from coreplex.retraining.table import ENTITY, REPLAY, RetrainPolicy, RetrainRun, RetrainStatus, RetrainTrigger
from coreplex.retraining.telling import ended

MOST_AT_ONCE = 100
LOOK_EVERY = timedelta(minutes=15)
CERTAIN = 1.959964
"""Standard errors either way that hold 95 %."""
STILL_RUNS = Message("retraining_still_runs", "The one before had not ended yet.")
GONE = Message("retrain_experiment_gone", "Its experiment was deleted.")
NO_MODEL = Message("retrain_without_model", "Its experiment has ended without a model that is still there.")
LIMITS = Message(
    "retrain_limits",
    "The retrain policy sets max_runtime_secs and max_models; all else is as the deployed model was trained.",
)


async def tend(database: Database) -> None:
    """One look at all of them."""
    for found, work in ((ENDED, _take_in), (SCHEDULED, _by_schedule), (DRIFTING, _by_drift), (LOOKED_AT, _by_metric)):
        ids = await _some(database, found)

        async def look_at(identity: UUID, work=work) -> None:  # type: ignore[no-untyped-def]
            async with database.transaction() as session:
                await work(session, identity)

        await one_by_one(ids, look_at, "retraining.not_looked_at")


async def _some(database: Database, found: Select[UUID]) -> list[UUID]:
    async with database.read() as session:
        return list((await session.scalars(found.limit(MOST_AT_ONCE))).all())


async def _due(session: WriteSession, deployment_id: UUID, which: Select[UUID]) -> RetrainPolicy | None:
    """The policy, held, if it is still time for it: somebody else may have been at it."""
    policy = await session.get(RetrainPolicy, deployment_id, with_for_update={"skip_locked": True})
    if policy is None or await session.scalar(which.where(col(RetrainPolicy.deployment_id) == deployment_id)) is None:
        return None
    return policy


async def _by_schedule(session: WriteSession, deployment_id: UUID) -> None:
    """Once, however many times were missed; the next time is one that is still to come, by the database's clock as by ours."""
    policy = await _due(session, deployment_id, SCHEDULED)
    if policy is None or policy.schedule is None:
        return
    policy.next_run_at = schedule.next_after(policy.schedule, policy.time_zone, max(now(), policy.next_run_at or now()))
    session.add(policy)
    run = _run(policy, RetrainTrigger.schedule)
    if not await open_run(session, run):
        await ended(session, run, RetrainStatus.skipped, STILL_RUNS)


async def _by_drift(session: WriteSession, deployment_id: UUID) -> None:
    """Once for each time it begins to drift; while it is being retrained that waits."""
    policy = await _due(session, deployment_id, DRIFTING)
    watch = await session.get(DriftWatch, deployment_id)
    if policy is None or watch is None:
        return
    if await open_run(session, _run(policy, RetrainTrigger.drift)):
        policy.drift_episode_at = watch.drifting_since
        session.add(policy)


async def _by_metric(session: WriteSession, deployment_id: UUID) -> None:
    """Once for each time it becomes worse than it may, or another model does not keep it up."""
    policy = await _due(session, deployment_id, LOOKED_AT)
    if policy is None or policy.metric is None or policy.metric_threshold is None:
        return
    policy.next_look_at = now() + LOOK_EVERY
    session.add(policy)
    deployment = await session.get_one(Deployment, deployment_id)
    if deployment.status is not DeploymentStatus.active:
        return
    window = timedelta(seconds=policy.metric_window_secs)
    found = await current_metric(session, deployment, policy.metric, window, policy.metric_basis)
    if found is None:
        return
    worse = worse_by(policy.metric, policy.metric_threshold, found.value) or 0.0
    if worse <= 0:
        policy.bad_model_id = None
    elif found.error is not None and worse > CERTAIN * found.error and _is_news(policy, deployment):
        begun = await open_run(session, _run(policy, RetrainTrigger.metric))
        policy.bad_model_id = deployment.model_id if begun else policy.bad_model_id


def _is_news(policy: RetrainPolicy, deployment: Deployment) -> bool:
    quiet = policy.quiet_until is not None and now() < policy.quiet_until
    return policy.bad_model_id != deployment.model_id and not quiet


def _run(policy: RetrainPolicy, trigger: RetrainTrigger) -> RetrainRun:
    return RetrainRun(
        project_id=policy.project_id, deployment_id=policy.deployment_id, trigger=trigger, created_by=policy.owner_id
    )


async def _take_in(session: WriteSession, run_id: UUID) -> None:
    """End a retraining as its training has ended."""
    run = await session.get(RetrainRun, run_id, with_for_update={"skip_locked": True})
    if run is None or run.status is not RetrainStatus.running:
        return
    experiment = None if run.experiment_id is None else await session.get(Experiment, run.experiment_id)
    if experiment is None:
        await ended(session, run, RetrainStatus.failed, GONE)
    elif experiment.status is JobStatus.succeeded:
        await _succeed(session, run, experiment)
    elif experiment.status.final:
        failed = experiment.status is JobStatus.failed
        await ended(session, run, RetrainStatus.failed if failed else RetrainStatus.cancelled, _told(experiment.error))


def _told(error: Message | None) -> Message | None:
    """Why the training failed, and what of it is for the policy to change."""
    return error.then(LIMITS) if error is not None and error.reason == NoModel.advice.reason else error


async def _succeed(session: WriteSession, run: RetrainRun, experiment: Experiment) -> None:
    """The best model is the challenger: its parent is what was deployed, and nobody serves it by itself."""
    best = None if experiment.best_model_id is None else await session.get(Model, experiment.best_model_id)
    if best is None:
        await ended(session, run, RetrainStatus.failed, NO_MODEL)
        return
    before = None if run.previous_model_id is None else await session.get(Model, run.previous_model_id)
    best.parent_id, run.model_id = run.previous_model_id, best.id
    run.metric, run.value = experiment.sort_metric, best.metrics.get(experiment.sort_metric)
    run.previous_value = None if before is None else before.metrics.get(experiment.sort_metric)
    session.add(best)
    await ended(session, run, RetrainStatus.succeeded, None)
    policy = await session.get(RetrainPolicy, run.deployment_id)
    if policy is not None and policy.replay_window_secs is not None:
        await job.enqueue(
            session, REPLAY, entity_type=ENTITY, entity_id=run.id, project_id=run.project_id, created_by=run.created_by
        )
