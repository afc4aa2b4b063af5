"""The row of an `Idempotency-Key`: what was done under it, and the answer to that, kept to be given again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from coreplex.platform.bound import Bound, Rule
from coreplex.platform.columns import document, key, moment


class IdempotencyKey(SQLModel, table=True):
    """Committed with the first act of the request, or before a prediction.

    `status` and `body` follow when the answer is built; they may be missing.
    """

    __tablename__ = "idempotency_keys"
    __bound__ = Bound(
        "`IDEMPOTENCY_HOURS`, at the rate of the caller's requests; an answer of more than 16 KB is not kept but built anew.",
        (Rule("created_at < :horizon", "idempotency_hours"),),
    )
    __table_args__ = (UniqueConstraint("owner", "key"),)

    id: UUID = key()
    owner: str = Field(max_length=80)
    key: str = Field(max_length=255)
    fingerprint: str = Field(max_length=64)
    outcomes: dict[str, Any] = document()
    """By place in the answer: the field, and what it made (`coreplex.idempotency.outcome`)."""
    status: int | None = None
    body: bytes | None = None
    request_id: str | None = Field(default=None, max_length=36)
    """Of the first request, by which the inference log knows its predictions."""
    created_at: datetime = moment(index=True)
