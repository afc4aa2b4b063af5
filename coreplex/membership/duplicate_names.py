"""Warns of things of one name, which are allowed: most of the time somebody made the same thing twice."""

from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.membership.table import Project
from coreplex.platform.database import ReadSession


async def duplicate_name_warnings(session: ReadSession, row: Any) -> list[str]:
    """A sentence when something of the same kind has the row's name (in any case) in its project, or, for a project, among those
    of its owner; nothing otherwise. `row` has an id, a name and a project_id."""
    table = type(row)
    owner = "owner_id" if table is Project else "project_id"
    place = col(getattr(table, owner)) == getattr(row, owner)
    alike = func.lower(col(table.name)) == row.name.lower()
    others = await session.scalar(select(func.count()).select_from(table).where(place, alike, col(table.id) != row.id)) or 0
    if not others:
        return []
    kind = table.__name__.lower()
    count = f"{others} other {kind}s are" if others > 1 else f"another {kind} is"
    return [f"The name “{row.name}” is taken already: {count} called so. Both stay; their identifiers tell them apart."]
