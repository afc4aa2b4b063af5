"""How many dataset versions the projects of an account may have."""

from uuid import UUID

from sqlalchemy import func

from coreplex.artifact.quota import require_stored
from coreplex.dataset.table import DatasetVersion
from coreplex.membership.quota import count_of_owner, exceeded, lock_account, owner_of
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.settings import Settings


async def require_version(session: ReadSession, settings: Settings, project_id: UUID, size: int = 0) -> None:
    """Raise QuotaExceeded when the project's owner has no place for one more dataset version of `size` bytes."""
    used = await count_of_owner(session, func.count(), DatasetVersion, await owner_of(session, project_id))
    if used >= (most := settings.max_dataset_versions):
        whose = f"The projects of this project's owner have {used:,} dataset versions"
        raise exceeded(whose, "MAX_DATASET_VERSIONS", most, "Delete datasets that are not needed")
    await require_stored(session, settings, project_id, size)


async def take_version(session: WriteSession, settings: Settings, project_id: UUID, size: int) -> None:
    """A place for one more dataset version whose files have `size` bytes."""
    await lock_account(session, await owner_of(session, project_id))
    await require_version(session, settings, project_id, size)
