"""Canaries and shadows of `/api/mlops` (contract B.7)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

ONE = "/api/mlops/deployments/{deployment_id}"
STEPS = ("steps", "min_row_count", "min_secs", "auto_advance")
PAIR = ("candidate_deployment_id", "candidate_model_id")


def rollout(found: dict[str, Any]) -> dict[str, Any]:
    for name in ("reason", "step_lacks"):
        found[name] = documents.sentence(found[name])
    return found


def under(name: str) -> Any:
    """The rollout under the word that is in the path."""

    def shape(result: Any, _: Mapping[str, Any]) -> Any:
        made = rollout(result["rollout"])
        return {"id": made["id"], "status": made["status"], name: made}

    return shape


def found(name: str) -> Any:
    """The same of a query; null where there is none."""

    def shape(result: Any, _: Mapping[str, Any]) -> Any:
        return {name: documents.maybe(result, rollout)}

    return shape


ROWS = (
    Endpoint("GET", f"{ONE}/canary", "GetCanary", found("canary")),
    Endpoint(
        "POST",
        f"{ONE}/canary",
        "StartCanary",
        under("canary"),
        201,
        body=(*PAIR, *STEPS, "max_error_increase", "max_loss_increase", "confidence_level", "override_reason"),
        body_optional=True,
    ),
    Endpoint(
        "POST",
        f"{ONE}/canary/advance",
        "AdvanceCanary",
        under("canary"),
        body=("force", "from_percent", "reason", "override_reason"),
        body_optional=True,
    ),
    Endpoint("POST", f"{ONE}/canary/abort", "AbortCanary", under("canary"), body=("reason",), body_optional=True),
    Endpoint("GET", f"{ONE}/shadow", "GetShadow", found("shadow")),
    Endpoint("POST", f"{ONE}/shadow", "StartShadow", under("shadow"), 201, body=(*PAIR, "percent"), body_optional=True),
    Endpoint("POST", f"{ONE}/shadow/stop", "StopShadow", under("shadow"), body=("reason",), body_optional=True),
    Endpoint(
        "GET",
        "/api/mlops/projects/{project_id}/rollouts",
        "ListRollouts",
        shapes.page_of(rollout),
        paged=True,
        params=("kind", "status"),
        into={"project_id": "filter.projectId", "kind": "filter.kind", "status": "filter.status"},
    ),
)
