"""Word from the database to this process: one LISTEN connection, fanned out; and streams of events that miss nothing."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from coreplex.database import Database
from coreplex.event import service
from coreplex.event.table import Event, EventKind

log = structlog.get_logger()
Callback = Callable[[str], None]

RECONNECT_SECS = 1.0
PING_SECS = 5.0
SWEEP_SECS = 5.0


class Listener:
    """The process's ear on PostgreSQL. Callbacks run in the event loop and must not block."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._callbacks: dict[str, list[Callback]] = defaultdict(list)
        self._waiting: dict[tuple[str, str], set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self.on(service.CHANNEL, self._event)

    @property
    def connected(self) -> bool:
        """False while word may be missed: what is remembered must not be trusted then."""
        return self._up.is_set()

    def on(self, channel: str, callback: Callback) -> None:
        """Call back with each payload of a channel, and with "" after word may have been missed. Before `start` only."""
        self._callbacks[channel].append(callback)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._up.wait(), 5)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                log.warning("listener_disconnected", error=repr(error))
            finally:
                self._up.clear()
            await asyncio.sleep(RECONNECT_SECS)

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=3)
        try:
            for channel in self._callbacks:
                await connection.add_listener(channel, self._hear)
            for channel in self._callbacks:
                self._tell(channel, "")
            self._up.set()
            while not connection.is_closed():
                await asyncio.sleep(PING_SECS)
                await connection.execute("SELECT 1", timeout=PING_SECS)
        finally:
            connection.terminate()

    def _hear(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        self._tell(channel, str(payload))

    def _tell(self, channel: str, payload: str) -> None:
        for callback in self._callbacks[channel]:
            try:
                callback(payload)
            except Exception as error:
                log.error("listener_callback_failed", channel=channel, exc_info=error)

    def _event(self, payload: str) -> None:
        if not payload:
            for waiters in self._waiting.values():
                for waiter in waiters:
                    waiter.set()
            return
        entity_type, entity_id, _ = payload.split(":", 2)
        for waiter in self._waiting.get((entity_type, entity_id), ()):
            waiter.set()

    @contextlib.contextmanager
    def waiter(self, entity_type: str, entity_id: UUID) -> Any:
        """An asyncio.Event that is set whenever something happens to the entity."""
        key, waiter = (entity_type, str(entity_id)), asyncio.Event()
        self._waiting[key].add(waiter)
        try:
            yield waiter
        finally:
            self._waiting[key].discard(waiter)
            if not self._waiting[key]:
                del self._waiting[key]


async def follow(
    database: Database,
    listener: Listener,
    entity_type: str,
    entity_id: UUID,
    cursor: int = 0,
    kinds: Collection[EventKind] = (),
) -> AsyncIterator[Event]:
    """Events of an entity behind the cursor: first those that were, then those to come. Holds no session while waiting."""
    with listener.waiter(entity_type, entity_id) as waiter:
        while True:
            waiter.clear()
            async with database.read() as session:
                found = await service.after(session, entity_type, entity_id, cursor, kinds)
            for event in found:
                assert event.seq is not None
                cursor = event.seq
                yield event
            if not found:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(waiter.wait(), SWEEP_SECS)
