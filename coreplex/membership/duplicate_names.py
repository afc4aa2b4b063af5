"""Warns of things of one name, which are allowed: most of the time somebody made the same thing twice."""

from typing import Any

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.errors.tree import Message
from coreplex.membership.table import Project
from coreplex.platform.database import ReadSession


async def duplicate_name_warnings(session: ReadSession, row: Any) -> list[Message]:
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
    if others == 1:
        return [
            Message(
                "name_taken_by_another",
                "The name “{name}” is taken already: another {kind} is called so. Both stay; their identifiers tell them apart.",
                name=row.name,
                kind=kind,
            )
        ]
    return [
        Message(
            "name_taken_by_others",
            "The name “{name}” is taken already: {count} other {kind}s are called so. Both stay; their identifiers tell them "
            "apart.",
            name=row.name,
            count=others,
            kind=kind,
        )
    ]
