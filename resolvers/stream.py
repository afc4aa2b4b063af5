"""Subscriptions: open a row, then follow the row's events, replayed from a cursor and carried on live.

Nothing is held while waiting: no session, no transaction. The door opens the subscription again when the caller's rights have
changed: who may not open it may not go on following.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TypeVar
from uuid import UUID

from sqlmodel import SQLModel, col

from coreplex.event import service as event
from coreplex.event import stream
from coreplex.event.table import Event
from coreplex.job.table import Job
from coreplex.membership.access import open_project, open_row, visible_projects
from coreplex.membership.table import Membership
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
    return _afresh(info, stream.follow(services.database, services.listener, kind, identity, cursor))


async def follow_projects(info: Info, project_id: str | None, after: int | None) -> AsyncIterator[Event]:
    """Events of a project, or of all the caller sees, from behind the cursor or from now on. Raises NotFound, Forbidden."""
    async with info.context.read() as session:
        if project_id is not None:
            await open_project(session, info.grant, project_id)
        seen = visible_projects(info.grant)
        projects = seen if project_id is None else seen.where(col(Membership.project_id) == UUID(project_id))
        topics = [event.topic_of(found) for found in await session.scalars(projects)]
    cursor = max((one for one in (after, info.context.request.last_event_id) if one is not None), default=None)
    services = info.context.services
    return _afresh(info, stream.follow_projects(services.database, services.listener, projects, topics, cursor))


async def _afresh(info: Info, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """The events; what is loaded beside one is what is there then, not what an earlier one found."""
    async with aclosing(events) as found:  # type: ignore[type-var]
        async for one in found:
            info.context.__dict__.pop("loaders", None)
            yield one


def entity_of(row: SQLModel, noun: str) -> tuple[str, UUID]:
    """Whose events a row's are: its own, and those of the thing it works on for a job."""
    if isinstance(row, Job) and row.entity_id is not None:
        return row.entity_type, row.entity_id
    identity = getattr(row, "id", None)
    assert isinstance(identity, UUID)
    return noun.lower(), identity
