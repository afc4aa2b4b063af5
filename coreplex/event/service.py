"""Events: something happened to an entity. Appending gives a sequence number that grows in commit order within the entity."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from coreplex.database import ReadSession, WriteSession
from coreplex.event.table import Event, EventKind

CHANNEL = "coreplex_events"
CHUNK = 500


async def append(
    session: WriteSession,
    *,
    entity_type: str,
    entity_id: UUID,
    project_id: UUID | None,
    kind: EventKind,
    type: str,
    message: str = "",
    level: str = "info",
    actor_id: UUID | None = None,
    data: dict[str, Any] | None = None,
) -> Event:
    """Add an event; subscribers hear of it at commit.

    The lock per entity, held until commit, makes sequence numbers visible in order: a reader that has seen n never misses a
    smaller one that commits later.
    """
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:entity, 0))")
    await session.execute(lock, {"entity": f"{entity_type}:{entity_id}"})
    event = Event(
        entity_type=entity_type,
        entity_id=entity_id,
        project_id=project_id,
        kind=kind,
        type=type,
        message=message,
        level=level,
        actor_id=actor_id,
        data=data or {},
    )
    session.add(event)
    await session.flush()
    notice = text("SELECT pg_notify(:channel, :payload)")
    await session.execute(notice, {"channel": CHANNEL, "payload": f"{entity_type}:{entity_id}:{event.seq}"})
    return event


async def after(
    session: ReadSession,
    entity_type: str,
    entity_id: UUID,
    cursor: int,
    kinds: Collection[EventKind] = (),
    limit: int = CHUNK,
) -> Sequence[Event]:
    """Events of an entity behind the cursor, oldest first."""
    query = select(Event).where(
        col(Event.entity_type) == entity_type, col(Event.entity_id) == entity_id, col(Event.seq) > cursor
    )
    if kinds:
        query = query.where(col(Event.kind).in_(kinds))
    return (await session.scalars(query.order_by(col(Event.seq)).limit(limit))).all()
