"""The row of a batch of predictions: which rows, which model, and what came of them."""

import re
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlmodel import Field

from coreplex.errors.tree import Message
from coreplex.job.lifecycle import FollowsJob
from coreplex.platform.bound import OF_PROJECT, Bound
from coreplex.platform.columns import document, key, notices, reference

_ENDING = re.compile(r"(\.[a-z]{1,8}){1,2}$", re.IGNORECASE)
"""Of `rows.csv.gz`: `.csv.gz`."""
PREDICT_BATCH = "batch_predict"
"""The kind of job that scores (`coreplex.batch.jobs`)."""


class PredictionBatch(FollowsJob, table=True):
    """The model is that of the moment the batch was asked for. Who deletes it, or the table, leaves the batch and its receipt."""

    __tablename__ = "prediction_batches"
    __bound__ = Bound(OF_PROJECT)
    __table_args__ = (Index("ix_prediction_batches_created_at", "created_at"),)

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    model_id: UUID | None = reference("models.id", default=None, on_delete="SET NULL")
    deployment_id: UUID | None = reference("deployments.id", default=None, on_delete="SET NULL")
    dataset_version_id: UUID | None = reference("dataset_versions.id", default=None, on_delete="SET NULL")
    input_artifact_id: UUID | None = reference("artifacts.id", default=None, on_delete="SET NULL")
    """The file that was sent, until the batch has ended."""
    artifact_id: UUID | None = reference("artifacts.id", default=None, on_delete="SET NULL")
    """The result."""
    model_name: str = Field(max_length=200)
    filename: str = Field(max_length=300)
    of_dataset: bool = False
    """Whether its rows are a dataset version's, and spelled as its schema says."""
    options: dict[str, Any] = document()
    warnings: list[Message] = notices()
    column_warnings: list[dict[str, Any]] = document(list)
    result_schema: dict[str, Any] = document()
    """`TableSchema.to_json()` of the result."""
    model_sha256: str = Field(max_length=64)
    input_sha256: str = Field(max_length=64)
    output_sha256: str | None = Field(default=None, max_length=64)
    row_count: int | None = Field(default=None, sa_type=BigInteger)
    refused_row_count: int | None = Field(default=None, sa_type=BigInteger)
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")

    @property
    def predicted_row_count(self) -> int | None:
        """Rows that have an answer."""
        if self.row_count is None or self.refused_row_count is None:
            return None
        return self.row_count - self.refused_row_count

    @property
    def result_name(self) -> str:
        """What its result is called, without the ending of a format."""
        stem = self.filename if self.of_dataset else _ENDING.sub("", self.filename)
        return f"{stem or 'rows'}_predictions"

    @property
    def folder(self) -> str:
        """Where its files are in storage."""
        return f"projects/{self.project_id}/batches/{self.id}"
