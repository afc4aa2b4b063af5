"""The registry of models, and the gate before production (contract B.7)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint

PROJECT = "/api/mlops/projects/{project_id}"


def _registered(found: dict[str, Any]) -> dict[str, Any]:
    found["challenger_of"] = documents.maybe(found["challenger_of"], lambda deployment: deployment["id"])
    return documents.model(found)


def gate(result: Any, _: Mapping[str, Any]) -> Any:
    return {"promotion_gate": result}


def gate_set(result: Any, variables: Mapping[str, Any]) -> Any:
    return gate(result["promotion_gate"], variables)


ROWS = (
    Endpoint(
        "GET",
        f"{PROJECT}/registry",
        "ListRegistry",
        shapes.page_of(_registered),
        paged=True,
        params=("experiment_id", "is_production"),
        into={
            "project_id": "filter.projectId",
            "experiment_id": "filter.experimentId",
            "is_production": "filter.isProduction",
        },
    ),
    Endpoint("GET", f"{PROJECT}/promotion-gate", "GetPromotionGate", gate),
    Endpoint(
        "PUT",
        f"{PROJECT}/promotion-gate",
        "SetPromotionGate",
        gate_set,
        body=("metric", "max_loss", "max_drift", "replay_verdict", "replay_margin", "replay_max_age_days"),
        says_one_of=("metric", "max_drift", "replay_verdict"),
    ),
)
