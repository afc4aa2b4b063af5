"""What leaves a world: a webhook, and what was sent to it; an alert, and what became of it."""

from datetime import timedelta
from uuid import UUID

from coreplex.alert.table import Alert, AlertEvent, AlertKind, AlertState
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


async def add_alert(session: WriteSession, project: Project, deployment_id: UUID) -> dict[str, str]:
    """An alert that fires, and when it began to."""
    alert = alert_of(project.id, deployment_id, 0)
    session.add(alert)
    await session.flush()
    event = event_of(alert, 0)
    session.add(event)
    return {"alert": str(alert.id), "alert_event": str(event.id)}


def alert_of(project_id: UUID, deployment_id: UUID, number: int) -> Alert:
    return Alert(
        project_id=project_id,
        deployment_id=deployment_id,
        name=f"Alert {number}",
        kind=AlertKind.error_rate,
        threshold=0.05,
        window_secs=300,
        breaches_needed=2,
        looks_counted=3,
        min_requests=20,
        state=AlertState.firing,
        reason=Message("broke", f"It broke {number}"),
        next_look_at=now() + timedelta(days=1),
        created_at=now() - timedelta(hours=number),
        changed_at=now() - timedelta(hours=number),
    )


def event_of(alert: Alert, number: int) -> AlertEvent:
    moment = now() - timedelta(hours=number)
    said = Message("broke", f"It broke {number}")
    return AlertEvent(
        project_id=alert.project_id, alert_id=alert.id, state=AlertState.firing, reason=said, value=1.0, created_at=moment
    )
