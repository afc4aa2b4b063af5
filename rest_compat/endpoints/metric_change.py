"""Why metrics changed, in `/api/mlops`, which is ours alone."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

LIST = "/api/mlops/deployments/{deployment_id}/metric-changes"
ONE = "/api/mlops/metric-changes/{metric_change_id}"
CREATE = ("metric", "basis", "window", "since", "until", "baseline_window", "baseline_since", "baseline_until")


def metric_change(found: dict[str, Any]) -> dict[str, Any]:
    """An explanation: warnings are sentences."""
    found["warnings"] = documents.sentences(found["warnings"])
    return found


def asked(result: Any, _: Mapping[str, Any]) -> Any:
    """The new explanation: its id twice, its job, itself."""
    made = shapes.outcome(metric_change(result["change"]))
    ids = {"id": made["id"], "metric_change_id": made["id"], "job_id": made["job_id"]}
    return {**ids, "status": made["status"], "metric_change": made}


def one(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.named("metric_change")(metric_change(result), variables)


ROWS = (
    Endpoint(
        "GET",
        LIST,
        "ListMetricChanges",
        shapes.page_of(metric_change),
        paged=True,
        params=("status",),
        into={"status": "filter.status"},
        words={"status": shapes.OUTCOMES},
    ),
    Endpoint("POST", LIST, "CreateMetricChange", asked, 202, body=CREATE),
    Endpoint("GET", ONE, "GetMetricChange", one),
    Endpoint("DELETE", ONE, "DeleteMetricChange", shapes.ok),
)
