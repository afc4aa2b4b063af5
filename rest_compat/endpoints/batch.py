"""Predictions of whole tables: `batch-predict`, and `/api/predictions/batches` (contract B.8)."""

from collections.abc import Mapping
from typing import Any

from coreplex.platform.staging import rows_too_large
from rest_compat import documents, shapes
from rest_compat.endpoint import ANY_MEDIA, Endpoint, File, Kind
from rest_compat.endpoints.dataset import TABLES, uploaded

ROOT = "/api/predictions/batches"
ONE = f"{ROOT}/{{batch_id}}"
ROWS_FILE = "The rows: CSV or Parquet, of at most `MAX_BATCH_UPLOAD_BYTES` (100 MB)."
BODY = ("dataset_version_id", "upload_id", "options")
FILTERS = ("project_id", "model_id", "deployment_id", "status")


def asked(result: Any, _: Mapping[str, Any]) -> Any:
    """The new batch: its id twice, its job, itself."""
    batch = shapes.outcome(documents.batch(result["batch"]))
    return {
        "id": batch["id"],
        "batch_id": batch["id"],
        "job_id": batch["job_id"],
        "status": batch["status"],
        "warnings": batch["warnings"],
        "batch": batch,
    }


def one(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.named("batch")(documents.batch(result), variables)


def _create(path: str, name: str, key: str, variable: str) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        "CreatePredictionBatch",
        asked,
        202,
        name=name,
        body=BODY,
        in_json={"options": '{"threshold": 0.4}'},
        kind=Kind.upload,
        file=File(
            ROWS_FILE,
            "PredictionTarget",
            {key: variable},
            or_else=("dataset_version_id",),
            limit="max_batch_upload_bytes",
            too_large=rows_too_large,
        ),
    )


ROWS = (
    _create("/api/models/{model_id}/batch-predict", "BatchPredictModel", "model_id", "modelId"),
    _create("/api/mlops/deployments/{deployment_id}/batch-predict", "BatchPredict", "deployment_id", "deploymentId"),
    Endpoint(
        "GET",
        ROOT,
        "ListPredictionBatches",
        shapes.page_of(documents.batch),
        paged=True,
        params=FILTERS,
        into={
            "project_id": "filter.projectId",
            "model_id": "filter.modelId",
            "deployment_id": "filter.deploymentId",
            "status": "filter.status",
        },
        words={"status": shapes.OUTCOMES},
    ),
    Endpoint("GET", ONE, "GetPredictionBatch", one),
    Endpoint("DELETE", ONE, "DeletePredictionBatch", shapes.ok),
    Endpoint(
        "GET",
        f"{ONE}/download",
        "PredictionBatchDownload",
        shapes.plain,
        params=("format",),
        kind=Kind.download,
        media=(ANY_MEDIA, *TABLES),
    ),
    Endpoint(
        "POST",
        f"{ONE}/dataset",
        "SavePredictionBatch",
        uploaded,
        201,
        body=("name", "description", "dataset_id"),
    ),
)
