"""Subscriptions: open a row, then follow the row's events, replayed from a cursor and carried on live.

Nothing is held while waiting: no session, no transaction. The door opens the subscription again when the caller's rights have
changed: who may not open it may not go on following.
"""

from collections.abc import AsyncIterator
from typing import TypeVar
from uuid import UUID

from sqlmodel import SQLModel

from coreplex.event import stream
from coreplex.event.table import Event
from coreplex.job.table import Job
from coreplex.membership.access import open_row
from resolvers.context import Info

Row = TypeVar("Row", bound=SQLModel)


async def follow_row(info: Info, table: type[Row], row_id: str, noun: str, after: int | None) -> AsyncIterator[Event]:
    """Events of a row with a `project_id`, from the first behind the cursor. Raises NotFound, Forbidden before anything flows.

    The cursor is the event's `seq`; a stream that was resumed by its transport (`Last-Event-ID`) goes on from there.
    """
    async with info.context.read() as session:
        row = await open_row(session, info.grant, table, row_id, noun)
    kind, identity = entity_of(row, noun)
    cursor = max(after or 0, info.context.request.last_event_id or 0)
    services = info.context.services
    return stream.follow(services.database, services.listener, kind, identity, cursor)


def entity_of(row: SQLModel, noun: str) -> tuple[str, UUID]:
    """Whose events a row's are: its own, and those of the thing it works on for a job."""
    if isinstance(row, Job) and row.entity_id is not None:
        return row.entity_type, row.entity_id
    identity = getattr(row, "id", None)
    assert isinstance(identity, UUID)
    return noun.lower(), identity
