"""Replays of `/api/mlops`, which are ours alone."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

LIST = "/api/mlops/deployments/{deployment_id}/replays"
ONE = "/api/mlops/replays/{replay_id}"
CREATE = (
    "model_id",
    "window",
    "since",
    "until",
    "arm",
    "threshold",
    "is_strict",
    "slices",
    "margin",
    "confidence_level",
    "max_row_count",
)


def replay(found: dict[str, Any]) -> dict[str, Any]:
    """A replay: warnings are sentences."""
    found["warnings"] = documents.sentences(found["warnings"])
    return found


def asked(result: Any, _: Mapping[str, Any]) -> Any:
    """The new replay: its id twice, its job, itself."""
    made = shapes.outcome(replay(result["replay"]))
    return {"id": made["id"], "replay_id": made["id"], "job_id": made["job_id"], "status": made["status"], "replay": made}


def one(result: Any, variables: Mapping[str, Any]) -> Any:
    return shapes.named("replay")(replay(result), variables)


ROWS = (
    Endpoint(
        "GET",
        LIST,
        "ListReplays",
        shapes.page_of(replay),
        paged=True,
        params=("status", "verdict", "model_id"),
        into={"status": "filter.status", "verdict": "filter.verdict", "model_id": "filter.modelId"},
        words={"status": shapes.OUTCOMES},
    ),
    Endpoint("POST", LIST, "CreateReplay", asked, 202, body=CREATE),
    Endpoint("GET", ONE, "GetReplay", one),
    Endpoint("DELETE", ONE, "DeleteReplay", shapes.ok),
)
