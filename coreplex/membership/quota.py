"""How much one account or one project may hold: counted when something is added, and refused with what to do about it.

What projects hold counts for their owner, whoever put it there. Administrators have the limits of everybody; they can raise them.
`require_…` only counts, for a refusal before any work is done. `take_…` also locks the account or the project until the
transaction ends, so that of two at once the second counts what the first has added. Each concept says beside its table what of it
counts for the owner (`OwnerQuota`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Uuid, column, func, select, table
from sqlmodel import SQLModel, col

from coreplex.errors.tree import Message, QuotaExceeded
from coreplex.membership.table import Project
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.settings import Settings

USERS = table("users", column("id", Uuid))


@dataclass(frozen=True, eq=False)
class OwnerQuota:
    """How much of something the projects of one account may have together."""

    of: type[SQLModel]
    """A table with a `project_id`."""
    used: Any
    """An aggregate over its rows."""
    setting: str
    """The setting that says how much is allowed."""
    told: Callable[[int, int, int], Message]
    """That there is no room: for what is used, what would come, and the most that is allowed."""


async def take_project(session: WriteSession, settings: Settings, user_id: UUID) -> None:
    """A place for one more project of the account's own."""
    await lock_account(session, user_id)
    used = await count(session, select(func.count()).where(col(Project.owner_id) == user_id))
    if used >= settings.max_projects:
        raise QuotaExceeded(
            Message(
                "too_many_projects",
                "You own {used:,} projects, and MAX_PROJECTS allows {most:,}. Delete one that is not needed, or ask the server's "
                "administrator to raise it.",
                used=used,
                most=settings.max_projects,
            )
        )


async def require_item(session: ReadSession, settings: Settings, project_id: UUID, table: type[SQLModel], remedy: str) -> None:
    """Raise QuotaExceeded, with the remedy, when the project has no place for one more row of a table with a `project_id`."""
    columns: Any = table
    used = await count(session, select(func.count()).where(columns.project_id == project_id))
    if used >= (most := settings.max_items_per_project):
        raise QuotaExceeded(
            Message(
                "too_many_items",
                "This project has {used:,} {items}, and MAX_ITEMS_PER_PROJECT allows {most:,}. {remedy}, or ask the server's "
                "administrator to raise it.",
                used=used,
                items=str(table.__tablename__),
                most=most,
                remedy=remedy,
            )
        )


async def take_item(session: WriteSession, settings: Settings, project_id: UUID, table: type[SQLModel], remedy: str) -> None:
    """A place for one more such row in the project."""
    await session.execute(select(col(Project.id)).where(col(Project.id) == project_id).with_for_update(key_share=True))
    await require_item(session, settings, project_id, table, remedy)


async def require_room(session: ReadSession, settings: Settings, project_id: UUID, wanted: Mapping[OwnerQuota, int]) -> None:
    """Raise QuotaExceeded when the project's owner has no room for so much more of each."""
    await _require(session, settings, await _owner_of(session, project_id), wanted)


async def take_room(session: WriteSession, settings: Settings, project_id: UUID, wanted: Mapping[OwnerQuota, int]) -> None:
    """Room for so much more of each."""
    owner = await _owner_of(session, project_id)
    await lock_account(session, owner)
    await _require(session, settings, owner, wanted)


async def take_over(
    session: WriteSession, settings: Settings, project_id: UUID, user_id: UUID, quotas: Sequence[OwnerQuota]
) -> None:
    """Room for a whole project that another account owns so far. Says nothing of what the new owner has besides."""
    await lock_account(session, user_id)
    owned = await count(session, select(func.count()).where(col(Project.owner_id) == user_id))
    full = [("MAX_PROJECTS", settings.max_projects)] if owned >= settings.max_projects else []
    for quota in quotas:
        columns: Any = quota.of
        moved = await count(session, select(quota.used).select_from(quota.of).where(columns.project_id == project_id))
        used, most = await _used(session, quota, user_id), getattr(settings, quota.setting)
        full += [(quota.setting.upper(), most)] if used + moved > most else []
    for name, most in full:
        raise QuotaExceeded(
            Message(
                "new_owner_has_no_room",
                "The new owner has no room for this project, and {setting} allows {most:,}. They can delete what is not needed, "
                "or ask the server's administrator to raise it.",
                setting=name,
                most=most,
            )
        )


async def _used(session: ReadSession, quota: OwnerQuota, owner: UUID) -> int:
    """How much of it the projects of an account have."""
    columns: Any = quota.of
    query = select(quota.used).select_from(quota.of).join(Project, col(Project.id) == columns.project_id)
    return await count(session, query.where(col(Project.owner_id) == owner))


async def _require(session: ReadSession, settings: Settings, owner: UUID, wanted: Mapping[OwnerQuota, int]) -> None:
    for quota, more in wanted.items():
        used = await _used(session, quota, owner)
        if used + more > (most := getattr(settings, quota.setting)):
            raise QuotaExceeded(quota.told(used, more, most))


async def _owner_of(session: ReadSession, project_id: UUID) -> UUID:
    """The account for which what the project holds counts."""
    return (await session.scalars(select(col(Project.owner_id)).where(col(Project.id) == project_id))).one()


async def lock_account(session: WriteSession, user_id: UUID) -> None:
    """Keep others from counting what the account holds until the transaction ends."""
    # Not a full lock: whatever refers to the account (a session, an event) may be written meanwhile.
    await session.execute(select(USERS.c.id).where(USERS.c.id == user_id).with_for_update(key_share=True))


async def count(session: ReadSession, query: Any) -> int:
    """The one number of a query, 0 for none."""
    return int(await session.scalar(query) or 0)
