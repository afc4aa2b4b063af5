"""What is sent: the event in CloudEvents' envelope, signed as Standard Webhooks has it.

CloudEvents 1.0.2, JSON format, structured mode of its HTTP binding; Standard Webhooks 1.0, symmetric signatures (`v1`).
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import orjson

from coreplex.platform.server_key import derived
from coreplex.platform.settings import Settings
from coreplex.platform.version import server_version
from coreplex.webhook.table import Webhook, WebhookDelivery

PREFIX = "whsec_"
PURPOSE = "webhook"
MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"


def secret_of(settings: Settings, webhook_id: UUID, salt: bytes) -> bytes:
    return derived(settings, PURPOSE, webhook_id.bytes + salt)


def spelled(secret: bytes) -> str:
    """A secret as people and libraries take it."""
    return PREFIX + base64.b64encode(secret).decode()


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    signed = hmac.digest(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(signed).decode()


def envelope(settings: Settings, delivery: WebhookDelivery) -> bytes:
    """The event as a CloudEvent, the same bytes at each attempt."""
    event = {
        "specversion": "1.0",
        "id": str(delivery.event_id),
        "source": f"{settings.base_url}/api/projects/{delivery.project_id}",
        "type": delivery.type,
        "time": delivery.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **({"subject": delivery.subject} if delivery.subject else {}),
        "datacontenttype": "application/json",
        "data": delivery.data,
    }
    return orjson.dumps(event)


def headers(secrets: Sequence[bytes], delivery: WebhookDelivery, body: bytes, at: datetime) -> dict[str, str]:
    """Signed by every secret that is good at the moment."""
    message_id, timestamp = str(delivery.event_id), int(at.timestamp())
    return {
        "content-type": MEDIA_TYPE,
        "user-agent": f"coreplexml-server/{server_version()}",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(one, message_id, timestamp, body) for one in secrets),
    }


def secrets_of(settings: Settings, webhook: Webhook) -> Sequence[bytes]:
    """Those that sign now, the newest first."""
    return [secret_of(settings, webhook.id, salt) for salt in webhook.salts]
