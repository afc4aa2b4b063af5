"""Subscriptions at the GraphQL door: allow, open, then follow the row's events, replayed from a cursor and carried on live.

Nothing is held while waiting: no session, no transaction. The right to the row is asked again while events flow.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from time import monotonic
from typing import TypeVar
from uuid import UUID

from sqlmodel import SQLModel

from coreplex.errors import Unavailable
from coreplex.event import stream
from coreplex.event.table import Event
from coreplex.job.table import Job
from coreplex.project.access import open_row
from resolvers.guard import Info, allow

RECHECK_SECS = 10.0

Row = TypeVar("Row", bound=SQLModel)


async def follow_row(info: Info, table: type[Row], row_id: str, noun: str, after: int | None) -> AsyncGenerator[Event, None]:
    """Events of a row with a `project_id`, from the first behind the cursor. Raises NotFound, Forbidden before anything flows.

    The cursor is the event's `seq`; a stream that was resumed by its transport (`Last-Event-ID`) goes on from there.
    """
    grant = allow(info)

    async def opened() -> Row:
        async with info.context.read() as session:
            return await open_row(session, grant, table, row_id, noun)

    row = await opened()
    kind, identity = entity_of(row, noun)
    cursor = max(after or 0, info.context.request.last_event_id or 0)
    services = info.context.services

    async def events() -> AsyncGenerator[Event, None]:
        checked = monotonic()
        async with aclosing(stream.follow(services.database, services.listener, kind, identity, cursor)) as found:  # type: ignore[type-var]
            async for event in found:
                if monotonic() - checked > RECHECK_SECS:
                    with suppress(Unavailable):  # a database that is away takes nobody's right away
                        await opened()
                    checked = monotonic()
                yield event

    return events()


def entity_of(row: SQLModel, noun: str) -> tuple[str, UUID]:
    """Whose events a row's are: its own, and those of the thing it works on for a job."""
    if isinstance(row, Job) and row.entity_id is not None:
        return row.entity_type, row.entity_id
    identity = getattr(row, "id", None)
    assert isinstance(identity, UUID)
    return noun.lower(), identity
