"""Rows of alerts, rules by which people want to be told how a deployment does, and of what became of them."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlmodel import Field, SQLModel

from coreplex.errors.tree import Message
from coreplex.monitoring.table import MetricBasis
from coreplex.platform.bound import Bound, Rule
from coreplex.platform.columns import document, key, maybe_moment, maybe_notice, maybe_word, moment, reference, word


class AlertKind(StrEnum):
    """What is looked at."""

    drift = "drift"
    error_rate = "error_rate"
    latency = "latency"
    no_traffic = "no_traffic"
    metric = "metric"


class AlertState(StrEnum):
    ok = "ok"
    firing = "firing"
    acknowledged = "acknowledged"
    resolved = "resolved"


FIRED = frozenset({AlertState.firing, AlertState.acknowledged})


MOST_ALERTS = 100
"""Of a project: each is looked at within a minute, by one process for all projects."""


class Alert(SQLModel, table=True):
    """A rule, and where it stands. `looks`: what the last ones saw, the newest last."""

    __tablename__ = "alerts"
    __bound__ = Bound(f"{MOST_ALERTS} of a project. Go with it.")
    model_config = {"arbitrary_types_allowed": True}  # messages

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    deployment_id: UUID = reference("deployments.id")
    name: str = Field(max_length=200)
    kind: AlertKind = word(AlertKind)
    threshold: float | None = None
    """A share of requests (error_rate), milliseconds (latency), or the worst value of a metric that is fine."""
    percentile: float | None = None
    metric: str | None = Field(default=None, max_length=32)
    """Which one, by its name among those of the model."""
    basis: MetricBasis | None = maybe_word(MetricBasis)
    """What its value may stand on."""
    window_secs: int
    breaches_needed: int
    looks_counted: int
    min_requests: int
    is_mailed: bool = False
    is_enabled: bool = True
    muted_until: datetime | None = maybe_moment()
    state: AlertState = word(AlertState, AlertState.ok)
    reason: Message | None = maybe_notice()
    """What was seen when it last changed."""
    waiting_cost: Message | None = maybe_notice()
    """What goes on while it fires."""
    value: float | None = None
    """What the last look saw."""
    looks: list[bool] = document(list)
    fine_since: datetime | None = maybe_moment()
    """Since when every look was fine; None while one was not."""
    next_look_at: datetime = moment(index=True)
    changed_at: datetime = moment()
    told_state: AlertState = word(AlertState, AlertState.ok)
    """What people were told last."""
    told_at: datetime | None = maybe_moment()
    told_before_at: datetime | None = maybe_moment()
    """When they were told the time before."""
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
    updated_at: datetime = moment()


class AlertEvent(SQLModel, table=True):
    """A change of an alert."""

    __tablename__ = "alert_events"
    __bound__ = Bound("400 days. Go with their alert.", (Rule("created_at < :horizon", timedelta(days=400)),))
    model_config = {"arbitrary_types_allowed": True}  # messages

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    alert_id: UUID = reference("alerts.id")
    state: AlertState = word(AlertState)
    value: float | None = None
    reason: Message | None = maybe_notice()
    waiting_cost: Message | None = maybe_notice()
    actor_id: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
