"""The inference log: one row per predicted row, in weekly partitions (`partitions`).

It refers to nothing: a foreign key would be looked up for every predicted row, a deleted deployment would take all its rows along
in one statement, and a partition could not be dropped without stopping whoever predicts. Rows of deployments that are gone are
reached by nobody and are removed by a job of the clock.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Index, text
from sqlmodel import Field, SQLModel

from coreplex.deployment.table import Arm
from coreplex.errors.tree import Message
from coreplex.platform.bound import Bound
from coreplex.platform.clock import now
from coreplex.platform.columns import document, key, maybe_document, maybe_notice, maybe_word


class InferenceLog(SQLModel, table=True):
    model_config = {"arbitrary_types_allowed": True}  # messages

    __tablename__ = "inference_logs"
    __bound__ = Bound(
        "`INFERENCE_LOG_DAYS`, or `log_days` of its deployment: weekly partitions, dropped when all of their rows are older. "
        "Those of a deleted deployment go within minutes."
    )
    __table_args__ = (
        Index("ix_inference_logs_deployment", "deployment_id", "created_at", "id"),
        Index("ix_inference_logs_request", "deployment_id", text("lower(request_id)")),
        Index("ix_inference_logs_failed", "deployment_id", "created_at", "id", postgresql_where=text("error IS NOT NULL")),
        Index("ix_inference_logs_arm", "deployment_id", "created_at", "id", "arm", postgresql_where=text("arm IS NOT NULL")),
        Index(
            "ix_inference_logs_outcome",
            *("deployment_id", "created_at", "id", "model_id", "arm"),
            postgresql_where=text("outcome IS NOT NULL"),
        ),
        {"postgresql_partition_by": "LIST (retention_week)"},
    )

    id: UUID = key()
    project_id: UUID
    deployment_id: UUID
    model_id: UUID
    request_id: str = Field(max_length=64)
    row_index: int = 0
    inputs: dict[str, Any] = document()
    output: dict[str, Any] | None = maybe_document()
    error: Message | None = maybe_notice()
    outcome: str | float | bool | None = maybe_document()
    """What was true in the end: a class or a number. None as long as nobody has said it."""
    outcome_at: datetime | None = Field(default=None, sa_type=DateTime(timezone=True))
    worth: float | bool | None = maybe_document()
    """What its A/B test counts, where that is no outcome of the model: whether the customer bought, what they paid."""
    latency_ms: float = 0.0
    arm: Arm | None = maybe_word(Arm)
    """Which side of a split answered, or a shadow; none where one deployment answers alone."""
    unit: int | None = Field(default=None, sa_type=BigInteger)
    """Which unit of an A/B test it is a row of (`rollout_units`), if of any."""
    created_at: datetime = Field(default_factory=now, sa_type=DateTime(timezone=True))
    retention_week: int = Field(default=0, primary_key=True, sa_column_kwargs={"autoincrement": False})
    """Which partition it lies in (`partitions.week_of`); 0: the default one."""
