"""How much one account or one project may hold: counted when something is added, and refused with what to do about it.

What projects hold counts for their owner, whoever put it there. Administrators have the limits of everybody; they can raise them.
`require_…` only counts, for a refusal before any work is done. `take_…` also locks the account or the project until the
transaction ends, so that of two at once the second counts what the first has added.
"""

from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlmodel import SQLModel, col

from coreplex.account.table import ApiKey, User
from coreplex.artifact.table import Artifact
from coreplex.dataset.table import DatasetVersion
from coreplex.errors import QuotaExceeded
from coreplex.membership.table import Project
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.settings import Settings

ACCOUNTS = 0x6163636F756E7473  # "accounts"
ITEMS = {
    "experiments": "Delete experiments that are not needed",
    "deployments": "Delete deployments that do not serve any more",
    "evaluations": "Delete models that are not needed, with their evaluations",
    "memberships": "Remove members who left",
}
"""Tables of which a project may have so many rows each, and what to do about too many."""


async def take_account(session: WriteSession, settings: Settings) -> None:
    """A place for one more account."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ACCOUNTS})
    used = await _count(session, select(func.count()).select_from(User))
    if used >= settings.max_accounts:
        raise QuotaExceeded(f"This server has {used:,} accounts, and MAX_ACCOUNTS allows no more; ask its administrator.")


async def take_project(session: WriteSession, settings: Settings, user_id: UUID) -> None:
    """A place for one more project of the account's own."""
    await _lock_account(session, user_id)
    used = await _count(session, select(func.count()).where(col(Project.owner_id) == user_id))
    if used >= settings.max_projects:
        raise _exceeded(f"You own {used:,} projects", "MAX_PROJECTS", settings.max_projects, "Delete one that is not needed")


async def take_key(session: WriteSession, settings: Settings, user_id: UUID) -> None:
    """A place for one more API key that can be used."""
    await _lock_account(session, user_id)
    ends = col(ApiKey.expires_at)
    usable = (col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None), or_(ends.is_(None), ends > now()))
    used = await _count(session, select(func.count()).where(*usable))
    if used >= settings.max_api_keys:
        raise _exceeded(f"You have {used:,} API keys", "MAX_API_KEYS", settings.max_api_keys, "Revoke one that is not used")


async def require_version(session: ReadSession, settings: Settings, project_id: UUID, size: int = 0) -> None:
    """Raise QuotaExceeded when the project's owner has no place for one more dataset version of `size` bytes."""
    owner = await _owner(session, project_id)
    used = await _count(session, _of_owner(func.count(), DatasetVersion, owner))
    if used >= (most := settings.max_dataset_versions):
        whose = f"The projects of this project's owner have {used:,} dataset versions"
        raise _exceeded(whose, "MAX_DATASET_VERSIONS", most, "Delete datasets that are not needed")
    await require_stored(session, settings, project_id, size)


async def take_version(session: WriteSession, settings: Settings, project_id: UUID, size: int) -> None:
    """A place for one more dataset version whose files have `size` bytes."""
    await _lock_account(session, await _owner(session, project_id))
    await require_version(session, settings, project_id, size)


async def require_stored(session: ReadSession, settings: Settings, project_id: UUID, size: int = 0) -> None:
    """Raise QuotaExceeded when the project's owner has no room for `size` more bytes of files, or for any."""
    owner = await _owner(session, project_id)
    used = await _count(session, _of_owner(func.coalesce(func.sum(col(Artifact.size_bytes)), 0), Artifact, owner))
    if used + max(size, 1) > (most := settings.max_stored_bytes):
        whose = f"The projects of this project's owner store {used:,} bytes" + (f" and this would add {size:,}" if size else "")
        raise _exceeded(whose, "MAX_STORED_BYTES", most, "Delete datasets or experiments that are not needed")


async def take_stored(session: WriteSession, settings: Settings, project_id: UUID, size: int) -> None:
    """Room for files of `size` bytes."""
    await _lock_account(session, await _owner(session, project_id))
    await require_stored(session, settings, project_id, size)


async def require_item(session: ReadSession, settings: Settings, project_id: UUID, table: type[SQLModel]) -> None:
    """Raise QuotaExceeded when the project has no place for one more row of a table of `ITEMS`."""
    name, columns = table.__tablename__, getattr(table, "project_id")  # noqa: B009 every one of them has it
    assert isinstance(name, str)
    used = await _count(session, select(func.count()).where(columns == project_id))
    if used >= (most := settings.max_items_per_project):
        raise _exceeded(f"This project has {used:,} {name}", "MAX_ITEMS_PER_PROJECT", most, ITEMS[name])


async def take_item(session: WriteSession, settings: Settings, project_id: UUID, table: type[SQLModel]) -> None:
    """A place for one more such row in the project."""
    await session.execute(select(col(Project.id)).where(col(Project.id) == project_id).with_for_update(key_share=True))
    await require_item(session, settings, project_id, table)


async def _lock_account(session: WriteSession, user_id: UUID) -> None:
    # Not a full lock: whatever refers to the account (a session, an event) may be written meanwhile.
    await session.execute(select(col(User.id)).where(col(User.id) == user_id).with_for_update(key_share=True))


async def _owner(session: ReadSession, project_id: UUID) -> UUID:
    return (await session.scalars(select(col(Project.owner_id)).where(col(Project.id) == project_id))).one()


def _of_owner(value: object, table: type[DatasetVersion | Artifact], owner: UUID) -> object:
    query = select(value).select_from(table).join(Project, col(Project.id) == col(table.project_id))  # type: ignore[call-overload]
    return query.where(col(Project.owner_id) == owner)


async def _count(session: ReadSession, query: object) -> int:
    return int(await session.scalar(query) or 0)  # type: ignore[call-overload]


def _exceeded(whose: str, setting: str, most: int, remedy: str) -> QuotaExceeded:
    return QuotaExceeded(f"{whose}, and {setting} allows {most:,}. {remedy}, or ask the server's administrator to raise it.")
