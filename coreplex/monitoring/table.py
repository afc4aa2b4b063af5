"""The inference log: one row per predicted row."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from coreplex.columns import document, key, maybe_document, moment, reference


class InferenceLog(SQLModel, table=True):
    __tablename__ = "inference_logs"
    __table_args__ = (Index("ix_inference_logs_deployment", "deployment_id", "created_at"),)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    deployment_id: UUID = reference("deployments.id", index=False)
    model_id: UUID = reference("models.id", index=False)
    request_id: str = Field(max_length=64)
    row_index: int = 0
    inputs: dict[str, Any] = document()
    output: dict[str, Any] | None = maybe_document()
    error: str | None = None
    latency_ms: float = 0.0
    created_at: datetime = moment()
