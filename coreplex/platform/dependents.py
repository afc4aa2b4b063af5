"""Registers what stands on rows of a lower concept: what refuses their deletion, and what is deleted with them.

A concept knows none of those built upon it. Each of them says here, once, when it is imported, what it has to do with the rows of
the lower one: `refuse` raises Conflict while it needs them, `remove` deletes what cannot be without them. A concept that deletes
rows asks `refuse_in_use`, then `remove_dependents`.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select
from sqlmodel import SQLModel

from coreplex.platform.database import ReadSession, WriteSession

Refuse = Callable[[ReadSession, Select[UUID]], Awaitable[None]]
"""Raises Conflict while one of the rows, given as a query for their ids, is in use."""
Remove = Callable[[WriteSession, Sequence[UUID], UUID | None], Awaitable[None]]
"""Deletes what stands on the rows of these ids, on behalf of a user."""


class _Dependent(NamedTuple):
    concept: str
    refuse: Refuse | None
    remove: Remove | None


_DEPENDENTS: dict[type[SQLModel], list[_Dependent]] = defaultdict(list)


def depend(on: type[SQLModel], *, refuse: Refuse | None = None, remove: Remove | None = None) -> None:
    """Say what a concept has to do with the rows of a table it stands on."""
    hook = refuse or remove
    assert hook is not None, "say what is refused or removed"
    _DEPENDENTS[on].append(_Dependent(hook.__module__, refuse, remove))
    _DEPENDENTS[on].sort(key=lambda one: one.concept)  # of several refusals the same one is told, whatever was imported first


async def refuse_in_use(session: ReadSession, table: type[SQLModel], ids: Select[UUID]) -> None:
    """Raise Conflict while something needs one of the rows."""
    for dependent in _DEPENDENTS[table]:
        if dependent.refuse is not None:
            await dependent.refuse(session, ids)


async def remove_dependents(session: WriteSession, table: type[SQLModel], ids: Sequence[UUID], user_id: UUID | None) -> None:
    """Delete what stands on the rows, which the caller deletes next."""
    for dependent in _DEPENDENTS[table]:
        if dependent.remove is not None:
            await dependent.remove(session, ids, user_id)
