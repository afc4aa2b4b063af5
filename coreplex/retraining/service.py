"""What can be done with policies of retraining and with retrainings. How they begin stands in `begin`, how they end in `end`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col

from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.errors.tree import Conflict, Invalid, Message, NotFound
from coreplex.event import service as event
from coreplex.job import service as job
from coreplex.membership.access import open_row, visible_projects
from coreplex.model.table import Model
from coreplex.monitoring.current_metric import require_metric, require_value
from coreplex.monitoring.period import length_of
from coreplex.platform.clock import now
from coreplex.platform.columns import sentence
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import moments, one_of
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.retraining import schedule
from coreplex.retraining.inputs import DeleteRetrainPolicy, RetrainDeployment, SetRetrainPolicy
from coreplex.retraining.table import ACTIVE, ENTITY, RETRAIN, RetrainPolicy, RetrainRun, RetrainStatus, RetrainTrigger

LONGEST = timedelta(days=30)
RUNS = Listing(
    noun="RetrainRun",
    query=select(RetrainRun),
    identity=col(RetrainRun.id),
    order=Order({"created_at": col(RetrainRun.created_at)}),
    search=Search("the reason", (sentence(col(RetrainRun.reason)),)),
    filters={
        "status": one_of(col(RetrainRun.status), RetrainStatus, "Only those in one of these states."),
        "trigger": one_of(col(RetrainRun.trigger), RetrainTrigger, "Only those that began by one of these."),
        "created_at": moments(col(RetrainRun.created_at), "By when it was time for them."),
    },
    visible=lambda grant: col(RetrainRun.project_id).in_(visible_projects(grant)),
    parent=col(RetrainRun.deployment_id),
)
"""Retrainings of a deployment, newest first."""
_ALONE = text("SELECT pg_advisory_xact_lock(hashtextextended('retraining:' || :of, 0))")
_SETTING = text("SELECT pg_advisory_xact_lock(hashtextextended('retrain_policy:' || :of, 0))")
"""A lock of its own: the monitor holds a policy and then opens a retraining."""


async def set_policy(session: WriteSession, grant: Grant, wanted: SetRetrainPolicy) -> tuple[UUID, RetrainPolicy]:
    """Say when a deployment is retrained, and from now on in the caller's name; its id, and the policy. Raises Invalid."""
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    moment = now()
    metric_window, replay_window = await _check(session, deployment, wanted, moment)
    await session.execute(_SETTING, {"of": str(deployment.id)})
    policy = await session.get(RetrainPolicy, deployment.id, with_for_update=True)
    policy = policy or RetrainPolicy(deployment_id=deployment.id, project_id=deployment.project_id)
    said = wanted.model_dump(exclude={"deployment_id", "min_new_row_count", "metric_window", "replay_window"})
    due = schedule.next_after(wanted.schedule, wanted.time_zone, moment) if wanted.schedule and wanted.is_enabled else None
    looked_at = {
        "next_run_at": due,
        "next_look_at": moment if wanted.metric and wanted.is_enabled else None,
        "bad_model_id": None,
    }
    more = {"min_new_rows": wanted.min_new_row_count, "metric_window_secs": metric_window, "replay_window_secs": replay_window}
    policy.sqlmodel_update({**said, **looked_at, **more, "owner_id": grant.user_id, "updated_at": moment})
    policy.disabled_reason = None
    session.add(policy)
    await session.flush()
    told = f"“{deployment.name}” is retrained {_in_words(policy)}."
    await event.audit(session, grant.user_id, deployment, "deployment.retrain_policy_set", told)
    return deployment.id, policy


async def _check(
    session: ReadSession, deployment: Deployment, wanted: SetRetrainPolicy, moment: datetime
) -> tuple[int, int | None]:
    """The seconds of the windows of the metric and of the replay. Raises Invalid for what cannot be, and without a trigger."""
    schedule.check_zone(wanted.time_zone)
    if wanted.schedule is not None:
        schedule.check(wanted.schedule, wanted.time_zone, moment)
    elif wanted.is_enabled and not wanted.on_drift and wanted.metric is None:
        raise Invalid.field(
            Message("policy_without_trigger", "must be said, or on_drift or metric: nothing would begin a retraining"), "schedule"
        )
    if (wanted.metric is None) != (wanted.metric_threshold is None):
        key = "metric" if wanted.metric is None else "metric_threshold"
        raise Invalid.field(Message("metric_and_threshold", "must be said where the other one of metric and threshold is"), key)
    if wanted.metric is not None:
        await require_metric(session, deployment, wanted.metric)
        assert wanted.metric_threshold is not None, "said with it"
        await require_value(wanted.metric, wanted.metric_threshold, "metric_threshold")
    if wanted.replay_window is not None and wanted.include_outcomes:
        raise Invalid.field(
            Message("replay_of_learned_rows", "is not with include_outcomes: those rows have been learned from"), "replay_window"
        )
    replayed = None if wanted.replay_window is None else _window(wanted.replay_window, "replay_window")
    return _window(wanted.metric_window, "metric_window"), replayed


