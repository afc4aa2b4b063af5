"""Stores what an act made, as rows by their table and id, and finds it again.

a row       {"table": "Project", "id": "…", "project": "…"}     an id   {"id": "…"}
several     a list of these                                     nothing null
a number    {"number": 3}
a message   {"message": {"reason": "…", …}}
a secret    {"secret": true}: a text, shown once and stored nowhere
an answer   {"project": "…"}: nothing was made, but somebody may read it who may see the project
"""

from dataclasses import replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy.orm import object_mapper
from sqlmodel import SQLModel

from coreplex.errors.tree import Conflict, Message, NotFound
from coreplex.membership.access import open_project
from coreplex.membership.table import Project
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import Grant

SHOWN_ONCE = Message(
    "secret_shown_once",
    "The first request with this Idempotency-Key made it, and its secret is shown once only. If that answer was lost, revoke the "
    "key it made and make another with a new Idempotency-Key.",
)


def recorded(result: Any) -> Any:
    """The stored form of a resolver's result."""
    if isinstance(result, tuple | list):
        return [recorded(part) for part in result]
    if isinstance(result, SQLModel):
        (key,) = object_mapper(result).primary_key_from_instance(result)
        project = key if isinstance(result, Project) else getattr(result, "project_id", None)
        return {"table": type(result).__name__, "id": str(key), "project": str(project) if project else None}
    if isinstance(result, UUID):
        return {"id": str(result)}
    if isinstance(result, int):
        return {"number": result}
    if isinstance(result, Message):
        return {"message": result.to_json()}
    if isinstance(result, str):
        return {"secret": True}
    assert result is None, f"{type(result).__name__} leads back to nothing"
    return None


def is_secret(made: Any) -> bool:
    """Whether the answer to it must not be kept."""
    return any(map(is_secret, made)) if isinstance(made, list) else bool(made) and "secret" in made


async def may_see(session: ReadSession, grant: Grant, made: Any) -> None:
    """Raise what the act would raise now for a caller who lost the project, or the role in it. What was made may be gone."""
    grant = Grant(grant.principal, replace(grant.permission, archived=True))  # it was done before the project was archived
    if isinstance(made, list):
        for part in made:
            await may_see(session, grant, part)
    elif made and made.get("project"):
        await open_project(session, grant, made["project"])


async def load(session: ReadSession, grant: Grant, made: Any) -> Any:
    """The result again, as it is now. Raises NotFound and Forbidden as for any other id, Conflict for a secret."""
    if isinstance(made, list):
        return tuple([await load(session, grant, part) for part in made])
    if made is None:
        return None
    if "secret" in made:
        raise Conflict(SHOWN_ONCE)
    if "number" in made:
        return made["number"]
    if "message" in made:
        return Message.from_json(made["message"])
    return await _row(session, grant, made) if "table" in made else UUID(made["id"])


async def _row(session: ReadSession, grant: Grant, made: dict[str, str]) -> SQLModel:
    await may_see(session, grant, made)
    table = _tables()[made["table"]]
    row: Any = await session.get(table, UUID(made["id"]))
    if row is None or (not made["project"] and getattr(row, "user_id", row.id) != grant.user_id):
        raise NotFound.of(table.__name__)
    found: SQLModel = row
    return found


@lru_cache(maxsize=1)
def _tables() -> dict[str, type[Any]]:
    return {mapper.class_.__name__: mapper.class_ for mapper in SQLModel._sa_registry.mappers}
