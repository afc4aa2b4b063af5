"""The rows of monitoring: what training saw, and how often each bin was met since, by deployment, arm and time."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from coreplex.deployment.table import Arm
from coreplex.platform.bound import Bound, Rule
from coreplex.platform.columns import document, key, maybe_moment, maybe_word, moment, reference

KEPT_DAYS = 400


class Basis(StrEnum):
    """What the value of a metric stands on."""

    realised = "realised"
    estimated = "estimated"


class MetricBasis(StrEnum):
    """What a rule lets the value of a metric stand on."""

    realised = "realised"
    estimated = "estimated"
    either = "either"


class FeatureBaseline(SQLModel, table=True):
    """The columns of an experiment's table in their bins, as `coreplex.engines.drift.layout` makes them; never changed."""

    __tablename__ = "feature_baselines"
    __bound__ = Bound("One of an experiment. Goes with it.")

    experiment_id: UUID = Field(primary_key=True, sa_column_args=[ForeignKey("experiments.id", ondelete="CASCADE")])
    features: list[dict[str, Any]] = document(list)


class AnswerBaseline(SQLModel, table=True):
    """What a model answered out-of-fold, in bins; never changed."""

    __tablename__ = "answer_baselines"
    __bound__ = Bound("One of a model. Goes with it.")

    model_id: UUID = Field(primary_key=True, sa_column_args=[ForeignKey("models.id", ondelete="CASCADE")])
    features: list[dict[str, Any]] = document(list)


class EstimationBaseline(SQLModel, table=True):
    """By what a model's metrics are estimated without outcomes, learned from its out-of-fold answers; never changed. Models from
    before there was such a thing have none."""

    __tablename__ = "estimation_baselines"
    __bound__ = Bound("One of a model. Goes with it.")

    model_id: UUID = Field(primary_key=True, sa_column_args=[ForeignKey("models.id", ondelete="CASCADE")])
    archive: bytes = Field(sa_type=LargeBinary)
    """As `coreplex.engines.estimation.baseline` packs it."""


OF_DELETED = Rule("NOT EXISTS (SELECT FROM deployments d WHERE d.id = t.deployment_id)")
TOO_OLD = Rule("t.span_secs > 0 AND t.began_at < :horizon", timedelta(days=KEPT_DAYS))
"""Not before they are joined, by which they come into the totals."""


def _bound(minutes: str) -> Bound:
    words = (
        f"Minutes are joined to hours after {minutes}, hours to days after 35 days; days go after {KEPT_DAYS}, all of them with "
    )
    return Bound(words + "their deployment.", (TOO_OLD, OF_DELETED))


class TrafficCount(SQLModel, table=True):
    """What a deployment did in a span of time, as one part of a sum: there may be several rows of a span.

    `span_secs`: 0 for a part of a minute, as it was stored with the log; else a minute, an hour or a day.
    `latency_bins`, `latency_counts`: sparse, of requests that were answered, in the bins of `coreplex.engines.drift.latency`.
    """

    __tablename__ = "traffic_counts"
    __bound__ = _bound("two days")
    __table_args__ = (
        Index("ix_traffic_counts_deployment", "deployment_id", "began_at"),
        Index("ix_traffic_counts_span", "span_secs", "began_at"),
    )

    id: UUID = key()
    deployment_id: UUID
    """No reference, as little as the log has one: it is written beside a deletion."""
    arm: Arm | None = maybe_word(Arm)
    began_at: datetime = moment()
    span_secs: int = 0
    requests: int = Field(default=0, sa_type=BigInteger)
    errors: int = Field(default=0, sa_type=BigInteger)
    rows: int = Field(default=0, sa_type=BigInteger)
    latency_bins: list[int] = Field(default_factory=list, sa_column=Column(ARRAY(Integer), nullable=False))
    latency_counts: list[int] = Field(default_factory=list, sa_column=Column(ARRAY(BigInteger), nullable=False))


