"""Following an entity's events: first those that are there, then new ones as they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from uuid import UUID

from coreplex.errors.tree import Unavailable
from coreplex.event import service
from coreplex.event.table import Event, EventKind
from coreplex.platform.database import Database
from coreplex.platform.listener import CHECK_SECS, Listener


async def follow(
    database: Database,
    listener: Listener,
    entity_type: str,
    entity_id: UUID,
    cursor: int = 0,
    kinds: Sequence[EventKind] | None = None,
) -> AsyncIterator[Event]:
    """Every event of an entity beyond `cursor`, first those that are there, then new ones as they come; never ends by itself.

    Holds no connection while it waits, buffers no more than one chunk, and outlives an absence of the database.
    """
    with listener.subscribe(f"{entity_type}:{entity_id}") as bell:
        while True:
            bell.clear()
            try:
                async with database.read() as session:
                    events = await service.after(session, entity_type, entity_id, cursor, kinds)
            except Unavailable:
                events = []
            for event in events:
                cursor = event.seq or cursor
                yield event
            if len(events) < service.CHUNK:
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), CHECK_SECS)
