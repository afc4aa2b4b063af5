"""The row of a stored file: a key in storage, never a path, and the hash it is checked with; and how many bytes there may be."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, func
from sqlmodel import Field, SQLModel, col

from coreplex.errors.tree import Message
from coreplex.membership.quota import OwnerQuota
from coreplex.platform.bound import OF_OWNER, Bound
from coreplex.platform.columns import key, moment, reference, word


class ArtifactKind(StrEnum):
    upload = "upload"
    table = "table"
    model = "model"
    curves = "curves"
    explanation = "explanation"
    predictions = "predictions"


class Artifact(SQLModel, table=True):
    __tablename__ = "artifacts"
    __bound__ = Bound(f"{OF_OWNER}`MAX_STORED_BYTES`. Go with the version, the model or the batch.")

    id: UUID = key()
    project_id: UUID = reference("projects.id")
    kind: ArtifactKind = word(ArtifactKind)
    storage_key: str = Field(max_length=300, unique=True)
    filename: str = Field(default="", max_length=300)
    content_type: str = Field(default="application/octet-stream", max_length=100)
    sha256: str = Field(max_length=64)
    size_bytes: int = Field(sa_type=BigInteger)
    created_at: datetime = moment()


def _no_room(used: int, more: int, most: int) -> Message:
    return Message(
        "no_room_to_store",
        "The projects of this project's owner store {used:,} bytes and this would add {more:,}, and MAX_STORED_BYTES allows "
        "{most:,}. Delete datasets or experiments that are not needed, or ask the server's administrator to raise it.",
        used=used,
        more=more,
        most=most,
    )


STORAGE = OwnerQuota(
    Artifact,
    func.coalesce(func.sum(col(Artifact.size_bytes)), 0),
    "max_stored_bytes",
    _no_room,
)
