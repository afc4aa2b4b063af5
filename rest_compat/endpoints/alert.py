"""Alerts of `/api/mlops` (contract B.7)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

PROJECT = "/api/mlops/projects/{project_id}/alerts"
ONE = "/api/mlops/alerts/{alert_id}"
RULE = (
    "name",
    "threshold",
    "percentile",
    "metric",
    "basis",
    "window",
    "breaches_needed",
    "looks_counted",
    "min_requests",
    "is_mailed",
    "is_enabled",
)


def alert(found: dict[str, Any]) -> dict[str, Any]:
    """An alert, or an event of one: what there is to say is sentences."""
    for name in ("reason", "waiting_cost"):
        found[name] = documents.sentence(found[name])
    return found


def _made(result: Any, _: Mapping[str, Any]) -> Any:
    return {"id": result["alert"]["id"], "alert": alert(result["alert"])}


def _one(result: Any, _: Mapping[str, Any]) -> Any:
    return {"alert": alert(result)}


def _changed(result: Any, _: Mapping[str, Any]) -> Any:
    return {"alert": alert(result["alert"])}


ROWS = (
    Endpoint(
        "GET",
        PROJECT,
        "ListAlerts",
        shapes.page_of(alert),
        paged=True,
        params=("state", "kind", "deployment_id"),
        into={"state": "filter.state", "kind": "filter.kind", "deployment_id": "filter.deploymentId"},
    ),
    Endpoint("POST", PROJECT, "CreateAlert", _made, 201, body=("deployment_id", "kind", *RULE)),
    Endpoint("GET", ONE, "GetAlert", _one),
    Endpoint("PUT", ONE, "UpdateAlert", _changed, body=RULE),
    Endpoint("DELETE", ONE, "DeleteAlert", shapes.ok),
    Endpoint("POST", f"{ONE}/acknowledge", "AcknowledgeAlert", _changed),
    Endpoint("POST", f"{ONE}/mute", "MuteAlert", _changed, body=("until",), body_optional=True),
    Endpoint("GET", f"{ONE}/events", "ListAlertEvents", shapes.page_of(alert), paged=True),
)