class TrafficTotal(SQLModel, table=True):
    """What a deployment was ever asked, but for rows of `traffic_counts` not joined yet (`coreplex.monitoring.totals`)."""

    __tablename__ = "traffic_totals"
    __bound__ = Bound("One of a deployment and an arm. Goes with it.", (OF_DELETED,))

    deployment_id: UUID = Field(primary_key=True)
    """No reference: it is added to beside a deletion."""
    arm: str = Field(primary_key=True, max_length=32)
    """Empty for what was asked without a rollout."""
    requests: int = Field(default=0, sa_type=BigInteger)
    errors: int = Field(default=0, sa_type=BigInteger)
    rows: int = Field(default=0, sa_type=BigInteger)
    latency_us: int = Field(default=0, sa_type=BigInteger)
    within_counts: list[int] = Field(default_factory=list, sa_column=Column(ARRAY(BigInteger), nullable=False))
    last_at: datetime = moment()


class BinCount(SQLModel, table=True):
    """How often each bin of a model's layout was met in a span of time, likewise; sparse."""

    __tablename__ = "bin_counts"
    __bound__ = _bound("two hours")
    __table_args__ = (
        Index("ix_bin_counts_deployment", "deployment_id", "model_id", "began_at"),
        Index("ix_bin_counts_span", "span_secs", "began_at"),
        Index("ix_bin_counts_new", "id", postgresql_where=text("is_new")),
    )

    id: UUID = key()
    deployment_id: UUID
    model_id: UUID
    arm: Arm | None = maybe_word(Arm)
    began_at: datetime = moment()
    span_secs: int = 0
    is_new: bool = True
    """Just stored with the log; nobody has looked at it for drift yet."""
    rows: int = Field(default=0, sa_type=BigInteger)
    bins: list[int] = Field(default_factory=list, sa_column=Column(ARRAY(Integer), nullable=False))
    counts: list[int] = Field(default_factory=list, sa_column=Column(ARRAY(BigInteger), nullable=False))


class DriftWatch(SQLModel, table=True):
    """Evidence that what a deployment is asked has moved, after every look at what was counted since the one before."""

    __tablename__ = "drift_watches"
    __bound__ = Bound("One of a deployment. Goes with it.")

    deployment_id: UUID = Field(primary_key=True, sa_column_args=[ForeignKey("deployments.id", ondelete="CASCADE")])
    model_id: UUID
    """Whose bins they are; of another model it begins anew."""
    capital: bytes = Field(default=b"", sa_type=LargeBinary)
    """Little-endian float64 of `coreplex.engines.drift.evidence`."""
    rows: int = Field(default=0, sa_type=BigInteger)
    evidence: float | None = None
    """Logarithm of all capital together; None before anything was looked at."""
    features: list[dict[str, Any]] = document(list)
    """Those with the most evidence, most first: `feature` and `evidence`."""
    began_at: datetime = moment()
    looked_at: datetime = moment()
    drifting_since: datetime | None = maybe_moment()
    """When the evidence was enough; None while it is not."""


class AttributionBaseline(SQLModel, table=True):
    """By how much each column moves a model's answers, over rows of its training; never changed."""

    __tablename__ = "attribution_baselines"
    __bound__ = Bound("One of a model. Goes with it.")

    model_id: UUID = Field(primary_key=True, sa_column_args=[ForeignKey("models.id", ondelete="CASCADE")])
    row_count: int = 0
    features: list[dict[str, Any]] = document(list)
    """As `coreplex.engines.explain.attribution` tells it."""


class AttributionDay(SQLModel, table=True):
    """The same over a uniform sample of what a deployment was asked in a day of UTC, by the model it had."""

    __tablename__ = "attribution_days"
    __bound__ = Bound(
        f"One of a deployment, a model and a day, for {KEPT_DAYS} days. Go with their deployment.",
        (Rule("began_at < :horizon", timedelta(days=KEPT_DAYS)),),
    )
    __table_args__ = (UniqueConstraint("deployment_id", "model_id", "began_at", name="uq_attribution_days_day"),)

    id: UUID = key()
    deployment_id: UUID = reference("deployments.id")
    model_id: UUID
    began_at: datetime = moment(index=True)
    answered_count: int = Field(default=0, sa_type=BigInteger)
    """Rows that were answered that day, when the sample was drawn."""
    row_count: int = 0
    """Rows of the sample."""
    features: list[dict[str, Any]] = document(list)
    made_at: datetime = moment()
