"""Appends events, and reads them in an order that a reader can follow without missing any.

Events are appended and read, never changed. Sequence numbers are handed out before a transaction commits, so two transactions
could show a higher number before a lower one; a lock per entity, held to the commit, rules that out within an entity.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, func, select, text, true
from sqlmodel import col

from coreplex.event.table import Event, EventKind
from coreplex.platform.database import Database, ReadSession, WriteSession
from coreplex.platform.listener import TOPICS, notify

CHUNK = 500

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:entity, 0))")


async def append(
    session: WriteSession,
    *,
    entity_type: str,
    entity_id: UUID,
    kind: EventKind,
    type: str,
    project_id: UUID | None = None,
    message: str = "",
    level: str = "info",
    actor_id: UUID | None = None,
    data: dict[str, Any] | None = None,
) -> Event:
    """Write an event and announce it at commit. Holds the entity's lock until then: append late in a transaction."""
    await session.execute(_LOCK, {"entity": f"{entity_type}:{entity_id}"})
    event = Event(
        project_id=project_id,
        entity_type=entity_type,
        entity_id=entity_id,
        kind=kind,
        type=type,
        level=level,
        message=message.replace("\0", ""),
        actor_id=actor_id,
        data=data or {},
    )
    session.add(event)
    await session.flush()
    topics = [f"{entity_type}:{entity_id}", *([topic_of(project_id)] if project_id is not None else [])]
    await notify(session, TOPICS, *(f"{topic}:{event.seq}" for topic in topics))
    return event


def topic_of(project_id: UUID) -> str:
    """What is rung when anything happened in a project."""
    return f"events_in:{project_id}"


async def audit(
    session: WriteSession, actor_id: UUID | None, row: Any, type: str, message: str, data: dict[str, Any] | None = None
) -> None:
    """Write into the timeline what happened to a project, or to a row of one: `type` is `noun.verb`; no actor, the server."""
    await append(
        session,
        entity_type=row.__class__.__name__.lower(),
        entity_id=row.id,
        project_id=getattr(row, "project_id", row.id),
        kind=EventKind.audit,
        type=type,
        message=message,
        actor_id=actor_id,
        data=data,
    )


async def after(
    session: ReadSession,
    entity_type: str,
    entity_id: UUID,
    cursor: int = 0,
    kinds: Sequence[EventKind] | None = None,
    limit: int = CHUNK,
) -> Sequence[Event]:
    """The next events of an entity beyond `cursor` (a `seq`), oldest first, of these kinds or of all."""
    query = select(Event).where(col(Event.entity_type) == entity_type, col(Event.entity_id) == entity_id, col(Event.seq) > cursor)
    if kinds is not None:
        query = query.where(col(Event.kind).in_(kinds))
    return (await session.scalars(query.order_by(col(Event.seq)).limit(limit))).all()


async def beyond(
    session: ReadSession, projects: Select[UUID], floor: int, known: Collection[int], limit: int = CHUNK
) -> Sequence[Event]:
    """The next events of projects beyond `floor`, oldest first, without the `known` ones (each a `seq`)."""
    query = select(Event).where(col(Event.project_id).in_(projects), col(Event.kind).in_(list(EventKind)))
    query = query.where(col(Event.seq) > floor, ~col(Event.seq).in_(known) if known else true())
    return (await session.scalars(query.order_by(col(Event.seq)).limit(limit))).all()


async def floor_of(session: ReadSession, projects: Select[UUID], cursor: int | None, late: timedelta) -> int:
    """Where to begin behind `cursor` so that nothing is missed: `late` before it, because another entity's event with a lower
    number may have been committed after it. Without a cursor: behind everything that has happened."""
    if cursor is None:
        return int(await session.scalar(select(func.coalesce(func.max(col(Event.seq)), 0))) or 0)
    there = (col(Event.project_id).in_(projects), col(Event.kind).in_(list(EventKind)), col(Event.seq) <= cursor)
    last = select(col(Event.seq), col(Event.created_at)).where(*there).order_by(col(Event.seq).desc()).limit(CHUNK)
    found: Sequence[Any] = (await session.execute(last)).all()
    return min((seq - 1 for seq, moment in found if moment > found[0][1] - late), default=cursor)


async def forget(database: Database, entity_type: str, entity_id: UUID) -> None:
    """Remove what a thing that is gone had to say, a chunk per transaction; what people did with it stays in the timeline."""
    said = (col(Event.entity_type) == entity_type, col(Event.entity_id) == entity_id, col(Event.kind) != EventKind.audit)
    some = select(col(Event.seq)).where(*said).limit(CHUNK)
    gone = CHUNK
    while gone == CHUNK:
        async with database.transaction() as session:
            gone = len((await session.scalars(delete(Event).where(col(Event.seq).in_(some)).returning(col(Event.seq)))).all())
