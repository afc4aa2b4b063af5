"""Webhooks in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.platform.permissions import READ, WRITE, Permission, Role, Scope
from coreplex.webhook import event_types, inputs, outbox, sending, service
from coreplex.webhook.table import BOTH_SIGN, MOST_ATTEMPTS_KEPT, MOST_WEBHOOKS, DeliveryStatus
from coreplex.webhook.table import Webhook as Row
from coreplex.webhook.table import WebhookDelivery as Delivery
from resolvers.context import Info
from resolvers.project import own_roles
from schema.common import published
from schema.cost import PRICE, Price
from schema.deleted import DeletedFromProjectPayload
from schema.enums import enum
from schema.field import command, computed, guarded, loaded, row
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, nested
from schema.scalars import JSON
from schema.secret import secret

END = Permission(Scope.write, Role.editor, archived=True)
HOURS = f"{BOTH_SIGN.total_seconds() / 3600:.0f}"

enum(
    DeliveryStatus,
    "What became of an event on its way to a webhook.",
    {
        "waiting": "It is to be sent, for the first time or again.",
        "delivered": "It was answered with 2xx.",
        "failed": "Nothing more is tried, unless somebody replays it; `error` says why.",
    },
    "WebhookDeliveryStatus",
)
published(inputs.CreateWebhook, "CreateWebhookInput", "A new webhook.")
published(inputs.UpdateWebhook, "UpdateWebhookInput", "What changes in a webhook.")
published(inputs.RotateWebhookSecret, "RotateWebhookSecretInput", "A webhook that is to have another secret.")
published(inputs.DeleteWebhook, "DeleteWebhookInput", "A webhook to remove.")
published(inputs.TestWebhook, "TestWebhookInput", "A webhook to try.")
published(inputs.ReplayWebhookDelivery, "ReplayWebhookDeliveryInput", "A delivery to send again.")


def _url(role: Any, webhook: Row) -> str | None:
    return webhook.url if role is not None and role.covers(Role.editor) else None


@strawberry.type(description="Something a webhook can be told of.")
class WebhookEventType:
    name: str = strawberry.field(description="The `type` of its events.")
    description: str = strawberry.field(description="When it happens.")


@strawberry.type(description="One request to a webhook, and what came of it.")
class WebhookAttempt:
    at: datetime = strawberry.field(description="When it was sent.")
    duration_ms: int = strawberry.field(description="Milliseconds until it had been answered, or given up.")
    status_code: int | None = strawberry.field(description="Status of the answer; null when there was none.")
    error: Notice | None = strawberry.field(
        graphql_type=Notice | None, description="Why it was no success; what the receiver wrote is kept nowhere."
    )


@node(Delivery)
@strawberry.type(
    description="An event on its way to a webhook: a POST of a CloudEvent (1.0, JSON), signed as Standard Webhooks has it. 2xx "
    f"is success. Otherwise it is sent again after {outbox.IN_WORDS}, each up to a fifth longer; after that, or by 410, it has "
    "failed."
)
class WebhookDelivery:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    webhook_id: strawberry.ID = strawberry.field(description="Identifier of the webhook.")
    webhook: Any = owner("Webhook", "webhook_id", "The webhook.")
    event_id: strawberry.ID = strawberry.field(
        description="The header `webhook-id` and the CloudEvent's `id`: the same at each attempt and for each webhook of the "
        "project, so that a receiver knows what it has had."
    )
    type: str = strawberry.field(description="What happened.")
    subject: str = strawberry.field(description="What it is about in the project: `deployment/<id>` for example; may be empty.")
    data: JSON = strawberry.field(description="The event's own data.")
    status: DeliveryStatus = strawberry.field(description="What has become of it.")
    error: Notice | None = strawberry.field(description="Why the last attempt was no success, or why there is none.")
    attempt_count: int = strawberry.field(description="How often it was tried.")
    attempts: list[WebhookAttempt] = computed(
        list[WebhookAttempt],
        lambda delivery, _: delivery.log,
        f"The attempts, of which the last {MOST_ATTEMPTS_KEPT} are kept.",
        {PRICE: Price(items=1 + len(outbox.SCHEDULE))},
    )
    next_attempt_at: datetime | None = strawberry.field(description="When it is tried next; null when it is tried no more.")
    created_at: datetime = strawberry.field(description="When the event happened: its `time`.")
    finished_at: datetime | None = strawberry.field(description="When it was delivered or had failed.")


@node(Row)
@strawberry.type(
    description=f"Where events of a project are sent. A receiver that does not answer is left alone for {sending.REST.seconds} "
    f"seconds, and for longer the longer it is away, up to {sending.MOST_REST.seconds // 60} minutes. Nothing more is sent to "
    f"one that answers 410, or that nothing has reached for {sending.GIVEN_UP.days} days: the timeline tells of it."
)
class Webhook:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    url: str | None = loaded(
        str | None,
        own_roles,
        lambda webhook: webhook.project_id,
        "Where the events go; null for members below editor, because it may hold a token.",
        _url,
    )
    host: str = strawberry.field(description="The host of that address, with its port.")
    description: str = strawberry.field(description="What it is for.")
    event_types: list[str] = strawberry.field(description="Which events it is told of; none named: all.")
    is_enabled: bool = strawberry.field(description="Whether events are sent to it.")
    disabled_reason: Notice | None = strawberry.field(
        description="Why the server sends it nothing more; null when it does, and when a person disabled it."
    )
    failing_since: datetime | None = strawberry.field(
        description="Since when nothing has arrived; null while what was sent last did."
    )
    previous_secret_ends_at: datetime | None = strawberry.field(
        description="Until when the secret before the present one signs too; null when there is none."
    )
    deliveries: Connection[WebhookDelivery] = nested(
        service.DELIVERIES, "What was sent to it within `WEBHOOK_DAYS` (30, unless the server is set otherwise), newest first."
    )
    created_by: Any = link("User", "created_by", "Who made it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed.")


@strawberry.type(description="The webhook as it is now.")
class WebhookPayload:
    webhook: Webhook = strawberry.field(description="The webhook as it is now.")


@strawberry.type(description="The webhook, and the secret its events are signed with.")
class WebhookSecretPayload:
    webhook: Webhook = strawberry.field(description="The webhook as it is now.")
    secret: str = secret("The secret, `whsec_…`, by which a receiver verifies them. It is shown now and never again.")


@strawberry.type(description="The delivery as it is now.")
class WebhookDeliveryPayload:
    delivery: WebhookDelivery = strawberry.field(description="The delivery as it is now.")


@strawberry.type
class ProjectWebhooks:
    webhooks: Connection[Webhook] = nested(service.WEBHOOKS, "Where its events are sent.")


async def _event_types(info: Info) -> list[WebhookEventType]:
    return [WebhookEventType(name=one.name, description=one.description) for one in event_types.choices()]


@strawberry.type
class WebhookQuery:
    webhook: Webhook | None = row(Row, READ, "One webhook.", service.NOUN)
    webhook_delivery: WebhookDelivery | None = row(Delivery, READ, "One event on its way to a webhook.", service.DELIVERY)
    webhook_event_types: list[WebhookEventType] | None = guarded(_event_types, READ, "What webhooks can be told of.")


@strawberry.type
class WebhookMutation:
    create_webhook: WebhookSecretPayload | None = command(
        service.create,
        WebhookSecretPayload,
        WRITE,
        f"Send events of a project to an address, at most {MOST_WEBHOOKS} a project. Its secret is shown now and never again.",
    )
    update_webhook: WebhookPayload | None = command(service.update, WebhookPayload, WRITE, "Change a webhook.")
    rotate_webhook_secret: WebhookSecretPayload | None = command(
        service.rotate,
        WebhookSecretPayload,
        WRITE,
        f"Give a webhook another secret. For {HOURS} hours the one before signs too, so that its receiver can change over.",
    )
    delete_webhook: DeletedFromProjectPayload | None = command(
        service.delete, DeletedFromProjectPayload, END, "Delete a webhook, in an archived project too; what waits is not sent."
    )
    test_webhook: WebhookDeliveryPayload | None = command(
        service.test, WebhookDeliveryPayload, WRITE, "Send a webhook an event of type `ping`."
    )
    replay_webhook_delivery: WebhookDeliveryPayload | None = command(
        service.replay,
        WebhookDeliveryPayload,
        WRITE,
        "Send a delivery again, at once and under the same `webhook-id`, whether it has arrived, failed or waits.",
    )
