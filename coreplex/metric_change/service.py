"""What can be done with explanations of why a metric changed: ask for one, list them, delete one."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Invalid, Message, NotFound
from coreplex.event import service as event
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.membership import quota
from coreplex.membership.access import open_row, visible_projects
from coreplex.metric_change.inputs import USUAL_WINDOW, CreateMetricChange, DeleteMetricChange
from coreplex.metric_change.table import EXPLAIN, MetricChange
from coreplex.monitoring.current_metric import require_metric
from coreplex.monitoring.performance import rank_metric, subject_of
from coreplex.monitoring.period import BEFORE_ALL_TIME, Period, period
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.filtering import identifiers, moments, one_of, reference
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.settings import Settings
from coreplex.webhook.ends import tell_end

NOUN = "Metric change"
TOO_MANY = "Delete explanations that are not needed"


def listing(parent: Any) -> Listing:
    """Explanations of the caller's projects; those of each `parent` where they are listed within something."""
    return Listing(
        noun="MetricChange",
        query=select(MetricChange),
        identity=col(MetricChange.id),
        order=Order({"created_at": col(MetricChange.created_at), "metric": col(MetricChange.metric)}),
        search=Search("the metric", (col(MetricChange.metric),)),
        filters={
            "ids": identifiers(col(MetricChange.id), "Only these explanations."),
            "project_id": reference(col(MetricChange.project_id), "Project", "Only those of this project."),
            "deployment_id": reference(col(MetricChange.deployment_id), "Deployment", "Only those of this deployment."),
            "status": one_of(col(MetricChange.status), JobStatus, "Only those in one of these states."),
            "created_at": moments(col(MetricChange.created_at), "By when they were asked for."),
        },
        visible=lambda grant: col(MetricChange.project_id).in_(visible_projects(grant)),
        parent=parent,
    )


METRIC_CHANGES = listing(col(MetricChange.project_id))
"""Explanations of the caller's projects, newest first."""
METRIC_CHANGES_OF_DEPLOYMENTS = listing(col(MetricChange.deployment_id))


async def create(session: WriteSession, grant: Grant, wanted: CreateMetricChange, settings: Settings) -> MetricChange:
    """Have explained why a metric changed between two periods. Raises NotFound, Invalid, QuotaExceeded."""
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    moment = now()
    later = _later(wanted, moment)
    before = _before(wanted, later, moment)
    metric = wanted.metric
    if metric is None:
        metric = rank_metric(await subject_of(session, deployment))
    await require_metric(session, deployment, metric)
    await quota.take_item(session, settings, deployment.project_id, MetricChange, TOO_MANY)
    change = MetricChange(
        project_id=deployment.project_id,
        deployment_id=deployment.id,
        model_id=deployment.model_id,
        metric=metric,
        wanted_basis=wanted.basis,
        since=later.since,
        until=later.until,
        baseline_since=before.since,
        baseline_until=before.until,
        created_by=grant.user_id,
    )
    session.add(change)
    await session.flush()
    await job.enqueue_for(session, change, EXPLAIN, grant.user_id)
    said = f"Why {metric} of “{deployment.name}” changed is looked into."
    await event.audit(session, grant.user_id, change, "metric_change.created", said)
    return change


def _later(wanted: CreateMetricChange, moment: datetime) -> Period:
    if wanted.since is None:
        return period(wanted.window or USUAL_WINDOW, wanted.until, moment)
    return _between(wanted.since, _utc(min(wanted.until or moment, moment), "until"), "since")


def _before(wanted: CreateMetricChange, later: Period, moment: datetime) -> Period:
    until = _baseline_until(wanted.baseline_until, later)
    if wanted.baseline_since is not None:
        return _between(wanted.baseline_since, until, "baseline_since")
    if wanted.baseline_window is not None:
        return period(wanted.baseline_window, until, moment, "baseline_window", "baseline_until")
    try:
        return Period(until - later.length, until)
    except OverflowError:
        raise Invalid.field(BEFORE_ALL_TIME, "baseline_until") from None


def _baseline_until(said: datetime | None, later: Period) -> datetime:
    if said is None:
        return later.since
    if said > later.since:
        raise Invalid.field(
            Message(
                "baseline_overlaps",
                "must not be later than the beginning of the other period, {since}",
                since=later.since.isoformat(),
            ),
            "baseline_until",
        )
    return _utc(said, "baseline_until")


def _between(since: datetime, until: datetime, name: str) -> Period:
    if since >= until:
        raise Invalid.field(
            Message("period_empty", "must lie before the end of its period, {until}", until=until.isoformat()), name
        )
    return Period(_utc(since, name), until)


def _utc(moment: datetime, name: str) -> datetime:
    """The same moment; one that is not in the past is never too late for it."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid.field(BEFORE_ALL_TIME, name) from None


async def delete_one(session: WriteSession, grant: Grant, wanted: DeleteMetricChange) -> tuple[UUID, UUID]:
    """Remove an explanation, ending it first where it runs; its id, and that of its project."""
    change = await open_row(session, grant, MetricChange, wanted.metric_change_id, NOUN)
    if not await job.end_and_hold(session, change):
        raise NotFound.of(NOUN)
    await event.audit(session, grant.user_id, change, "metric_change.deleted", f"Why {change.metric} changed was deleted.")
    await session.delete(change)
    return change.id, change.project_id


async def follow(session: WriteSession, row: Job) -> None:
    """An explanation is as its job is."""
    change = await session.get(MetricChange, row.entity_id)
    if change is None or change.job_id != row.id:
        return
    change.enter(row.status, row.error)
    if change.status in (JobStatus.succeeded, JobStatus.failed):
        data = {"metric": change.metric, "deployment_id": change.deployment_id}
        await tell_end(session, change, "metric_change", _outcome(change), data)


def _outcome(change: MetricChange) -> str:
    if change.status is JobStatus.failed:
        return f"Why {change.metric} changed could not be explained: {change.error}"
    first = change.parts[0] if change.parts else None
    words = f"; first cause: {first['cause']} {', '.join(first['features'])}".rstrip() if first else ""
    return f"{change.metric} went from {change.before:.4g} to {change.after:.4g}{words}."


async def entity(session: WriteSession, row: Job) -> str | None:
    """What people call the thing the job works on."""
    change = await session.get(MetricChange, row.entity_id)
    return f"change of {change.metric}" if change else None
