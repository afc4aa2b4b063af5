"""The row of a deployment: a model that answers under a name."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, text
from sqlmodel import Field, SQLModel

from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import document, key, maybe_moment, moment, reference, word


class Stage(StrEnum):
    staging = "staging"
    production = "production"


class DeploymentStatus(StrEnum):
    active = "active"
    inactive = "inactive"
    archived = "archived"


class Strategy(StrEnum):
    """How requests reach a deployment. Only `direct` changes nothing; the others are kept for what is to come."""

    direct = "direct"
    canary = "canary"
    blue_green = "blue_green"
    shadow = "shadow"


class Deployment(SQLModel, table=True):
    """At most one active production deployment per project: the database itself refuses a second."""

    __tablename__ = "deployments"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (
        Index(
            "uq_deployments_active_production",
            "project_id",
            unique=True,
            postgresql_where=text("stage = 'production' AND status = 'active'"),
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
    config: dict[str, Any] = document()
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
