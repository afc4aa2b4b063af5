"""Alerts in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.alert import inputs, service
from coreplex.alert.inputs import SHARES, LatencyPercentile
from coreplex.alert.table import MOST_ALERTS, AlertKind, AlertState
from coreplex.alert.table import Alert as Row
from coreplex.alert.table import AlertEvent as EventRow
from coreplex.monitoring.table import MetricBasis
from coreplex.platform.permissions import READ, WRITE
from schema.common import published
from schema.deleted import DeletedFromProjectPayload
from schema.enums import enum
from schema.field import command, computed, row
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, nested
from schema.rollout import END

enum(
    AlertKind,
    "What an alert looks at.",
    {
        "drift": "Whether what is asked has moved away from what the model was trained on, by all looks together: without a "
        "shift, at most one deployment in twenty ever fires within 30 days.",
        "error_rate": "The share of requests that fail.",
        "latency": "How long scoring takes.",
        "no_traffic": "Whether anything is asked at all.",
        "metric": "How right the model is, by a metric of it.",
    },
)
enum(
    AlertState,
    "Where an alert stands.",
    {
        "ok": "It has not fired.",
        "firing": "Something is wrong.",
        "acknowledged": "Something is wrong, and somebody is at it.",
        "resolved": "What it fired for is over.",
    },
)
enum(
    LatencyPercentile,
    "Which latency an alert looks at.",
    {"p50": "The median.", "p95": "95 % took no longer.", "p99": "99 % took no longer."},
)
published(inputs.CreateAlert, "CreateAlertInput", "A rule by which people want to be told.")
published(inputs.UpdateAlert, "UpdateAlertInput", "What changes in an alert.")
published(inputs.DeleteAlert, "DeleteAlertInput", "An alert to remove.")
published(inputs.AcknowledgeAlert, "AcknowledgeAlertInput", "An alert that somebody is at.")
published(inputs.MuteAlert, "MuteAlertInput", "An alert of which nobody is to be told for a while.")

NAMES = {share: name for name, share in SHARES.items()}
COST = "What goes on as long as nothing is done, estimated from the last window; null when nothing does."


@node(EventRow)
@strawberry.type(description="A change of an alert.")
class AlertEvent:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    alert_id: strawberry.ID = strawberry.field(description="Identifier of the alert.")
    alert: Any = owner("Alert", "alert_id", "The alert.")
    state: AlertState = strawberry.field(description="What it became.")
    value: float | None = strawberry.field(description="What the look saw.")
    reason: Notice | None = strawberry.field(description="Why it fires, or why that is over.")
    waiting_cost: Notice | None = strawberry.field(description=COST)
    actor: Any = link("User", "actor_id", "Who changed it; null where the server did, and for an account that is gone.")
    created_at: datetime = strawberry.field(description="When.")


@node(Row)
@strawberry.type(
    description="A rule by which people are told how a deployment does. It fires when enough of the last looks saw something "
    "wrong, and is over when a whole window has been fine, or had too few requests to tell; one on missing requests at the next "
    "look after one came. Each change is told once and at once, by webhooks, by mail and in the timeline; of one that flaps "
    "people hear that it fires and that it is over, and further changes within an hour wait for its end. One that fires and is "
    "deleted or switched off, or whose deployment is deleted, is over, and webhooks are told so at once, though it is muted."
)
class Alert:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment that is watched.")
    deployment: Any = owner("Deployment", "deployment_id", "The deployment that is watched.")
    name: str = strawberry.field(description="What it is called.")
    kind: AlertKind = strawberry.field(description="What is looked at.")
    threshold: float | None = strawberry.field(
        description="What is too much: a share of requests, or milliseconds; of a metric the worst value that is fine."
    )
    percentile: LatencyPercentile | None = computed(
        LatencyPercentile | None, lambda alert, _: NAMES.get(alert.percentile), "Of a latency: which."
    )
    metric: str | None = strawberry.field(description="Of a metric: which.")
    basis: MetricBasis | None = strawberry.field(description="Of a metric: what its value may stand on.")
    window_secs: int = strawberry.field(description="Seconds that each look sees.")
    breaches_needed: int = strawberry.field(description="Looks that must see something wrong for it to fire.")
    looks_counted: int = strawberry.field(description="Of so many last ones.")
    min_request_count: int = computed(
        int, lambda alert, _: alert.min_requests, "Fewer requests, or rows, in a window say nothing."
    )
    is_mailed: bool = strawberry.field(description="Whether the owner, admins and editors of the project get a mail.")
    is_enabled: bool = strawberry.field(description="Whether it is looked at.")
    muted_until: datetime | None = strawberry.field(description="Nobody is told anything before; null when it is not muted.")
    state: AlertState = strawberry.field(description="Where it stands.")
    value: float | None = strawberry.field(
        description="What the last look saw: a share, milliseconds, requests, the metric, or of drift the logarithm of the "
        "evidence; null for too few requests."
    )
    reason: Notice | None = strawberry.field(description="Why it fires, or why that is over.")
    waiting_cost: Notice | None = strawberry.field(description=COST)
    changed_at: datetime = strawberry.field(description="Since when it stands where it does.")
    told_at: datetime | None = strawberry.field(description="When people were told last that it fires, or is over.")
    events: Connection[AlertEvent] = nested(service.EVENTS, "What became of it, newest first.")
    created_by: Any = link("User", "created_by", "Who made it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When its rule was last changed.")


@strawberry.type(description="The alert as it is now.")
class AlertPayload:
    alert: Alert = strawberry.field(description="The alert as it is now.")


@strawberry.type
class ProjectAlerts:
    alerts: Connection[Alert] = nested(service.ALERTS, "Rules by which people are told how its deployments do.")


@strawberry.type
class AlertQuery:
    alert: Alert | None = row(Row, READ, "One alert.")


@strawberry.type
class AlertMutation:
    create_alert: AlertPayload | None = command(
        service.create, AlertPayload, WRITE, f"Watch a deployment and be told; at most {MOST_ALERTS} alerts a project."
    )
    update_alert: AlertPayload | None = command(
        service.update, AlertPayload, WRITE, "Change an alert; what was seen before counts no more."
    )
    delete_alert: DeletedFromProjectPayload | None = command(
        service.delete, DeletedFromProjectPayload, END, "Delete an alert with its history, in an archived project too."
    )
    acknowledge_alert: AlertPayload | None = command(
        service.acknowledge, AlertPayload, WRITE, "Say that somebody is at what an alert fires for."
    )
    mute_alert: AlertPayload | None = command(
        service.mute, AlertPayload, END, "Tell nobody of an alert for a while, in an archived project too."
    )
