"""`/api/models` (contract B.6)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.columns import TABLE_FILE
from rest_compat.endpoint import ANY_MEDIA, Endpoint, File, Kind

ROOT = "/api/models"
ONE = "/api/models/{model_id}"

FIRST_MODEL_WAIT_SECS = 20
"""The client's own README lists models right after it created an experiment and takes the first, so an empty answer is held
back while a first model is about to be finished; within the client's read timeout of 30 s."""

FILTERS = ("project_id", "experiment_id", "model_type", "is_best", "is_production", "is_staging")


def explanation(result: Any, _: Mapping[str, Any]) -> Any:
    return {"model_id": result["id"], **documents.explanation(result["explanation"])}


def curves(result: Any, _: Mapping[str, Any]) -> Any:
    return {"model_id": result["id"], "curves": documents.curves(result["curves"])}


def schema(result: Any, _: Mapping[str, Any]) -> Any:
    return {"model_id": result["id"], **result["input_schema"]}


def one(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.mirrored("model")(documents.model(result), variables)


def updated(result: Any, variables: Mapping[str, Any]) -> Any:
    return one(result["model"], variables)


def evaluated(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.created("evaluation")({"evaluation": documents.evaluation(result["evaluation"])}, variables)


ROWS = (
    Endpoint(
        "GET",
        ROOT,
        "ListModels",
        shapes.page_of(documents.model),
        paged=True,
        params=(*FILTERS, "sort_metric"),
        into={
            "project_id": "filter.projectId",
            "experiment_id": "filter.experimentId",
            "model_type": "filter.algorithm",
            "is_best": "filter.isBest",
            "is_production": "filter.isProduction",
            "is_staging": "filter.isStaging",
            "sort_metric": "sort.field",
        },
        constants={"waitSecs": FIRST_MODEL_WAIT_SECS},
    ),
    Endpoint("GET", ONE, "GetModel", one),
    Endpoint("GET", f"{ONE}/parameters", "ModelParameters", shapes.plain),
    Endpoint("GET", f"{ONE}/explain", "ModelExplain", explanation),
    Endpoint("GET", f"{ONE}/schema", "ModelSchema", schema),
    Endpoint("GET", f"{ONE}/download", "ModelDownload", shapes.plain, kind=Kind.download, media=(ANY_MEDIA, "application/zip")),
    Endpoint("GET", f"{ONE}/curves", "ModelCurves", curves),
    Endpoint(
        "GET",
        f"{ONE}/evaluations",
        "ModelEvaluations",
        shapes.page_of(documents.evaluation),
        paged=True,
        words={"sort_field": {"created_at": "created_at", "filename": "filename", "rows": "row_count"}},
    ),
    Endpoint("PUT", ONE, "UpdateModel", updated, body=("notes",)),
    Endpoint("DELETE", ONE, "DeleteModel", shapes.ok),
    Endpoint(
        "POST",
        f"{ONE}/evaluate",
        "EvaluateModel",
        evaluated,
        201,
        body=("dataset_version_id", "upload_id", "sheet"),
        kind=Kind.upload,
        file=File(TABLE_FILE, "GetModel", {"model_id": "modelId"}, or_else=("dataset_version_id",)),
    ),
)
