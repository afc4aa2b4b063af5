"""`/api/datasets` (contract B.3). Uploads and downloads are streamed, see `rest_compat.files`."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, profiles, shapes
from rest_compat.columns import MARKS, OVERRIDES, TABLE_FILE
from rest_compat.endpoint import ANY_MEDIA, Endpoint, File, Kind
from rest_compat.whole import Whole

ROOT = "/api/datasets"
ONE = f"{ROOT}/{{dataset_id}}"
VERSION = ("version_id",)
COLUMNS = ("columns", "missing_values", "force")
OF_DATASET = {"dataset_id": "input.datasetId"}
TABLES = (
    "application/vnd.apache.parquet",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "text/csv",
)
"""Types of files with tables, the binary ones first: a generated client reads all of them as the first it knows."""
FILE = File(TABLE_FILE, "UploadTarget", {"project_id": "projectId", "dataset_id": "datasetId"})


SORTS = {"version": "number"} | {name: name for name in ("created_at", "row_count", "quality_score")}
"""What versions are sorted by; GraphQL calls the version's number by another name."""
ALL_COLUMNS = Whole("the name and the type", ("name", "type"), ("name", "type", "missing_count", "missing_pct", "unique_count"))


def uploaded(result: Any, _: Mapping[str, Any]) -> Any:
    """The answer to an upload: both ids, the quality, and the two resources."""
    dataset, version = result["dataset"], dict(result["version"])
    quality = version.pop("quality")
    return {
        "id": dataset["id"],
        "dataset_id": dataset["id"],
        "dataset_version_id": version["id"],
        "version_id": version["id"],
        "artifact_id": version["artifact_id"],
        "quality": profiles.quality(quality),
        "warnings": documents.sentences(result["warnings"]),
        "dataset": dataset,
        "version": version,
    }


def quality(result: Any, _: Mapping[str, Any]) -> Any:
    return {"dataset_id": result["dataset_id"], "version_id": result["version_id"], **profiles.quality(result["quality"])}


def columns(result: Any, _: Mapping[str, Any]) -> Any:
    """All columns at once, under their own name and as a list (contract A.3)."""
    found = result["columns"]
    return {"columns": found, "items": found, "total": len(found), "limit": len(found), "offset": 0}


def analysis(result: Any, _: Mapping[str, Any]) -> Any:
    return {"dataset_id": result["dataset_id"], "version_id": result["version_id"], **profiles.analysis(result["analysis"])}


ROWS = (
    Endpoint(
        "GET", ROOT, "ListDatasets", shapes.page, paged=True, params=("project_id",), into={"project_id": "filter.projectId"}
    ),
    Endpoint("GET", ONE, "GetDataset", shapes.mirrored("dataset")),
    Endpoint("GET", f"{ONE}/versions", "ListDatasetVersions", shapes.page, paged=True, words={"sort_field": SORTS}),
    Endpoint("GET", f"{ONE}/quality", "DatasetQuality", quality, params=(*VERSION, "target", "problem_type")),
    Endpoint("GET", f"{ONE}/columns", "DatasetColumns", columns, params=VERSION, whole=ALL_COLUMNS),
    Endpoint("GET", f"{ONE}/analyze", "DatasetAnalysis", analysis, params=VERSION),
    Endpoint(
        "POST",
        f"{ONE}/columns",
        "OverrideColumnTypes",
        uploaded,
        201,
        body=(*VERSION, *COLUMNS),
        into=OF_DATASET,
        columns=OVERRIDES,
    ),
    Endpoint(
        "POST",
        f"{ONE}/missing",
        "MarkMissing",
        uploaded,
        201,
        body=(*VERSION, "columns", "force"),
        into=OF_DATASET,
        columns=MARKS,
        body_optional=True,
    ),
    Endpoint("DELETE", ONE, "DeleteDataset", shapes.ok),
    Endpoint(
        "POST",
        f"{ROOT}/upload",
        "UploadDataset",
        uploaded,
        201,
        body=("project_id", "name", "description", "dataset_id", "upload_id", "sheet", *COLUMNS),
        columns=OVERRIDES,
        kind=Kind.upload,
        file=FILE,
    ),
    Endpoint(
        "POST",
        f"{ONE}/versions",
        "UploadDataset",
        uploaded,
        201,
        name="UploadDatasetVersion",
        body=("upload_id", "sheet", *COLUMNS),
        columns=OVERRIDES,
        kind=Kind.upload,
        file=FILE,
    ),
    Endpoint(
        "GET",
        f"{ONE}/download",
        "DatasetDownload",
        shapes.plain,
        params=("format", *VERSION),
        kind=Kind.download,
        media=(ANY_MEDIA, *TABLES),
    ),
    Endpoint(
        "GET",
        "/api/artifacts/{artifact_id}/download",
        "ArtifactDownload",
        shapes.plain,
        kind=Kind.download,
        media=(ANY_MEDIA, *TABLES, "application/zip"),
    ),
    Endpoint(
        "GET",
        "/api/files/{file_id}",
        "GetFile",
        shapes.plain,
        kind=Kind.download,
        made_for_answer=False,
        media=(ANY_MEDIA, *TABLES),
    ),
)
