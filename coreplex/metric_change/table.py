"""The row of an explanation of why a metric of a deployment changed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from coreplex.errors.tree import Message
from coreplex.job.lifecycle import FollowsJob
from coreplex.monitoring.table import Basis, MetricBasis
from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import document, key, maybe_word, moment, notices, reference, word

EXPLAIN = "explain_metric_change"
"""The kind of job that explains (`coreplex.metric_change.jobs`)."""


class MetricChange(FollowsJob, table=True):
    """A metric in two periods: `since` to `until`, and the one before, its baseline. What was found is None until then."""

    __tablename__ = "metric_changes"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (Index("ix_metric_changes_created_at", "created_at"),)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    deployment_id: UUID = reference("deployments.id")
    model_id: UUID | None = reference("models.id", default=None, on_delete="SET NULL")
    metric: str = Field(max_length=32)
    wanted_basis: MetricBasis = word(MetricBasis)
    since: datetime = moment()
    until: datetime = moment()
    baseline_since: datetime = moment()
    baseline_until: datetime = moment()
    used_basis: Basis | None = maybe_word(Basis)
    before: float | None = None
    after: float | None = None
    std_error: float | None = None
    after_row_count: int | None = Field(default=None, sa_type=BigInteger)
    before_row_count: int | None = Field(default=None, sa_type=BigInteger)
    parts: list[dict[str, Any]] = document(list)
    """`cause`, `features`, `effect` in the metric's unit, `is_replaced`; those that explain most first."""
    warnings: list[Message] = notices()
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
