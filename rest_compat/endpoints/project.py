"""`/api/projects` (contract B.2)."""

from rest_compat import shapes
from rest_compat.endpoint import Endpoint

ROOT = "/api/projects"
ONE = "/api/projects/{project_id}"

ROWS = (
    Endpoint("GET", ROOT, "ListProjects", shapes.page, paged=True),
    Endpoint("POST", ROOT, "CreateProject", shapes.created("project", "warnings"), 201, body=("name", "description")),
    Endpoint("GET", ONE, "GetProject", shapes.named("project")),
    Endpoint("PUT", ONE, "UpdateProject", shapes.unwrapped("project"), body=("name", "description")),
    Endpoint("DELETE", ONE, "DeleteProject", shapes.ok, params=("force",), into={"project_id": "input.id"}),
    Endpoint("GET", f"{ONE}/members", "ListMembers", shapes.page, paged=True),
    Endpoint("POST", f"{ONE}/members", "AddMember", shapes.created("member"), 201, body=("email", "role")),
    Endpoint("DELETE", f"{ONE}/members/{{member_id}}", "RemoveMember", shapes.ok),
    Endpoint("GET", f"{ONE}/timeline", "ProjectTimeline", shapes.named_page("events"), paged=True),
)
