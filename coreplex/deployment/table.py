"""The rows of deployments, models that answer under a name, and of rollouts, by which one comes beside another."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from coreplex.engines.replay.verdict import RequiredVerdict
from coreplex.errors.tree import Message
from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import document, exact_sum, key, maybe_moment, maybe_notice, maybe_word, moment, reference, word


class Stage(StrEnum):
    staging = "staging"
    production = "production"


class DeploymentStatus(StrEnum):
    active = "active"
    inactive = "inactive"
    archived = "archived"


class ModelStage(StrEnum):
    """Where a model stands by the deployments that serve it, or have served it."""

    candidate = "candidate"
    staging = "staging"
    production = "production"
    retired = "retired"


class Strategy(StrEnum):
    """How rows reach a new deployment in production, and what becomes of the one before it."""

    direct = "direct"
    canary = "canary"
    blue_green = "blue_green"
    shadow = "shadow"


class RolloutKind(StrEnum):
    canary = "canary"
    shadow = "shadow"
    ab_test = "ab_test"


class RolloutStatus(StrEnum):
    running = "running"
    completed = "completed"
    aborted = "aborted"
    stopped = "stopped"


class Arm(StrEnum):
    """Which side of a rollout answered a row."""

    baseline = "baseline"
    candidate = "candidate"
    shadow = "shadow"


class Loss(StrEnum):
    """What is summed of the outcomes of each side: what they say against its answers, or, of some A/B tests, what they are."""

    misclassification = "misclassification"
    absolute_error = "absolute_error"
    outcome = "outcome"


USUAL_AGE_DAYS = 7
"""How old a replay may be that is asked for, where nothing is said."""


class Deployment(SQLModel, table=True):
    """At most one active production deployment per project that is no candidate: the database itself refuses a second."""

    __tablename__ = "deployments"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (
        Index(
            "uq_deployments_active_production",
            "project_id",
            unique=True,
            postgresql_where=text("stage = 'production' AND status = 'active' AND NOT is_candidate"),
        ),
    )

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    model_id: UUID = reference("models.id", on_delete="NO ACTION")
    name: str = Field(max_length=200)
    stage: Stage = word(Stage)
    status: DeploymentStatus = word(DeploymentStatus, DeploymentStatus.active)
    strategy: Strategy = word(Strategy, Strategy.direct)
    traffic_percent: int = 100
    """Of its rows; the others are answered by the deployment it displaced, or, while it is a candidate, by the baseline."""
    is_candidate: bool = False
    """A rollout runs in which it stands beside the production deployment."""
    successor_id: UUID | None = reference("deployments.id", default=None, on_delete="SET NULL")
    """Displaced in such a way that its address goes on: rows sent to it are answered there."""
    config: dict[str, Any] = document()
    log_days: int | None = None
    """How long its entries of the inference log are kept; None: by the server's setting."""
    privacy_policy_id: UUID | None = None
    privacy_anonymize_logs: bool = False
    privacy_anonymize_response: bool = False
    privacy_column_map: dict[str, Any] = document()
    privacy_threshold: float | None = None
    version: int = 1
    previous_deployment_id: UUID | None = reference("deployments.id", default=None, on_delete="SET NULL")
    previous_model_id: UUID | None = reference("models.id", default=None, on_delete="SET NULL")
    request_count: int = Field(default=0, sa_type=BigInteger)
    error_count: int = Field(default=0, sa_type=BigInteger)
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
    updated_at: datetime = moment()
    deployed_at: datetime | None = maybe_moment()
    archived_at: datetime | None = maybe_moment()


class PromotionGate(SQLModel, table=True):
    """What a model must keep up to come into production in a project; at most one."""

    __tablename__ = "promotion_gates"
    __bound__ = Bound("One of a project. Goes with it.")

    project_id: UUID = Field(foreign_key="projects.id", ondelete="CASCADE", primary_key=True)
    metric: str | None = Field(default=None, max_length=32)
    max_loss: float = 0.0
    """By how much the metric may be worse than that of the model in production."""
    max_drift: float | None = None
    """The largest PSI that a column may have between the model's table and what production was asked lately."""
    replay_verdict: RequiredVerdict | None = maybe_word(RequiredVerdict)
    """What a replay of what production was asked must have come to."""
    replay_margin: float | None = None
    """What the model may cost there; None: the usual margin."""
    replay_max_age_days: int = USUAL_AGE_DAYS
    updated_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    updated_at: datetime = moment()


