"""What came out of answers: `…/feedback` (contract B.7)."""

from collections.abc import Mapping
from typing import Any

from rest_compat import documents
from rest_compat.endpoint import Endpoint


def recorded(result: Any, _: Mapping[str, Any]) -> Any:
    for one in result["refused"]:
        one["reason"] = documents.sentence(one["reason"])
    return result


ROWS = (
    Endpoint(
        "POST",
        "/api/mlops/deployments/{deployment_id}/feedback",
        "RecordOutcomes",
        recorded,
        body=("items",),
        many_rows=True,
    ),
)
