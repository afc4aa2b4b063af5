"""Retraining, of `/api/mlops` (contract B.7)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

ONE = "/api/mlops/deployments/{deployment_id}"
POLICY = (
    "is_enabled",
    "schedule",
    "time_zone",
    "metric",
    "metric_threshold",
    "metric_window",
    "metric_basis",
    "on_drift",
    "cooldown_hours",
    "max_runtime_secs",
    "max_models",
    "min_new_row_count",
    "include_outcomes",
    "replay_window",
    "is_mailed",
)


def policy(found: dict[str, Any]) -> dict[str, Any]:
    found["disabled_reason"] = documents.sentence(found["disabled_reason"])
    return found


def run(found: dict[str, Any]) -> dict[str, Any]:
    found["reason"] = documents.sentence(found["reason"])
    return found


def _policy(result: Any, _: Mapping[str, Any]) -> Any:
    return {"retrain_policy": documents.maybe(result, policy)}


def _policy_set(result: Any, _: Mapping[str, Any]) -> Any:
    return {"retrain_policy": policy(result["retrain_policy"])}


def _begun(result: Any, _: Mapping[str, Any]) -> Any:
    made = run(result["retrain_run"])
    return {"id": made["id"], "status": made["status"], "retrain_run": made}


ROWS = (
    Endpoint("GET", f"{ONE}/retrain-policy", "GetRetrainPolicy", _policy),
    Endpoint("PUT", f"{ONE}/retrain-policy", "SetRetrainPolicy", _policy_set, body=POLICY),
    Endpoint("DELETE", f"{ONE}/retrain-policy", "DeleteRetrainPolicy", shapes.ok),
    Endpoint("POST", f"{ONE}/retrain", "RetrainDeployment", _begun, 202, body=("force",), body_optional=True),
    Endpoint(
        "GET",
        f"{ONE}/retrain-runs",
        "ListRetrainRuns",
        shapes.page_of(run),
        paged=True,
        params=("status", "trigger"),
        into={"status": "filter.status", "trigger": "filter.trigger"},
    ),
)
