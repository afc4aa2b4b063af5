"""Rows of webhooks, and of what is sent to them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from coreplex.errors.tree import Message
from coreplex.platform.bound import Bound, Rule
from coreplex.platform.clock import now
from coreplex.platform.columns import document, key, maybe_moment, maybe_notice, moment, reference, word
from coreplex.platform.public_address import MAX_URL, target_of
from coreplex.webhook.event_types import MAX_TYPE

MOST_WEBHOOKS = 50
"""Of a project."""
MOST_ATTEMPTS_KEPT = 50
"""Of a delivery that is sent again and again."""
BOTH_SIGN = timedelta(hours=24)
"""How long a secret signs beside the one that replaced it."""


def new_salt() -> bytes:
    return secrets.token_bytes(16)


class Webhook(SQLModel, table=True):
    """Where events of a project go. The secret that signs them follows from `salt` and the server's key."""

    __tablename__ = "webhooks"
    __bound__ = Bound(f"{MOST_WEBHOOKS} of a project. Go with it.")
    model_config = {"arbitrary_types_allowed": True}  # messages

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    url: str = Field(max_length=MAX_URL)
    description: str = ""
    event_types: list[str] = document(list)
    """Empty: all there are, and will be."""
    is_enabled: bool = True
    disabled_reason: Message | None = maybe_notice()
    """Why the server itself sends nothing more."""
    salt: bytes = Field(default_factory=new_salt)
    previous_salt: bytes | None = None
    rotated_at: datetime | None = maybe_moment()
    failing_since: datetime | None = maybe_moment()
    """Since when nothing has arrived; None while what was sent last did."""
    rests_until: datetime | None = maybe_moment()
    """A receiver that did not answer at all is left alone until then."""
    sender_id: UUID | None = None
    """The job that sends to it at the moment: one at a time."""
    created_by: UUID | None = reference("users.id", default=None, on_delete="SET NULL")
    created_at: datetime = moment(index=True)
    updated_at: datetime = moment()

    @property
    def host(self) -> str:
        """Where the URL leads, without its path, which may hold a token."""
        return target_of(self.url).authority

    @property
    def previous_secret_ends_at(self) -> datetime | None:
        """Until when the secret before signs too."""
        ends = self.rotated_at + BOTH_SIGN if self.rotated_at is not None and self.previous_salt is not None else None
        return ends if ends is not None and ends > now() else None

    @property
    def salts(self) -> Sequence[bytes]:
        """Of the secrets that sign now, the newest first."""
        before = [self.previous_salt] if self.previous_salt is not None and self.previous_secret_ends_at is not None else []
        return [self.salt, *before]


class DeliveryStatus(StrEnum):
    waiting = "waiting"
    delivered = "delivered"
    failed = "failed"


@dataclass(frozen=True)
class Attempt:
    """One request, and what came of it: a status, or an error, or both."""

    at: datetime
    duration_ms: int
    status_code: int | None = None
    error: Message | None = None

    def to_json(self) -> dict[str, Any]:
        said = self.error.to_json() if self.error is not None else None
        return {"at": self.at.isoformat(), "duration_ms": self.duration_ms, "status_code": self.status_code, "error": said}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Attempt":
        said = Message.from_json(found["error"]) if found["error"] else None
        return cls(datetime.fromisoformat(found["at"]), found["duration_ms"], found["status_code"], said)


class WebhookDelivery(SQLModel, table=True):
    """An event on its way to one webhook: the outbox, and the log."""

    __tablename__ = "webhook_deliveries"
    __bound__ = Bound("`WEBHOOK_DAYS`. Go with their webhook.", (Rule("created_at < :horizon", "webhook_days"),))
    __table_args__ = (
        Index("ix_webhook_deliveries_due", "webhook_id", "next_attempt_at", postgresql_where=text("status = 'waiting'")),
    )
    model_config = {"arbitrary_types_allowed": True}  # messages

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    webhook_id: UUID = reference("webhooks.id")
    event_id: UUID
    """The same for each webhook that is told of it, and each time: `webhook-id`, and the id of the CloudEvent."""
    type: str = Field(max_length=MAX_TYPE)
    subject: str = Field(default="", max_length=200)
    data: dict[str, Any] = document()
    status: DeliveryStatus = word(DeliveryStatus, DeliveryStatus.waiting)
    error: Message | None = maybe_notice()
    """What came of the last attempt, if it was no success."""
    attempts: list[dict[str, Any]] = document(list)
    attempt_count: int = 0
    tries: int = 0
    """Attempts since it was sent, or sent again: its place in the schedule."""
    next_attempt_at: datetime | None = maybe_moment()
    created_at: datetime = moment(index=True)
    finished_at: datetime | None = maybe_moment()

    @property
    def log(self) -> Sequence[Attempt]:
        """Its attempts, the latest of them, in their order."""
        return [Attempt.from_json(one) for one in self.attempts]

    def note(self, attempt: Attempt) -> None:
        """One more attempt."""
        self.attempts = [*self.attempts, attempt.to_json()][-MOST_ATTEMPTS_KEPT:]
        self.attempt_count, self.tries, self.error = self.attempt_count + 1, self.tries + 1, attempt.error

    def wait(self, until: datetime) -> None:
        self.status, self.next_attempt_at, self.finished_at = DeliveryStatus.waiting, until, None

    def end(self, status: DeliveryStatus, error: Message | None = None) -> None:
        self.status, self.error, self.next_attempt_at, self.finished_at = status, error, None, now()
