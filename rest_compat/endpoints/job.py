"""`/api/jobs` (contract B.13)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import shapes
from rest_compat.endpoint import Endpoint

ROOT = "/api/jobs"
ONE = "/api/jobs/{job_id}"


def page(result: Any, variables: Mapping[str, Any]) -> Any:
    body = shapes.page(result, variables)
    return {**body, "items": [shapes.outcome(item) for item in body["items"]]}


def one(result: Any, _: Mapping[str, Any]) -> Any:
    return {"job": shapes.outcome(result)}


def changed(result: Any, _: Mapping[str, Any]) -> Any:
    return {"job": shapes.outcome(result["job"])}


ROWS = (
    Endpoint(
        "GET",
        ROOT,
        "ListJobs",
        page,
        paged=True,
        params=("project_id", "job_type", "status"),
        into={"project_id": "filter.projectId", "job_type": "filter.type", "status": "filter.status"},
        words={"status": shapes.OUTCOMES},
    ),
    Endpoint("GET", ONE, "GetJob", one),
    Endpoint("GET", f"{ONE}/logs", "JobLogs", shapes.named_page("logs"), paged=True),
    Endpoint("POST", f"{ONE}/cancel", "CancelJob", changed, body_optional=True),
)