class Rollout(SQLModel, table=True):
    """A candidate beside the production deployment: it answers a share of the rows (canary), or is asked in vain (shadow).

    An A/B test splits rows as a canary does, in one step, between any two deployments.

    Counts are of requests with rows for that arm. They grow in the transaction that stores the inference log, so a row is counted
    once; `skipped` counts rows that found the line of a shadow full, and may lack a second when a process is killed.
    """

    __tablename__ = "rollouts"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (
        Index("uq_rollouts_running", "baseline_id", "kind", unique=True, postgresql_where=text("status = 'running'")),
        Index("uq_rollouts_running_candidate", "candidate_id", unique=True, postgresql_where=text("status = 'running'")),
    )

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    baseline_id: UUID = reference("deployments.id")
    candidate_id: UUID = reference("deployments.id")
    kind: RolloutKind = word(RolloutKind)
    status: RolloutStatus = word(RolloutStatus, RolloutStatus.running)
    percent: int
    steps: list[int] = document(list)
    """Of a canary, in percent."""
    min_row_count: int = 0
    """Of the candidate, in each step before the next."""
    min_secs: int = 0
    step: int = 0
    step_began_at: datetime = moment()
    rows_before_step: int = Field(default=0, sa_type=BigInteger)
    auto_advance: bool = False
    max_error_increase: float = 0.0
    loss: Loss = word(Loss)
    max_loss_increase: float = 0.0
    confidence: float = 0.95
    baseline_requests: int = Field(default=0, sa_type=BigInteger)
    baseline_errors: int = Field(default=0, sa_type=BigInteger)
    baseline_rows: int = Field(default=0, sa_type=BigInteger)
    candidate_requests: int = Field(default=0, sa_type=BigInteger)
    candidate_errors: int = Field(default=0, sa_type=BigInteger)
    candidate_rows: int = Field(default=0, sa_type=BigInteger)
    baseline_units: int = Field(default=0, sa_type=BigInteger)
    """Of an A/B test: the different keys that fell to each side, whoever answered."""
    candidate_units: int = Field(default=0, sa_type=BigInteger)
    baseline_judged_units: int = Field(default=0, sa_type=BigInteger)
    """Those with outcomes; below sums over them, of the number n of the outcomes of each and of their summed loss s."""
    candidate_judged_units: int = Field(default=0, sa_type=BigInteger)
    baseline_unit_outcome_squares: float = exact_sum()
    """n²"""
    candidate_unit_outcome_squares: float = exact_sum()
    baseline_unit_products: float = exact_sum()
    """n s"""
    candidate_unit_products: float = exact_sum()
    baseline_unit_loss_squares: float = exact_sum()
    """s²"""
    candidate_unit_loss_squares: float = exact_sum()
    skipped_rows: int = Field(default=0, sa_type=BigInteger)
    compared_rows: int = Field(default=0, sa_type=BigInteger)
    agreed_rows: int = Field(default=0, sa_type=BigInteger)
    baseline_outcomes: int = Field(default=0, sa_type=BigInteger)
    baseline_loss: float = exact_sum()
    """Over all its outcomes; `squares` the sum of the squares."""
    baseline_loss_squares: float = exact_sum()
    candidate_outcomes: int = Field(default=0, sa_type=BigInteger)
    candidate_loss: float = exact_sum()
    candidate_loss_squares: float = exact_sum()
    difference_sum: float = 0.0
    """Over the compared rows: of |shadow - answer| of numbers, or of the probability of the answered class."""
    reason: Message | None = maybe_notice()
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
    finished_at: datetime | None = maybe_moment()

    model_config = {"arbitrary_types_allowed": True}  # messages


class RolloutUnit(SQLModel, table=True):
    """A key that has come to a running A/B test, as its hash: what comes again is no further unit."""

    __tablename__ = "rollout_units"
    __bound__ = Bound("Different keys of rows in a running A/B test. Goes with it.")

    rollout_id: UUID = Field(foreign_key="rollouts.id", ondelete="CASCADE", primary_key=True)
    unit: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    outcomes: int = 0
    loss: float = exact_sum()
    """Of these outcomes together: its rows are alike, so that it is one unit of what is compared, too."""
