"""What waits to be sent, and when: the rows of deliveries, and the jobs that ring for them."""

import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, or_, select, update
from sqlmodel import col

from coreplex.errors.tree import Message
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.identifier import new_id
from coreplex.webhook import event_types
from coreplex.webhook.table import DeliveryStatus, Webhook, WebhookDelivery

ENTITY = "webhook"
SEND = "webhook_send"
"""The kind of job that sends what is due to one webhook (`coreplex.webhook.jobs`)."""
SCHEDULE = tuple(
    timedelta(**{unit: amount})
    for unit, amount in (
        *(("seconds", 5), ("minutes", 1), ("minutes", 5), ("minutes", 30)),
        *(("hours", 2), ("hours", 5), ("hours", 10), ("hours", 14), ("hours", 20), ("hours", 24)),
    )
)
"""Before each further attempt: eleven within three days."""
IN_WORDS = "5 seconds, 1 minute, 5 minutes, 30 minutes, 2, 5, 10, 14, 20 and 24 hours"
JITTER = 0.2
"""A pause is longer by up to this share of it, so that what failed together does not come back together."""
MISSED = timedelta(minutes=1)
MOST_AT_ONCE = 500


async def send(session: WriteSession, project_id: UUID, type: str, data: dict[str, Any], *, subject: str = "") -> int:
    """Tell the webhooks of a project that want to know, in the caller's transaction; returns how many.

    `type` is one that was declared (`event_types`), `subject` what it is about within the project (`deployment/<id>`), `data`
    the event's own JSON. Raises LookupError for another type.
    """
    if not event_types.is_known(type):
        raise LookupError(f"no concept declares the type of event `{type}`")
    types: Any = col(Webhook.event_types)
    wanted = or_(func.jsonb_array_length(types) == 0, types.contains([type]))
    query = select(col(Webhook.id)).where(col(Webhook.project_id) == project_id, col(Webhook.is_enabled), wanted)
    # Who deletes one of them meanwhile waits: a row that refers to nothing would end the caller's transaction.
    found = (await session.scalars(query.order_by(col(Webhook.id)).with_for_update(read=True, key_share=True))).all()
    event_id = new_id()
    for webhook_id in found:
        await put(session, project_id, webhook_id, event_id, type, data, subject)
    return len(found)


async def put(
    session: WriteSession, project_id: UUID, webhook_id: UUID, event_id: UUID, type: str, data: dict[str, Any], subject: str = ""
) -> WebhookDelivery:
    """One delivery, to be sent at once."""
    delivery = WebhookDelivery(
        project_id=project_id, webhook_id=webhook_id, event_id=event_id, type=type, subject=subject, data=data
    )
    delivery.wait(await clock(session))
    session.add(delivery)
    await session.flush()
    await ring(session, webhook_id)
    return delivery


async def ring(session: WriteSession, webhook_id: UUID) -> None:
    """A job that sends what is due now."""
    await job.enqueue_once(session, SEND, entity_type=ENTITY, entity_id=webhook_id)


async def ring_later(session: WriteSession, webhook_id: UUID, delay: timedelta) -> None:
    """A job that sends what is due then."""
    await job.enqueue(session, SEND, entity_type=ENTITY, entity_id=webhook_id, delay=delay)


async def ring_for_missed(session: WriteSession) -> int:
    """Jobs for webhooks that have something due and no job: theirs was given up. Returns how many."""
    due = (
        col(WebhookDelivery.status) == DeliveryStatus.waiting,
        col(WebhookDelivery.next_attempt_at) < func.clock_timestamp() - MISSED,
    )
    rung = exists().where(
        col(Job.entity_type) == ENTITY,
        col(Job.entity_id) == col(Webhook.id),
        col(Job.status).in_([JobStatus.queued, JobStatus.running]),
    )
    waiting = exists().where(col(WebhookDelivery.webhook_id) == col(Webhook.id), *due)
    found = (await session.scalars(select(col(Webhook.id)).where(waiting, ~rung).limit(MOST_AT_ONCE))).all()
    for webhook_id in found:
        await ring(session, webhook_id)
    return len(found)


def pause_after(tries: int) -> timedelta | None:
    """Before the next attempt, after so many; None when that was the last."""
    return SCHEDULE[tries - 1] * (1 + random.random() * JITTER) if tries <= len(SCHEDULE) else None


async def drop_waiting(session: WriteSession, webhook_id: UUID, reason: Message) -> None:
    """What waits for a webhook has failed, until somebody sends it again."""
    of_it = (col(WebhookDelivery.webhook_id) == webhook_id, col(WebhookDelivery.status) == DeliveryStatus.waiting)
    ended = {"status": DeliveryStatus.failed, "error": reason, "next_attempt_at": None, "finished_at": now()}
    await session.execute(update(WebhookDelivery).where(*of_it).values(ended))


async def clock(session: ReadSession) -> datetime:
    """The database's time, by which jobs ring: another clock would be early or late for them."""
    return (await session.execute(select(func.clock_timestamp()))).scalar_one()
