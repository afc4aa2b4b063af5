"""What can be done with webhooks. What is sent to them stands in `outbox`, how in `sending`."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.errors.tree import Conflict, Invalid, Message, NotFound, QuotaExceeded
from coreplex.event import service as event
from coreplex.membership import quota
from coreplex.membership.access import open_project, open_row, visible_projects
from coreplex.membership.table import Project
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.filtering import flag, moments, one_of, words
from coreplex.platform.identifier import new_id
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.public_address import may_go_to, networks, target_of
from coreplex.platform.settings import Settings
from coreplex.webhook import outbox
from coreplex.webhook.event_types import PING
from coreplex.webhook.inputs import (
    CreateWebhook,
    DeleteWebhook,
    ReplayWebhookDelivery,
    RotateWebhookSecret,
    TestWebhook,
    UpdateWebhook,
)
from coreplex.webhook.signing import secret_of, spelled
from coreplex.webhook.table import MOST_WEBHOOKS, DeliveryStatus, Webhook, WebhookDelivery, new_salt

NOUN = "Webhook"
DELIVERY = "Delivery"
DISABLED = Message("webhook_disabled", "The webhook was disabled.")
WEBHOOKS = Listing(
    noun="Webhook",
    query=select(Webhook),
    identity=col(Webhook.id),
    order=Order({"created_at": col(Webhook.created_at), "updated_at": col(Webhook.updated_at)}),
    search=Search("the description", (col(Webhook.description),)),
    filters={
        "is_enabled": flag(col(Webhook.is_enabled), "Whether events are sent to them."),
        "created_at": moments(col(Webhook.created_at), "By when they were made."),
    },
    visible=lambda grant: col(Webhook.project_id).in_(visible_projects(grant)),
    parent=col(Webhook.project_id),
)
"""Webhooks of a project, newest first. Nothing searches URLs: who may not read one would learn it letter by letter."""
DELIVERIES = Listing(
    noun="WebhookDelivery",
    query=select(WebhookDelivery),
    identity=col(WebhookDelivery.id),
    order=Order({"created_at": col(WebhookDelivery.created_at), "next_attempt_at": col(WebhookDelivery.next_attempt_at)}),
    search=Search("the type and the subject", (col(WebhookDelivery.type), col(WebhookDelivery.subject))),
    filters={
        "status": one_of(col(WebhookDelivery.status), DeliveryStatus, "Only those in one of these states."),
        "type": words(col(WebhookDelivery.type), "Only events of these types."),
        "created_at": moments(col(WebhookDelivery.created_at), "By when the event happened."),
    },
    visible=lambda grant: col(WebhookDelivery.project_id).in_(visible_projects(grant)),
    parent=col(WebhookDelivery.webhook_id),
)
"""What was sent to a webhook, newest first."""


async def create(session: WriteSession, grant: Grant, wanted: CreateWebhook, settings: Settings) -> tuple[Webhook, str]:
    """A webhook, and its secret, which is shown now and never again. Raises Invalid, QuotaExceeded."""
    project = await open_project(session, grant, wanted.project_id)
    _require_public(wanted.url, settings)
    await _take_place(session, project.id)
    row = Webhook(**wanted.model_dump(exclude={"project_id"}), project_id=project.id, created_by=grant.user_id)
    session.add(row)
    await session.flush()
    await event.audit(session, grant.user_id, row, "webhook.created", f"A webhook to {row.host} was made.")
    return row, spelled(secret_of(settings, row.id, row.salt))


async def update(session: WriteSession, grant: Grant, wanted: UpdateWebhook, settings: Settings) -> Webhook:
    """Change what is said of it. Enabled again it begins anew. Raises Invalid."""
    row = await _opened(session, grant, wanted.webhook_id)
    changes = wanted.model_dump(exclude={"webhook_id"}, exclude_none=True)
    if "url" in changes:
        _require_public(wanted.url or "", settings)
    row.sqlmodel_update({**changes, "updated_at": now()})
    if wanted.is_enabled or wanted.url:
        row.failing_since = row.rests_until = None
    if wanted.is_enabled:
        row.disabled_reason = None
    if wanted.is_enabled is False:
        await outbox.drop_waiting(session, row.id, DISABLED)
    await event.audit(session, grant.user_id, row, "webhook.updated", f"The webhook to {row.host} was changed.")
    return row


async def rotate(session: WriteSession, grant: Grant, wanted: RotateWebhookSecret, settings: Settings) -> tuple[Webhook, str]:
    """A new secret; the one before signs too for a day, and one before that no more."""
    row = await _opened(session, grant, wanted.webhook_id)
    row.previous_salt, row.salt, row.rotated_at = row.salt, new_salt(), now()
    row.updated_at = row.rotated_at
    await event.audit(session, grant.user_id, row, "webhook.secret_rotated", f"The webhook to {row.host} has a new secret.")
    return row, spelled(secret_of(settings, row.id, row.salt))


async def delete(session: WriteSession, grant: Grant, wanted: DeleteWebhook) -> tuple[UUID, UUID]:
    """Remove a webhook and all that was to be sent to it; its id, and that of its project."""
    row = await _opened(session, grant, wanted.webhook_id)
    await event.audit(session, grant.user_id, row, "webhook.deleted", f"The webhook to {row.host} was deleted.")
    await session.delete(row)
    return row.id, row.project_id


async def test(session: WriteSession, grant: Grant, wanted: TestWebhook) -> WebhookDelivery:
    """Send a `ping`, whatever it is told of. Raises Conflict for a webhook that is disabled."""
    row = await _opened(session, grant, wanted.webhook_id)
    _require_enabled(row)
    return await outbox.put(session, row.project_id, row.id, new_id(), PING, {"webhook_id": str(row.id)})


async def replay(session: WriteSession, grant: Grant, wanted: ReplayWebhookDelivery) -> WebhookDelivery:
    """Send a delivery again, at once and under the id it had; the schedule begins anew. Raises Conflict."""
    found = await open_row(session, grant, WebhookDelivery, wanted.delivery_id, DELIVERY)
    webhook = await _locked(session, found.webhook_id)
    _require_enabled(webhook)
    delivery = await session.get(WebhookDelivery, found.id, populate_existing=True)
    if delivery is None:  # it was too old
        raise NotFound.of(DELIVERY)
    delivery.wait(await outbox.clock(session))
    delivery.tries = 0
    webhook.rests_until = None
    await session.flush()
    await outbox.ring(session, webhook.id)
    return delivery


def _require_public(url: str, settings: Settings) -> None:
    """Raise Invalid for an address that nothing is sent to; what a name leads to is asked each time something is sent."""
    target = target_of(url)
    address = target.literal
    if address is not None and not may_go_to(address, networks(settings.webhook_allowed_networks)):
        raise Invalid.field(
            Message(
                "url_not_public",
                "leads to {host}, which is no public address; the server's administrator opens networks with "
                "WEBHOOK_ALLOWED_NETWORKS",
                host=target.host,
            ),
            "url",
        )


def _require_enabled(row: Webhook) -> None:
    if not row.is_enabled:
        raise Conflict(Message("webhook_is_disabled", "Nothing is sent to this webhook: it is disabled. Enable it first."))


async def _opened(session: WriteSession, grant: Grant, webhook_id: str) -> Webhook:
    """The webhook, held."""
    return await _locked(session, (await open_row(session, grant, Webhook, webhook_id, NOUN)).id)


async def _locked(session: WriteSession, webhook_id: UUID) -> Webhook:
    # Not a full lock: events are sent to it meanwhile, by rows that refer to it.
    row: Any = await session.get(Webhook, webhook_id, populate_existing=True, with_for_update={"key_share": True})
    if row is None:
        raise NotFound.of(NOUN)
    return row


async def _take_place(session: WriteSession, project_id: UUID) -> None:
    """A place for one more webhook in the project. Raises QuotaExceeded."""
    await session.execute(select(col(Project.id)).where(col(Project.id) == project_id).with_for_update(key_share=True))
    if await quota.count(session, select(func.count()).where(col(Webhook.project_id) == project_id)) >= MOST_WEBHOOKS:
        raise QuotaExceeded(
            Message(
                "too_many_webhooks",
                "This project has {most} webhooks, the most there may be. Delete one first.",
                most=MOST_WEBHOOKS,
            )
        )
