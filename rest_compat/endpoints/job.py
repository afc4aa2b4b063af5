"""`/api/jobs` (contract B.13)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

ROOT = "/api/jobs"
ONE = "/api/jobs/{job_id}"


def one(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.named("job")(documents.job(result), variables)


def changed(result: Any, variables: Mapping[str, Any]) -> Any:
    return one(result["job"], variables)


ROWS = (
    Endpoint(
        "GET",
        ROOT,
        "ListJobs",
        shapes.page_of(documents.job),
        paged=True,
        params=("project_id", "job_type", "status"),
        into={"project_id": "filter.projectId", "job_type": "filter.type", "status": "filter.status"},
        words={"status": shapes.OUTCOMES},
    ),
    Endpoint("GET", ONE, "GetJob", one),
    Endpoint("GET", f"{ONE}/logs", "JobLogs", shapes.named_page("logs"), paged=True),
    Endpoint("POST", f"{ONE}/cancel", "CancelJob", changed, body_optional=True),
)
