"""The row of an `Idempotency-Key`: the first answer, kept to be given again."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from coreplex.columns import key, moment


class IdempotencyKey(SQLModel, table=True):
    """`status` is empty while the first request still runs."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (UniqueConstraint("owner", "key"),)

    id: UUID = key()
    owner: str = Field(max_length=80)
    key: str = Field(max_length=255)
    fingerprint: str = Field(max_length=64)
    status: int | None = None
    body: bytes | None = None
    created_at: datetime = moment(index=True)
