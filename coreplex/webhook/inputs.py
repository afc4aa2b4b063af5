"""What a caller must say about webhooks."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from coreplex.errors.nearest import hint, none_of
from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.inputs import Description, Identifier, null_as
from coreplex.platform.public_address import MAX_URL, target_of
from coreplex.webhook.event_types import MAX_TYPE, choices


def _url(url: str) -> str:
    target_of(url)
    return url


def _types(wanted: Sequence[str]) -> list[str]:
    names = [one.name for one in choices()]
    for name in wanted:
        if name not in names:
            raise WrongValue(
                Message("unknown_event_type", "there is no event '{name}'", name=name).then(hint(name, names) or none_of(names))
            )
    return sorted(set(wanted))


Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_URL),
    AfterValidator(_url),
    Field(json_schema_extra={"format": "uri"}),
]
EventTypes = Annotated[
    list[Annotated[str, StringConstraints(max_length=MAX_TYPE)]], Field(max_length=100), AfterValidator(_types)
]
URL = f"Where the events go: http:// or https://, at most {MAX_URL:,} characters, no private address."
TYPES = "Which types of events it is told of; none named: all there are, and will be."


class CreateWebhook(BaseModel):
    project_id: Identifier = Field(description="The project.")
    url: Url = Field(description=URL)
    description: Description = Field("", description="What it is for, at most 10,000 characters.")
    event_types: Annotated[EventTypes, null_as(list)] = Field(default_factory=list, description=TYPES)
    is_enabled: bool = Field(True, description="Whether events are sent to it.")


class UpdateWebhook(BaseModel):
    webhook_id: Identifier = Field(description="The webhook.")
    url: Url | None = Field(None, description=URL)
    description: Description | None = Field(None, description="What it is for.")
    event_types: EventTypes | None = Field(None, description=TYPES)
    is_enabled: bool | None = Field(
        None, description="Whether events are sent to it. What waits when it is disabled has failed, and can be sent again."
    )


class RotateWebhookSecret(BaseModel):
    webhook_id: Identifier = Field(description="The webhook.")


class DeleteWebhook(BaseModel):
    webhook_id: Identifier = Field(description="The webhook.")


class TestWebhook(BaseModel):
    webhook_id: Identifier = Field(description="The webhook.")


class ReplayWebhookDelivery(BaseModel):
    delivery_id: Identifier = Field(description="The delivery.")