def _window(said: str, key: str) -> int:
    """Seconds."""
    return int(length_of(said, key, LONGEST).total_seconds())


def _in_words(policy: RetrainPolicy) -> str:
    if not policy.is_enabled:
        return "by nobody but people"
    triggers = [f"by schedule ({policy.schedule}, {policy.time_zone})"] if policy.schedule else []
    triggers += ["when it drifts"] if policy.on_drift else []
    triggers += [f"when {policy.metric} is worse than {policy.metric_threshold:g}"] if policy.metric else []
    return " and ".join(triggers)


async def delete_policy(session: WriteSession, grant: Grant, wanted: DeleteRetrainPolicy) -> UUID:
    """Retrain a deployment by itself no more; its id. What runs goes on. Raises NotFound where there is no policy."""
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    policy = await session.get(RetrainPolicy, deployment.id, with_for_update=True)
    if policy is None:
        raise NotFound.of("Retrain policy")
    await session.delete(policy)
    told = f"“{deployment.name}” is retrained by nobody but people."
    await event.audit(session, grant.user_id, deployment, "deployment.retrain_policy_deleted", told)
    return deployment.id


async def retrain(session: WriteSession, grant: Grant, wanted: RetrainDeployment) -> RetrainRun:
    """Begin a retraining now, in the caller's name. Raises Conflict while one runs, and for a deployment that does not serve."""
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    if deployment.status is not DeploymentStatus.active:
        raise Conflict(not_serving(deployment))
    run = RetrainRun(
        project_id=deployment.project_id,
        deployment_id=deployment.id,
        trigger=RetrainTrigger.manual,
        is_forced=wanted.force,
        created_by=grant.user_id,
    )
    if not await open_run(session, run):
        raise Conflict(Message("retraining_runs", "The deployment is being retrained already."))
    return run


async def open_run(session: WriteSession, run: RetrainRun) -> bool:
    """Store a retraining that is to begin, with its job. False, and nothing is stored, while another of the deployment runs."""
    await session.execute(_ALONE, {"of": str(run.deployment_id)})
    if await session.scalar(running(run.deployment_id)) is not None:
        return False
    session.add(run)
    await session.flush()
    begun = await job.enqueue(
        session, RETRAIN, entity_type=ENTITY, entity_id=run.id, project_id=run.project_id, created_by=run.created_by
    )
    run.job_id = begun.id
    return True


def running(deployment_id: UUID) -> Select[UUID]:
    """The retraining of a deployment that has not ended."""
    return select(col(RetrainRun.id)).where(col(RetrainRun.deployment_id) == deployment_id, col(RetrainRun.status).in_(ACTIVE))


def not_serving(deployment: Deployment) -> Message:
    return Message("retrain_not_serving", "The deployment is {status}: it serves no more.", status=deployment.status)


async def challengers(session: ReadSession, deployment_ids: Sequence[UUID]) -> Mapping[UUID, Model]:
    """What the last retraining of each deployment has made, unless the deployment serves it."""
    return dict(await _challengers(session, deployment_ids))


async def challenged(session: ReadSession, model_ids: Sequence[UUID]) -> Mapping[UUID, Deployment]:
    """The deployment of which each model is the challenger, where it is one."""
    of_them = select(col(RetrainRun.deployment_id)).where(col(RetrainRun.model_id).in_(model_ids))
    found = {model.id: deployment for deployment, model in await _challengers(session, of_them)}
    rows = await session.scalars(select(Deployment).where(col(Deployment.id).in_(found.values())))
    by_id = {row.id: row for row in rows}
    return {model_id: by_id[deployment] for model_id, deployment in found.items() if deployment in by_id}


async def _challengers(session: ReadSession, of: Any) -> Sequence[Any]:
    deployment = col(RetrainRun.deployment_id)
    last = select(deployment, col(RetrainRun.model_id)).where(
        col(RetrainRun.status) == RetrainStatus.succeeded, deployment.in_(of)
    )
    newest = last.ext(distinct_on(deployment)).order_by(deployment, col(RetrainRun.created_at).desc()).subquery()
    query = select(newest.c.deployment_id, Model).join(Model, col(Model.id) == newest.c.model_id)
    query = query.join(Deployment, col(Deployment.id) == newest.c.deployment_id)
    return (await session.execute(query.where(col(Deployment.model_id) != col(Model.id)))).all()
