"""`/api/jobs` (contract B.13)."""

from rest_compat import shapes
from rest_compat.endpoint import Endpoint

ROOT = "/api/jobs"
ONE = "/api/jobs/{job_id}"


ROWS = (
    Endpoint(
        "GET",
        ROOT,
        "ListJobs",
        shapes.page,
        paged=True,
        params=("project_id", "job_type", "status"),
        into={"project_id": "filter.projectId", "job_type": "filter.type", "status": "filter.status"},
        words={"status": shapes.OUTCOMES},
    ),
    Endpoint("GET", ONE, "GetJob", shapes.named("job")),
    Endpoint("GET", f"{ONE}/logs", "JobLogs", shapes.named_page("logs"), paged=True),
    Endpoint("POST", f"{ONE}/cancel", "CancelJob", shapes.unwrapped("job"), body_optional=True),
)
