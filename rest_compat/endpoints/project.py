"""`/api/projects` (contract B.2)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

ROOT = "/api/projects"
ONE = "/api/projects/{project_id}"


def _member(found: Mapping[str, Any]) -> dict[str, Any]:
    """A membership with the person's e-mail and name beside it."""
    person = found["user"]
    first = {"id": found["id"], "user_id": found["user_id"], "email": person["email"], "name": person["name"]}
    return {**first, "role": found["role"], "created_at": found["created_at"]}


def _members(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.page({**result, "items": [_member(one) for one in result["items"]]}, variables)


def _new_member(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.created("member")({"member": _member(result["member"])}, variables)


def _new(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.created("project", "warnings")({**result, "warnings": documents.sentences(result["warnings"])}, variables)


ROWS = (
    Endpoint("GET", ROOT, "ListProjects", shapes.page, paged=True),
    Endpoint("POST", ROOT, "CreateProject", _new, 201, body=("name", "description")),
    Endpoint("GET", ONE, "GetProject", shapes.named("project")),
    Endpoint("PUT", ONE, "UpdateProject", shapes.unwrapped("project"), body=("name", "description")),
    Endpoint("DELETE", ONE, "DeleteProject", shapes.ok, params=("force",)),
    Endpoint("GET", f"{ONE}/members", "ListMembers", _members, paged=True),
    Endpoint("POST", f"{ONE}/members", "AddMember", _new_member, 201, body=("email", "role")),
    Endpoint("DELETE", f"{ONE}/members/{{member_id}}", "RemoveMember", shapes.ok),
    Endpoint("GET", f"{ONE}/timeline", "ProjectTimeline", shapes.named_page("events"), paged=True),
)
