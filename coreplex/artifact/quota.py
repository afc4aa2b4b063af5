"""How many bytes of files the projects of an account may store."""

from uuid import UUID

from sqlalchemy import func
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.membership.quota import count_of_owner, exceeded, lock_account, owner_of
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.settings import Settings


async def require_stored(session: ReadSession, settings: Settings, project_id: UUID, size: int = 0) -> None:
    """Raise QuotaExceeded when the project's owner has no room for `size` more bytes of files, or for any."""
    owner = await owner_of(session, project_id)
    used = await count_of_owner(session, func.coalesce(func.sum(col(Artifact.size_bytes)), 0), Artifact, owner)
    if used + max(size, 1) > (most := settings.max_stored_bytes):
        whose = f"The projects of this project's owner store {used:,} bytes" + (f" and this would add {size:,}" if size else "")
        raise exceeded(whose, "MAX_STORED_BYTES", most, "Delete datasets or experiments that are not needed")


async def take_stored(session: WriteSession, settings: Settings, project_id: UUID, size: int) -> None:
    """Room for files of `size` bytes."""
    await lock_account(session, await owner_of(session, project_id))
    await require_stored(session, settings, project_id, size)
