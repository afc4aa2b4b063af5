"""Sends what is due to one webhook, one after the other: the handler of `webhook_send` jobs.

A job is a doorbell. Of those that ring at the same webhook one sends; the others leave, and it sees what they rang for, because
it stops only under the lock under which it finds nothing due. So a receiver that hangs costs the workers one place.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from time import perf_counter
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlmodel import col

from coreplex.errors.tree import Message
from coreplex.event import service as event
from coreplex.job.context import JobContext
from coreplex.job.lifecycle import JobStatus
from coreplex.job.table import Job
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.egress import Egress, NoAnswer
from coreplex.platform.public_address import networks
from coreplex.webhook import outbox
from coreplex.webhook.signing import envelope, headers, secrets_of
from coreplex.webhook.table import Attempt, DeliveryStatus, Webhook, WebhookDelivery

GONE = 410
REST, MOST_REST = timedelta(seconds=30), timedelta(minutes=10)
"""For a receiver that did not answer at all: as long as nothing has arrived, within these."""
GIVEN_UP = timedelta(days=5)
"""Of failures without a success between them: nothing more is sent."""


@dataclass(frozen=True)
class Due:
    """What is sent next."""

    webhook: Webhook
    delivery: WebhookDelivery


async def run(job: Job, context: JobContext) -> dict[str, Any]:
    """Send all that is due to the webhook the job names; the answer counts what was tried."""
    assert job.entity_id is not None
    attempt: Attempt | None = None
    due, tried = None, 0
    client = Egress(networks(context.settings.webhook_allowed_networks))
    while (due := await context.save(partial(_next, job.entity_id, job.id, due, attempt))) is not None:
        attempt = await _attempt(client, context, due)
        tried += 1
    return {"attempts": tried}


async def _next(webhook_id: UUID, job_id: UUID, before: Due | None, attempt: Attempt | None, session: WriteSession) -> Due | None:
    """Note what came of the delivery before; then the one that has been due for longest. None when there is none, or it is
    another job's to send."""
    webhook = await _held(session, webhook_id)
    if webhook is None:
        return None
    if before is not None and attempt is not None:
        await _noted(session, webhook, before.delivery.id, attempt)
    if await _is_another(session, webhook.sender_id, job_id):
        return None
    delivery = await _due(session, webhook)
    webhook.sender_id = None if delivery is None else job_id
    return None if delivery is None else Due(webhook, delivery)


async def _due(session: WriteSession, webhook: Webhook) -> WebhookDelivery | None:
    time = await outbox.clock(session)
    if not webhook.is_enabled or (webhook.rests_until is not None and webhook.rests_until > time):
        return None
    due = (col(WebhookDelivery.status) == DeliveryStatus.waiting, col(WebhookDelivery.next_attempt_at) <= time)
    query = select(WebhookDelivery).where(col(WebhookDelivery.webhook_id) == webhook.id, *due)
    return await session.scalar(query.order_by(col(WebhookDelivery.next_attempt_at), col(WebhookDelivery.id)).limit(1))


async def _attempt(client: Egress, context: JobContext, due: Due) -> Attempt:
    at, began = now(), perf_counter()
    body = envelope(context.settings, due.delivery)
    said = headers(secrets_of(context.settings, due.webhook), due.delivery, body, at)
    status, error = None, None
    try:
        status = await client.post(due.webhook.url, said, body)
        error = _trouble(status)
    except NoAnswer as trouble:
        error = trouble.message
    return Attempt(at, round(1000 * (perf_counter() - began)), status, error)


def _trouble(status: int) -> Message | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return Message("webhook_redirected", "It answered {status}; redirects are not followed.", status=status)
    return Message("webhook_refused", "It answered {status}.", status=status)


async def _noted(session: WriteSession, webhook: Webhook, delivery_id: UUID, attempt: Attempt) -> None:
    """What came of an attempt, and what follows from that; the delivery may be gone."""
    delivery = await session.get(WebhookDelivery, delivery_id)
    if delivery is None:
        return
    delivery.note(attempt)
    if attempt.error is None:
        delivery.end(DeliveryStatus.delivered)
        webhook.failing_since = None
        return
    webhook.failing_since = webhook.failing_since or attempt.at
    await _again(session, webhook, delivery, attempt)
    if attempt.status_code == GONE:
        await _disable(session, webhook, Message("webhook_gone", "It answered 410: it wants nothing more."))
    elif now() - webhook.failing_since > GIVEN_UP and webhook.is_enabled:
        given_up = Message("webhook_given_up", "Nothing has arrived for {days} days.", days=GIVEN_UP.days)
        await _disable(session, webhook, given_up)


async def _again(session: WriteSession, webhook: Webhook, delivery: WebhookDelivery, attempt: Attempt) -> None:
    """The next attempt by the schedule, if there is one, and if nobody has disabled the webhook meanwhile."""
    time = await outbox.clock(session)
    if attempt.status_code is None:
        rest = min(max(attempt.at - (webhook.failing_since or attempt.at), REST), MOST_REST)
        webhook.rests_until = time + rest
        await outbox.ring_later(session, webhook.id, rest)
    pause = outbox.pause_after(delivery.tries)
    if pause is None or delivery.status is not DeliveryStatus.waiting:
        delivery.end(DeliveryStatus.failed, attempt.error)
        return
    delivery.wait(time + pause)
    await outbox.ring_later(session, webhook.id, pause)


async def _disable(session: WriteSession, webhook: Webhook, reason: Message) -> None:
    """Send nothing more, and say so in the timeline."""
    webhook.is_enabled, webhook.disabled_reason, webhook.updated_at = False, reason, now()
    await session.flush()
    await outbox.drop_waiting(session, webhook.id, reason)
    await event.audit(session, None, webhook, "webhook.disabled", f"The webhook to {webhook.host} was disabled. {reason}")


async def _held(session: WriteSession, webhook_id: UUID) -> Webhook | None:
    # Not a full lock: events are sent to it meanwhile, by rows that refer to it.
    return await session.get(Webhook, webhook_id, populate_existing=True, with_for_update={"key_share": True})


async def _is_another(session: ReadSession, sender_id: UUID | None, job_id: UUID) -> bool:
    """Whether a job that is not this one sends at the moment, and lives."""
    if sender_id is None or sender_id == job_id:
        return False
    alive = exists().where(
        col(Job.id) == sender_id, col(Job.status) == JobStatus.running, col(Job.lease_until) > func.clock_timestamp()
    )
    return bool(await session.scalar(select(alive)))
