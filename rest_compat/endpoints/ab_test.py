"""A/B tests of `/api/mlops` (contract B.7)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint
from rest_compat.endpoints.deployment import predicted, warning
from rest_compat.endpoints.outcome import recorded

LIST = "/api/mlops/projects/{project_id}/ab-tests"
ONE = "/api/mlops/ab-tests/{ab_test_id}"
CREATE = (
    "name",
    "deployment_a_id",
    "model_a_id",
    "deployment_b_id",
    "model_b_id",
    "traffic_split",
    "metric",
    "goal",
    "method",
    "confidence_level",
    "max_expected_loss",
    "min_samples",
    "max_samples",
    "min_duration_hours",
    "max_duration_hours",
)


def ab_test(found: dict[str, Any]) -> dict[str, Any]:
    found["reason"] = documents.sentence(found["reason"])
    return found


def one(result: Any, _: Mapping[str, Any]) -> Any:
    return {"ab_test": ab_test(result)}


def changed(result: Any, _: Mapping[str, Any]) -> Any:
    made = ab_test(result["ab_test"])
    return {"id": made["id"], "ab_test_id": made["id"], "status": made["status"], "ab_test": made}


def results(result: Any, _: Mapping[str, Any]) -> Any:
    """What was found, beside what is asked; of each side the name and the model of its deployment."""
    found = result.pop("results")
    for side in found["variants"]:
        deployment = side.pop("deployment")
        side |= {"deployment_name": deployment["name"], "model_id": deployment["model_id"]}
    return {"ab_test_id": result.pop("id"), **result, **found, "reason": documents.sentence(found["reason"])}


ROWS = (
    Endpoint(
        "GET",
        LIST,
        "ListAbTests",
        shapes.page_of(ab_test),
        paged=True,
        params=("status",),
        into={"project_id": "filter.projectId", "status": "filter.status"},
    ),
    Endpoint("POST", LIST, "CreateAbTest", changed, 201, body=CREATE),
    Endpoint("GET", ONE, "GetAbTest", one),
    Endpoint("DELETE", ONE, "DeleteAbTest", shapes.ok),
    Endpoint("POST", f"{ONE}/start", "StartAbTest", changed, body_optional=True),
    Endpoint("POST", f"{ONE}/stop", "StopAbTest", changed, body=("reason",), body_optional=True),
    Endpoint("POST", f"{ONE}/predict", "PredictAbTest", predicted, body=("inputs", "options"), warning=warning),
    Endpoint("POST", f"{ONE}/outcomes", "RecordAbTestOutcomes", recorded, body=("items",), many_rows=True),
    Endpoint("GET", f"{ONE}/results", "AbTestResults", results),
)
