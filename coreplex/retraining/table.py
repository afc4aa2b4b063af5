"""Rows of policies by which deployments are retrained, and of the retrainings."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlmodel import Field, SQLModel

from coreplex.errors.tree import Message
from coreplex.monitoring.table import MetricBasis
from coreplex.platform.bound import Bound, Rule
from coreplex.platform.columns import key, maybe_moment, maybe_notice, moment, reference, word

RETRAIN = "model_retrain"
"""The kind of job that begins a retraining (`coreplex.retraining.jobs`)."""
REPLAY = "retrain_replay"
"""The kind of job that has a challenger answer what the deployment was asked."""
ENTITY = "retrainrun"
"""What the jobs of retraining are about."""


class RetrainTrigger(StrEnum):
    """What began a retraining."""

    schedule = "schedule"
    drift = "drift"
    metric = "metric"
    manual = "manual"


class RetrainStatus(StrEnum):
    pending = "pending"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    skipped = "skipped"
    cancelled = "cancelled"


ACTIVE = (RetrainStatus.pending, RetrainStatus.running)
"""It has not ended: of a deployment there is one at most."""


class RetrainPolicy(SQLModel, table=True):
    """When a deployment is retrained by itself, and what that may cost."""

    __tablename__ = "retrain_policies"
    __bound__ = Bound("One of a deployment. Goes with it.")
    model_config = {"arbitrary_types_allowed": True}  # messages

    deployment_id: UUID = Field(primary_key=True, sa_column_args=[ForeignKey("deployments.id", ondelete="CASCADE")])
    project_id: UUID = reference("projects.id")
    owner_id: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    """In whose name it trains: who set it."""
    is_enabled: bool = True
    disabled_reason: Message | None = maybe_notice()
    """Why the server has disabled it."""
    schedule: str | None = Field(default=None, max_length=100)
    time_zone: str = Field(default="UTC", max_length=64)
    next_run_at: datetime | None = maybe_moment(index=True)
    """When the schedule is due; None without one, and while it is disabled."""
    metric: str | None = Field(default=None, max_length=32)
    metric_threshold: float | None = None
    metric_window_secs: int = 86_400
    metric_basis: MetricBasis = word(MetricBasis, MetricBasis.either)
    next_look_at: datetime | None = maybe_moment(index=True)
    """When the metric is looked at; None without one, and while it is disabled."""
    bad_model_id: UUID | None = None
    """The model whose metric was found beyond the threshold and has not been within since: no news any more."""
    on_drift: bool = False
    drift_episode_at: datetime | None = maybe_moment()
    """When the drift began for which it was retrained last."""
    cooldown_hours: int = 24
    quiet_until: datetime | None = maybe_moment()
    """Drift and the metric begin no training before."""
    max_runtime_secs: int | None = None
    max_models: int | None = None
    """None: as the experiment of the deployed model had it."""
    min_new_rows: int = Field(default=0, sa_type=BigInteger)
    include_outcomes: bool = False
    """Whether rows it was asked are learned from, with their outcomes."""
    replay_window_secs: int | None = None
    """How far back what was asked is answered by the challenger, too; None: not at all."""
    is_mailed: bool = False
    created_at: datetime = moment()
    updated_at: datetime = moment()


class RetrainRun(SQLModel, table=True):
    """A retraining, or why there was none."""

    __tablename__ = "retrain_runs"
    __bound__ = Bound(
        "400 days, once they have ended; those that made a version with outcomes go with their deployment, as all do: by them a "
        "later one knows which rows not to append again.",
        (Rule("finished_at < :horizon AND outcome_rows IS NULL", timedelta(days=400)),),
    )
    __table_args__ = (
        Index("uq_retrain_runs_active", "deployment_id", unique=True, postgresql_where=text("status IN ('pending', 'running')")),
        Index("ix_retrain_runs_running", "id", postgresql_where=text("status = 'running'")),
    )
    model_config = {"arbitrary_types_allowed": True}  # messages

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    deployment_id: UUID = reference("deployments.id")
    trigger: RetrainTrigger = word(RetrainTrigger)
    status: RetrainStatus = word(RetrainStatus, RetrainStatus.pending)
    reason: Message | None = maybe_notice()
    """Why it did not come to a model."""
    is_forced: bool = False
    """Somebody wants it though nothing is new."""
    job_id: UUID | None = reference("jobs.id", default=None, on_delete="SET NULL")
    experiment_id: UUID | None = reference("experiments.id", default=None, on_delete="SET NULL")
    dataset_version_id: UUID | None = reference("dataset_versions.id", default=None, on_delete="SET NULL")
    new_rows: int | None = Field(default=None, sa_type=BigInteger)
    """How many were not learned from before."""
    outcome_rows: int | None = Field(default=None, sa_type=BigInteger)
    """How many of its rows are such as the deployment was asked, with their outcomes; None where none were to be."""
    known_outcomes: int | None = Field(default=None, sa_type=BigInteger)
    """Of how many rows of the log the outcome was known then; of some it may be none that the target's column can hold."""
    previous_model_id: UUID | None = reference("models.id", default=None, on_delete="SET NULL")
    """What the deployment served when it began."""
    model_id: UUID | None = reference("models.id", default=None, on_delete="SET NULL")
    """The challenger."""
    replay_id: UUID | None = reference("replays.id", default=None, on_delete="SET NULL")
    """What the challenger would have answered."""
    metric: str | None = Field(default=None, max_length=32)
    previous_value: float | None = None
    value: float | None = None
    """The metric by which the experiment ranks, of the model before and of the challenger, each out-of-fold on its own table."""
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
    started_at: datetime | None = maybe_moment()
    finished_at: datetime | None = maybe_moment(index=True)
