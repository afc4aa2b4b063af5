"""`/api/mlops` and the prediction endpoints (contract B.6, B.7)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import ANY_MEDIA, Endpoint, Kind
from rest_compat.endpoints.dataset import TABLES

LIST = "/api/mlops/projects/{project_id}/deployments"
ONE = "/api/mlops/deployments/{deployment_id}"

CREATE = (
    "model_id",
    "name",
    "stage",
    "traffic_percent",
    "strategy",
    "config",
    "log_days",
    "privacy_policy_id",
    "privacy_anonymize_logs",
    "privacy_anonymize_response",
    "privacy_column_map",
    "privacy_threshold",
    "override_reason",
)


LOGGED = {
    "request_id": "filter.requestId",
    "arm": "filter.arm",
    "failed": "filter.failed",
    "model_id": "filter.modelId",
    "created_from": "filter.createdAt.gte",
    "created_before": "filter.createdAt.lt",
}
"""What a log is filtered by."""
PRIVACY = {"privacy_column_map": ("column", "kind")}
UNKNOWN = "unknown_key"
"""What a warning about a key of the body is: one of REST alone."""


def with_model(result: dict[str, Any]) -> dict[str, Any]:
    """The deployment and its model side by side, as the documentation has them."""
    alone = {key: value for key, value in result.items() if key != "model"}
    return {"deployment": alone, "model": documents.model(result["model"])}


def deployment(found: dict[str, Any]) -> dict[str, Any]:
    found["privacy_column_map"] = documents.by_name(found["privacy_column_map"], "column", lambda one: one["kind"])
    return found


def entry(found: dict[str, Any]) -> dict[str, Any]:
    found["output"] = documents.maybe(found["output"], documents.answer)
    return found


def one(result: Any, _: Mapping[str, Any]) -> Any:
    return with_model(deployment(result))


def created(result: Any, _: Mapping[str, Any]) -> Any:
    made = deployment(result["deployment"])
    return {
        "id": made["id"],
        "deployment_id": made["id"],
        "status": made["status"],
        "warnings": documents.sentences(result["warnings"]),
        **with_model(made),
    }


def changed(result: Any, _: Mapping[str, Any]) -> Any:
    made = deployment(result["deployment"])
    return {"id": made["id"], "status": made["status"], "deployment": made}


def schema(result: Any, _: Mapping[str, Any]) -> Any:
    return {"deployment_id": result["id"], "model_id": result["model_id"], **result["input_schema"]}


def predicted(result: Any, _: Mapping[str, Any]) -> Any:
    """Only what an answer has: regression has no probability, nobody asked for contributions."""
    answers = result["predictions"]
    answers[:] = map(documents.answer, answers)
    for one in result["warnings"]:
        one["column"] = documents.text(one["column"])
    result["warnings"] = documents.with_word(result["warnings"], "kind", UNKNOWN)
    return {**result, "predictions": answers, "count": len(answers)}


def warning(sentence: str) -> dict[str, Any]:
    """A sentence among the warnings of a prediction."""
    return {"column": "", "kind": UNKNOWN, "message": sentence, "row": None}


def watched(result: Any, _: Mapping[str, Any]) -> Any:
    found = result["metrics"]
    window = {"start": found.pop("window_start"), "end": found.pop("window_end")}
    return {"deployment_id": result["id"], "window": window, **found}


def drifting(result: Any, _: Mapping[str, Any]) -> Any:
    return {"deployment_id": result["id"], **result["drift"]}


def attributed(result: Any, _: Mapping[str, Any]) -> Any:
    return {"deployment_id": result["id"], **result["attribution"]}


def performing(result: Any, _: Mapping[str, Any]) -> Any:
    found = result["performance"]
    found["not_estimable"] = documents.sentence(found["not_estimable"])
    return {"deployment_id": result["id"], **found}


WINDOW = ("window", "until", "arm")
ROWS = (
    Endpoint(
        "GET",
        LIST,
        "ListDeployments",
        shapes.page_of(deployment),
        paged=True,
        params=("stage", "status"),
        into={"project_id": "filter.projectId", "stage": "filter.stage", "status": "filter.status"},
    ),
    Endpoint("POST", LIST, "CreateDeployment", created, 201, body=CREATE, by_name=PRIVACY),
    Endpoint("GET", ONE, "GetDeployment", one),
    Endpoint(
        "PUT",
        ONE,
        "UpdateDeployment",
        changed,
        body=tuple(key for key in CREATE if key not in {"model_id", "stage", "strategy", "config", "override_reason"}),
        by_name=PRIVACY,
    ),
    Endpoint("DELETE", ONE, "DeleteDeployment", shapes.ok),
    Endpoint("GET", f"{ONE}/schema", "DeploymentSchema", schema),
    Endpoint("GET", f"{ONE}/metrics", "DeploymentMetrics", watched, params=(*WINDOW, "bucket")),
    Endpoint("GET", f"{ONE}/performance", "DeploymentPerformance", performing, params=(*WINDOW, "bucket", "slice_by")),
    Endpoint(
        "GET",
        f"{ONE}/drift",
        "DeploymentDrift",
        drifting,
        params=(*WINDOW, "threshold", "baseline", "baseline_window", "baseline_until"),
    ),
    Endpoint("GET", f"{ONE}/attribution-drift", "DeploymentAttributionDrift", attributed, params=("window", "until")),
    Endpoint("POST", f"{ONE}/predict", "Predict", predicted, body=("inputs", "options"), warning=warning),
    Endpoint("POST", f"{ONE}/promote", "PromoteDeployment", changed, body=("to_stage", "require_replay", "override_reason")),
    Endpoint(
        "POST",
        f"{ONE}/rollback",
        "RollbackDeployment",
        changed,
        body=("to_deployment_id", "to_model_id", "override_reason"),
        body_optional=True,
    ),
    Endpoint("POST", f"{ONE}/deactivate", "DeactivateDeployment", changed, body_optional=True),
    Endpoint("GET", f"{ONE}/logs", "DeploymentLogs", shapes.page_of(entry), paged=True, params=(*LOGGED,), into=LOGGED),
    Endpoint(
        "GET",
        f"{ONE}/inference-logs",
        "DeploymentLogs",
        shapes.page_of(entry),
        paged=True,
        params=(*LOGGED,),
        into=LOGGED,
        name="InferenceLogs",
    ),
    Endpoint(
        "GET",
        f"{ONE}/logs/download",
        "DeploymentLogFile",
        shapes.plain,
        params=("created_from", "created_before", "request_id", "arm", "failed"),
        kind=Kind.download,
        media=(ANY_MEDIA, *TABLES),
    ),
    Endpoint("POST", "/api/models/{model_id}/predict", "PredictModel", predicted, body=("inputs", "options"), warning=warning),
)
