"""Webhooks of `/api/mlops`."""

from typing import Any

from rest_compat import documents, shapes
from rest_compat.endpoint import Endpoint
from rest_compat.whole import Whole

PROJECT = "/api/mlops/projects/{project_id}/webhooks"
ONE = "/api/mlops/webhooks/{webhook_id}"
DELIVERY = "/api/mlops/webhook-deliveries/{delivery_id}"
TYPES = Whole("the name and the description", ("name", "description"), ("name",))


def webhook(found: dict[str, Any]) -> dict[str, Any]:
    """A webhook: why the server disabled it is a sentence."""
    found["disabled_reason"] = documents.sentence(found["disabled_reason"])
    return found


def delivery(found: dict[str, Any]) -> dict[str, Any]:
    """A delivery: what was wrong with an attempt is a sentence."""
    for attempt in found["attempts"]:
        attempt["error"] = documents.sentence(attempt["error"])
    return found


def _with_secret(result: Any, _: Any) -> Any:
    return {"id": result["webhook"]["id"], "webhook": webhook(result["webhook"]), "secret": result["secret"]}


def _webhook(result: Any, _: Any) -> Any:
    return {"webhook": webhook(result)}


def _changed(result: Any, _: Any) -> Any:
    return {"webhook": webhook(result["webhook"])}


def _delivery(result: Any, _: Any) -> Any:
    return {"delivery": shapes.outcome(delivery(result))}


def _to_be_sent(result: Any, _: Any) -> Any:
    made = shapes.outcome(delivery(result["delivery"]))
    return {"id": made["id"], "status": made["status"], "delivery": made}


def _types(result: Any, _: Any) -> Any:
    return {"items": result, "total": len(result), "limit": len(result), "offset": 0}


SAID = ("url", "description", "event_types", "is_enabled")
ROWS = (
    Endpoint("GET", PROJECT, "ListWebhooks", shapes.page_of(webhook), paged=True),
    Endpoint("POST", PROJECT, "CreateWebhook", _with_secret, 201, body=SAID),
    Endpoint("GET", ONE, "GetWebhook", _webhook),
    Endpoint("PUT", ONE, "UpdateWebhook", _changed, body=SAID),
    Endpoint("DELETE", ONE, "DeleteWebhook", shapes.ok),
    Endpoint("POST", f"{ONE}/rotate-secret", "RotateWebhookSecret", _with_secret),
    Endpoint("POST", f"{ONE}/test", "TestWebhook", _to_be_sent, 202),
    Endpoint(
        "GET",
        f"{ONE}/deliveries",
        "ListWebhookDeliveries",
        shapes.page_of(delivery),
        paged=True,
        params=("status", "type"),
        into={"status": "filter.status", "type": "filter.type"},
    ),
    Endpoint("GET", DELIVERY, "GetWebhookDelivery", _delivery),
    Endpoint("POST", f"{DELIVERY}/replay", "ReplayWebhookDelivery", _to_be_sent, 202),
    Endpoint("GET", "/api/mlops/webhook-event-types", "ListWebhookEventTypes", _types, whole=TYPES),
)
