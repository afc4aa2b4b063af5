"""What can be done with alerts. How they are judged stands in `judging`, who is told in `telling`."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.alert.inputs import (
    SHARES,
    USUAL_MIN_REQUESTS,
    AcknowledgeAlert,
    CreateAlert,
    DeleteAlert,
    LatencyPercentile,
    MuteAlert,
    UpdateAlert,
)
from coreplex.alert.table import MOST_ALERTS, Alert, AlertEvent, AlertKind, AlertState
from coreplex.alert.telling import change, conclude
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Conflict, Invalid, Message, NotFound, QuotaExceeded
from coreplex.event import service as event
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, open_project, open_row, visible_projects
from coreplex.monitoring.period import length_of
from coreplex.monitoring.table import MetricBasis
from coreplex.platform.clock import now
from coreplex.platform.columns import sentence
from coreplex.platform.database import WriteSession
from coreplex.platform.deferred_import import later
from coreplex.platform.filtering import flag, identifiers, moments, one_of
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.settings import Settings

require_metric = later("coreplex.monitoring.current_metric:require_metric")
require_value = later("coreplex.monitoring.current_metric:require_value")
TOO_MANY = "Delete alerts that nobody needs any more"
USUAL_WINDOWS = {AlertKind.metric: "24h"}
"""Outcomes come late."""
LONGEST = timedelta(days=7)
SWITCHED_OFF = Message("alert_switched_off", "It was switched off.")
BEGINS_ANEW = Message("alert_begins_anew", "It was switched on, and begins anew.")
DELETED = Message("alert_deleted", "It was deleted.")
OF_KIND = frozenset({"threshold", "percentile", "metric", "basis"})
"""What alerts of some kinds have."""
COUNTLESS = frozenset({AlertKind.drift, AlertKind.no_traffic})
"""Kinds without a threshold, to which no number of requests is too small."""
ALERTS = Listing(
    noun="Alert",
    query=select(Alert),
    identity=col(Alert.id),
    order=Order({"created_at": col(Alert.created_at), "changed_at": col(Alert.changed_at), "name": col(Alert.name)}),
    search=Search("the name", (col(Alert.name),)),
    filters={
        "state": one_of(col(Alert.state), AlertState, "Only those in one of these states."),
        "kind": one_of(col(Alert.kind), AlertKind, "Only those of one of these kinds."),
        "deployment_id": identifiers(col(Alert.deployment_id), "Only those of these deployments."),
        "is_enabled": flag(col(Alert.is_enabled), "Whether they are looked at."),
        "created_at": moments(col(Alert.created_at), "By when they were made."),
    },
    visible=lambda grant: col(Alert.project_id).in_(visible_projects(grant)),
    parent=col(Alert.project_id),
)
"""Alerts of a project, newest first."""
EVENTS = Listing(
    noun="AlertEvent",
    query=select(AlertEvent),
    identity=col(AlertEvent.id),
    order=Order({"created_at": col(AlertEvent.created_at)}),
    search=Search("the reason", (sentence(col(AlertEvent.reason)),)),
    filters={
        "state": one_of(col(AlertEvent.state), AlertState, "Only changes to one of these states."),
        "created_at": moments(col(AlertEvent.created_at), "By when it was."),
    },
    visible=lambda grant: col(AlertEvent.project_id).in_(visible_projects(grant)),
    parent=col(AlertEvent.alert_id),
)
"""What became of an alert, newest first."""


async def create(session: WriteSession, grant: Grant, wanted: CreateAlert, settings: Settings) -> Alert:
    """Watch a deployment. Raises Invalid, QuotaExceeded."""
    project = await open_project(session, grant, wanted.project_id)
    deployment = await open_row(session, grant, Deployment, wanted.deployment_id, "Deployment")
    if deployment.project_id != project.id:
        raise Invalid.field(OF_OTHER_PROJECT, "deployment_id")
    await _take_place(session, settings, project.id)
    said = wanted.model_dump(exclude={"project_id", "deployment_id", "window", *OF_KIND})
    row = Alert(
        **said,
        project_id=project.id,
        deployment_id=deployment.id,
        threshold=_threshold(wanted.kind, wanted.threshold),
        percentile=_percentile(wanted.kind, wanted.percentile),
        metric=await _metric(session, wanted.kind, deployment, wanted.metric),
        basis=_basis(wanted.kind, wanted.basis),
        window_secs=_window(wanted.window or USUAL_WINDOWS.get(wanted.kind, "5m")),
        created_by=grant.user_id,
    )
    _require_looks(row)
    await _require_threshold(row)
    _refuse_min_requests(row.kind, wanted.min_requests, USUAL_MIN_REQUESTS)
    session.add(row)
    await session.flush()
    await event.audit(session, grant.user_id, row, "alert.created", f"The alert “{row.name}” was made.")
    return row


async def _take_place(session: WriteSession, settings: Settings, project_id: UUID) -> None:
    """A place for one more alert in the project. Raises QuotaExceeded."""
    await quota.take_item(session, settings, project_id, Alert, TOO_MANY)
    if await quota.count(session, select(func.count()).where(col(Alert.project_id) == project_id)) >= MOST_ALERTS:
        raise QuotaExceeded(
            Message(
                "too_many_alerts", "This project has {most} alerts, the most there may be. Delete one first.", most=MOST_ALERTS
            )
        )


async def update(session: WriteSession, grant: Grant, wanted: UpdateAlert) -> Alert:
    """Change a rule; what was seen by the one before counts no more. Raises Invalid."""
    row = await _opened(session, grant, wanted.alert_id)
    changes = wanted.model_dump(exclude={"alert_id", "window", *OF_KIND}, exclude_none=True)
    if wanted.threshold is not None:
        changes["threshold"] = _threshold(row.kind, wanted.threshold)
    if wanted.percentile is not None:
        changes["percentile"] = _percentile(row.kind, wanted.percentile)
    if wanted.metric is not None:
        deployment = await session.get_one(Deployment, row.deployment_id)
        changes["metric"] = await _metric(session, row.kind, deployment, wanted.metric)
    if wanted.basis is not None:
        changes["basis"] = _basis(row.kind, wanted.basis)
    if wanted.window is not None:
        changes["window_secs"] = _window(wanted.window)
    _refuse_min_requests(row.kind, wanted.min_requests, row.min_requests)
    row.sqlmodel_update({**changes, "updated_at": now(), "looks": [], "fine_since": None, "next_look_at": now()})
    _require_looks(row)
    if wanted.threshold is not None or wanted.metric is not None:
        await _require_threshold(row)
    if wanted.is_enabled is not None:
        await conclude(session, row, BEGINS_ANEW if wanted.is_enabled else SWITCHED_OFF, grant.user_id, is_kept=True)
    await event.audit(session, grant.user_id, row, "alert.updated", f"The alert “{row.name}” was changed.")
    return row


async def delete(session: WriteSession, grant: Grant, wanted: DeleteAlert) -> tuple[UUID, UUID]:
    """Remove an alert with its history; its id, and that of its project."""
    row = await _opened(session, grant, wanted.alert_id)
    await conclude(session, row, DELETED, grant.user_id, is_kept=False)
    await event.audit(session, grant.user_id, row, "alert.deleted", f"The alert “{row.name}” was deleted.")
    await session.delete(row)
    return row.id, row.project_id


async def acknowledge(session: WriteSession, grant: Grant, wanted: AcknowledgeAlert) -> Alert:
    """Say that somebody is at it. Raises Conflict for an alert that does not fire."""
    row = await _opened(session, grant, wanted.alert_id)
    if row.state is AlertState.acknowledged:
        return row
    if row.state is not AlertState.firing:
        raise Conflict(Message("alert_does_not_fire", "The alert does not fire: it is {state}.", state=row.state))
    await change(session, row, AlertState.acknowledged, row.reason, grant.user_id)
    return row


async def mute(session: WriteSession, grant: Grant, wanted: MuteAlert) -> Alert:
    """Tell nobody for a while. Raises Invalid for a moment that is over."""
    row = await _opened(session, grant, wanted.alert_id)
    if wanted.until is not None and wanted.until <= now():
        raise Invalid.field(Message("muted_until_past", "is over already"), "until")
    row.muted_until, row.updated_at = wanted.until, now()
    told = f"muted until {wanted.until:%Y-%m-%d %H:%M} UTC" if wanted.until else "unmuted"
    await event.audit(session, grant.user_id, row, "alert.muted", f"The alert “{row.name}” was {told}.")
    return row


async def _opened(session: WriteSession, grant: Grant, alert_id: str) -> Alert:
    """The alert, held."""
    found = await open_row(session, grant, Alert, alert_id, "Alert")
    row: Any = await session.get(Alert, found.id, populate_existing=True, with_for_update={"key_share": True})
    if row is None:
        raise NotFound.of("Alert")
    return row


def _threshold(kind: AlertKind, said: float | None) -> float | None:
    if kind in COUNTLESS:
        if said is not None:
            raise Invalid.field(Message("alert_without_threshold", "is nothing an alert on {kind} has", kind=kind), "threshold")
        return None
    if kind is AlertKind.latency and said is None:
        raise Invalid.field(Message("latency_without_threshold", "must say how many milliseconds are too many"), "threshold")
    if kind is AlertKind.metric:
        if said is None:
            raise Invalid.field(
                Message("metric_without_threshold", "must say which value is the worst that is fine"), "threshold"
            )
        return said
    if said is not None and said <= 0:
        raise Invalid.field(Message("alert_threshold_not_above_zero", "must be more than 0"), "threshold")
    if kind is AlertKind.error_rate and said is not None and said >= 1:
        raise Invalid.field(Message("error_rate_no_share", "must be a share of the requests, below 1"), "threshold")
    return 0.05 if said is None else said


async def _require_threshold(row: Alert) -> None:
    """Raise Invalid for one that its metric can never reach."""
    if row.metric is not None and row.threshold is not None:
        await require_value(row.metric, row.threshold, "threshold")


def _refuse_min_requests(kind: AlertKind, said: int | None, present: int) -> None:
    """Raise Invalid for another number than it has, where none is looked at."""
    if kind in COUNTLESS and said not in (None, present):
        raise Invalid.field(Message("alert_without_min_requests", "is nothing an alert on {kind} has", kind=kind), "min_requests")


def _percentile(kind: AlertKind, said: LatencyPercentile | None) -> float | None:
    if kind is not AlertKind.latency:
        if said is not None:
            raise Invalid.field(Message("alert_without_percentile", "is nothing an alert on {kind} has", kind=kind), "percentile")
        return None
    return SHARES[said or LatencyPercentile.p95]


async def _metric(session: WriteSession, kind: AlertKind, deployment: Deployment, said: str | None) -> str | None:
    if kind is not AlertKind.metric:
        if said is not None:
            raise Invalid.field(Message("alert_without_metric", "is nothing an alert on {kind} has", kind=kind), "metric")
        return None
    if said is None:
        raise Invalid.field(Message("alert_names_no_metric", "must say which metric is looked at"), "metric")
    name: str = await require_metric(session, deployment, said)
    return name


def _basis(kind: AlertKind, said: MetricBasis | None) -> MetricBasis | None:
    if kind is not AlertKind.metric:
        if said is not None:
            raise Invalid.field(Message("alert_without_basis", "is nothing an alert on {kind} has", kind=kind), "basis")
        return None
    return said or MetricBasis.either


def _window(said: str) -> int:
    return int(length_of(said, "window", LONGEST).total_seconds())


def _require_looks(row: Alert) -> None:
    if row.breaches_needed > row.looks_counted:
        raise Invalid.field(
            Message("more_breaches_than_looks", "must not be more than the looks that are counted"), "breaches_needed"
        )
