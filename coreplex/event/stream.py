"""Following events of an entity, or of projects: first those that are there, then new ones as they come."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select

from coreplex.errors.tree import Unavailable
from coreplex.event import service
from coreplex.event.table import Event, EventKind
from coreplex.platform.clock import now
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


LATE = timedelta(seconds=10)
"""Within a project numbers are not handed out in the order of commits: so long a lower one may come after a higher one."""


class Taken:
    """Which events of a stream were given: all up to `floor`, and those beyond it by number."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.beyond: dict[int, datetime] = {}

    def add(self, event: Event) -> None:
        self.beyond[event.seq or 0] = event.created_at

    def settle(self, moment: datetime) -> None:
        """Forget single numbers of events that nothing can come before any more."""
        old = [seq for seq, created in self.beyond.items() if created < moment - LATE]
        self.floor = max(old, default=self.floor)
        self.beyond = {seq: created for seq, created in self.beyond.items() if seq > self.floor}


async def follow_projects(
    database: Database, listener: Listener, projects: Select[UUID], topics: Sequence[str], cursor: int | None
) -> AsyncIterator[Event]:
    """Every event of the projects beyond `cursor`, or from now on; never ends by itself. `topics` ring when there may be one.

    Each once, in the order they are found. Who comes back with a cursor may get those of the LATE before it again.
    """
    with listener.subscribe(*topics) as bell:
        taken: Taken | None = None
        while True:
            bell.clear()
            events: Sequence[Event] = ()
            with suppress(Unavailable):
                async with database.read() as session:
                    taken = taken or Taken(await service.floor_of(session, projects, cursor, LATE))
                    events = await service.beyond(session, projects, taken.floor, taken.beyond)
            for event in events:
                if taken is not None:
                    taken.add(event)
                yield event
            if taken is not None:
                taken.settle(now())
            if len(events) < service.CHUNK:
                with suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), CHECK_SECS)
