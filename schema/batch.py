"""Batches of predictions in the public contract."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import strawberry

from coreplex.batch import inputs, service
from coreplex.batch.table import PredictionBatch as Row
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import percent
from coreplex.platform.permissions import READ, WRITE, Permission, Scope
from resolvers import batch as resolve
from resolvers.experiment import jobs
from schema.background import background_work
from schema.common import key, published
from schema.cost import PRICE
from schema.dataset import DatasetVersionPayload
from schema.deleted import DeletedFromProjectPayload
from schema.explore import WHOLE_TABLE
from schema.field import command, guarded, loaded, mutation, row
from schema.file import File
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection, nested
from schema.row_warning import RowWarningKind
from schema.scalars import JSON, Long
from schema.serving import PREDICT

ASK = Permission(Scope.predict)

published(inputs.CreateBatch, "CreatePredictionBatchInput", "Rows to predict in the background: what is to predict, and which.")
published(inputs.DeleteBatch, "DeletePredictionBatchInput", "A batch of predictions to remove.")
published(inputs.SaveBatch, "SavePredictionBatchInput", "A batch whose result is to be a dataset.")


@strawberry.type(description="Something odd about a column of a table: an unseen category, a missing or unknown column.")
class ColumnWarning:
    kind: str = key("kind", "What is odd.", RowWarningKind)
    column: str = key("column", "The column it is about.", str)
    message: str = key("message", "A sentence for people.", str)
    row_count: Long | None = key("rows", "How many rows; null where it is the column as a whole.", Long | None)


@strawberry.type(description="What went into a batch and what came out: every row of the one is a row of the other.")
class PredictionReceipt:
    row_count: Long = strawberry.field(name="inputRowCount", description="Rows of the table.")
    predicted_row_count: Long = strawberry.field(description="Rows that have a prediction.")
    refused_row_count: Long = strawberry.field(
        description="Rows that have `prediction_error` instead; with the predicted ones, all rows."
    )
    input_sha256: str = strawberry.field(description="SHA-256 of the file with the rows, hexadecimal.")
    output_sha256: str = strawberry.field(description="SHA-256 of the result as Parquet, hexadecimal.")
    model_sha256: str = strawberry.field(description="SHA-256 of the model's file, hexadecimal.")


def _receipt(root: strawberry.Parent[Row]) -> Any:
    return root if root.artifact_id is not None else None


def job_field(kind: Any, read: Callable[[Any, Any], Any], description: str) -> Any:
    """Something the background job knows: `read(job, row)` of the row that follows it."""
    return loaded(kind, jobs, lambda row: row.job_id, description, read)


def progress_of(job: Any, row: Any) -> float:
    """As its job says; the job of a batch that ended long ago is gone."""
    return percent(float(row.status is JobStatus.succeeded) if job is None else job.progress)


@background_work
@node(Row, service.visible)
@strawberry.type(description="Rows of a table that a model predicts in the background.")
class PredictionBatch:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    model_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the model: of a deployment, the one it had when the batch was asked for; null once it is gone."
    )
    model: Any = link("Model", "model_id", "The model; null once it is deleted.")
    model_name: str = strawberry.field(description="Name of the model.")
    deployment_id: strawberry.ID | None = strawberry.field(description="Identifier of the deployment that was asked, if one was.")
    deployment: Any = link("Deployment", "deployment_id", "The deployment that was asked, if one was and is there.")
    dataset_version_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the dataset version with the rows, if it was one."
    )
    dataset_version: Any = link("DatasetVersion", "dataset_version_id", "The dataset version, if it was one and is there.")
    job_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the background job, by which it is cancelled and followed; null once it is no longer listed."
    )
    job: Any = link("Job", "job_id", "The background job; null once it is no longer listed.")
    filename: str = strawberry.field(description="Name of the file, or of the dataset with the number of its version.")
    options: JSON = strawberry.field(description="The options that were asked for.")
    status: JobStatus = strawberry.field(description="State.")
    progress: float = job_field(float, progress_of, "Share done, 0 to 100.")
    message: str = job_field(str, lambda job, _: job.message if job else "", "What is going on.")
    error: Notice | None = strawberry.field(description="Why it failed.")
    warnings: list[Notice] = strawberry.field(description="What was done differently from what was asked.")
    column_warnings: list[ColumnWarning] = strawberry.field(
        description="What is odd about the table, by column; empty until it has succeeded."
    )
    row_count: Long | None = strawberry.field(description="Rows of the table; null until it has succeeded.")
    predicted_row_count: Long | None = strawberry.field(description="Rows that have a prediction; null until it has succeeded.")
    refused_row_count: Long | None = strawberry.field(
        description="Rows that have `prediction_error` instead; null until it has succeeded."
    )
    receipt: PredictionReceipt | None = strawberry.field(
        resolver=_receipt,
        graphql_type=PredictionReceipt | None,
        description="What went in and what came out; null until it has succeeded.",
    )
    artifact_id: strawberry.ID | None = strawberry.field(
        name="resultArtifactId", description="Identifier of the result; null until it has succeeded."
    )
    result_artifact: Any = link("Artifact", "artifact_id", "The result as Parquet; null until it has succeeded.")
    file: File | None = guarded(
        resolve.file,
        READ,
        "The result as a file to download: the table's own columns, `prediction`, for classes `probability` and "
        "`probability_<class>`, with an interval `prediction_lower` and `prediction_upper` or `prediction_set`, and "
        "`prediction_error`. A workbook is written of at most 200,000 rows. Cells of text cannot run as formulas.",
        graphql_type=File | None,
        metadata={PRICE: WHOLE_TABLE},
    )
    created_by: Any = link("User", "created_by", "Who asked for it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The batch of predictions that was asked for.")
class PredictionBatchPayload:
    prediction_batch: PredictionBatch = strawberry.field(description="The batch as it is now.")


@strawberry.type(description="What would predict: the caller may ask it for a batch.")
class PredictionTarget:
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = link("Project", "project_id", "The project; null for a key that may not read.")
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model: of a deployment, the one it has now.")
    model: Any = link("Model", "model_id", "The model; null for a key that may not read.")
    deployment_id: strawberry.ID | None = strawberry.field(description="Identifier of the deployment, if one was named.")
    deployment: Any = link("Deployment", "deployment_id", "The deployment; null for a key that may not read.")


@strawberry.type
class ProjectBatches:
    prediction_batches: Connection[PredictionBatch] = nested(service.BATCHES, "Its batches of predictions.")


@strawberry.type
class BatchQuery:
    prediction_batch: PredictionBatch | None = row(Row, READ, "One batch of predictions.", service.NOUN)
    prediction_target: PredictionTarget | None = guarded(
        resolve.target,
        ASK,
        "Ask before sending a file whether a batch of predictions would be accepted.",
    )
    prediction_batches: Connection[PredictionBatch] | None = connection(
        service.BATCHES, "Batches of predictions of the caller's projects."
    )


@strawberry.type
class BatchMutation:
    create_prediction_batch: PredictionBatchPayload | None = mutation(
        resolve.create,
        PredictionBatchPayload,
        PREDICT,
        "Predict the rows of a dataset version or of a file in the background, by a model or a deployment. Nothing is written to "
        "the inference log. Who may predict may do this; the result counts for the owner of the project.",
    )
    save_prediction_batch: DatasetVersionPayload | None = mutation(
        resolve.save, DatasetVersionPayload, WRITE, "Make a dataset, or a further version of one, of a batch's result."
    )
    delete_prediction_batch: DeletedFromProjectPayload | None = command(
        service.delete_one,
        DeletedFromProjectPayload,
        WRITE,
        "Delete a batch of predictions and its files; one that runs is ended.",
    )
