"""What leaves a world: a webhook, and what was sent to it."""

from datetime import timedelta

from coreplex.errors.tree import Message
from coreplex.membership.table import Project
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import new_id
from coreplex.webhook.event_types import PING
from coreplex.webhook.table import Attempt, DeliveryStatus, Webhook, WebhookDelivery


async def add_webhook(session: WriteSession, project: Project) -> dict[str, str]:
    """A webhook to nowhere, and an event that nobody took."""
    webhook = Webhook(project_id=project.id, url="https://receiver.invalid/token", created_by=project.owner_id)
    session.add(webhook)
    await session.flush()
    delivery = delivery_of(webhook, 0)
    session.add(delivery)
    await session.flush()
    return {"webhook": str(webhook.id), "delivery": str(delivery.id)}


def delivery_of(webhook: Webhook, number: int) -> WebhookDelivery:
    """Of several, some are waiting and others have failed."""
    delivery = WebhookDelivery(
        project_id=webhook.project_id,
        webhook_id=webhook.id,
        event_id=new_id(),
        type=f"{PING}.{number}" if number else PING,
        subject=f"thing/{number}",
        data={"number": number},
        created_at=now() - timedelta(hours=number),
    )
    said = Message("webhook_refused", "It answered {status}.", status=500)
    delivery.note(Attempt(now(), 12, 500, said))
    if number % 2:
        delivery.wait(now() + timedelta(days=1 + number))
    else:
        delivery.end(DeliveryStatus.failed, said)
    return delivery
