"""Notifications of PostgreSQL: sent at commit, and heard by one LISTEN connection per process, which calls back for each.

A notification is a hint, never the truth: it may be lost while the line is down, so whoever follows also looks by itself every
few seconds, and whoever remembers something is told when the line was down.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg
import structlog
from sqlalchemy import text

from coreplex.platform.database import WriteSession, is_unavailable

TOPICS = "coreplex_events"
"""A notification `<topic>:<number>` on this channel rings the topic."""
CHECK_SECS = 5.0
CONNECT_SECS = 3.0
LEAST_PAUSE_SECS, MOST_PAUSE_SECS = 0.1, 2.0

Callback = Callable[[str], None]
log = structlog.get_logger(__name__)


class Listener:
    """One connection to PostgreSQL that hears every channel somebody in this process asked for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._callbacks: dict[str, list[Callback]] = defaultdict(list)
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.connected = False
        self.on(TOPICS, self._wake)

    def on(self, channel: str, callback: Callback) -> None:
        """Call `callback(payload)` for every notification on the channel, and with "" when some may have been missed."""
        self._callbacks[channel].append(callback)
        self._changed.set()

    async def start(self) -> None:
        """Begin to listen; returns at once when the database is away, and goes on trying."""
        if self._task is None:
            ready = asyncio.Event()
            self._task = asyncio.create_task(self._run(ready), name="listener")
            await ready.wait()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    @contextmanager
    def subscribe(self, *topics: str) -> Iterator[asyncio.Event]:
        """An event that is set when one of the topics is rung, or might have been.

        `<entity_type>:<entity_id>` is rung when something was appended to the entity, others by whoever made them up.
        """
        bell = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(bell)
        try:
            yield bell
        finally:
            for topic in topics:
                self._waiting[topic].discard(bell)
                if not self._waiting[topic]:
                    del self._waiting[topic]

    def ring(self, topic: str) -> None:
        """Set the events of those who subscribed to the topic."""
        for bell in self._waiting.get(topic, ()):
            bell.set()

    async def _run(self, ready: asyncio.Event) -> None:
        pause = LEAST_PAUSE_SECS
        while True:
            try:
                await self._hear(ready)
            except Exception as error:
                if self.connected or pause == LEAST_PAUSE_SECS:
                    log.warning("listener.lost", error=f"{type(error).__name__}: {error}", weather=is_unavailable(error))
                pause = LEAST_PAUSE_SECS if self.connected else min(pause * 2, MOST_PAUSE_SECS)
            finally:
                self.connected = False
                ready.set()
            await asyncio.sleep(pause)

    async def _hear(self, ready: asyncio.Event) -> None:
        """One life of the connection; raises when it ends."""
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECS, command_timeout=CONNECT_SECS)
        ended = asyncio.Event()

        def on_end(_connection: Any) -> None:
            ended.set()
            self._changed.set()

        connection.add_termination_listener(on_end)
        heard: set[str] = set()
        try:
            while not ended.is_set():
                self._changed.clear()
                for channel in self._callbacks.keys() - heard:
                    await connection.add_listener(channel, self._on_notification)
                    heard.add(channel)
                if not self.connected:
                    self.connected = True
                    for channel in heard:
                        self._tell(channel, "")
                    ready.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), CHECK_SECS)
                await connection.execute("SELECT 1")
            raise ConnectionError("the connection was closed")
        finally:
            connection.terminate()

    def _on_notification(self, _connection: Any, _pid: int, channel: str, payload: object) -> None:
        self._tell(channel, str(payload))

    def _tell(self, channel: str, payload: str) -> None:
        for callback in self._callbacks[channel]:
            try:
                callback(payload)
            except Exception:
                log.exception("listener.callback", channel=channel)

    def _wake(self, payload: str) -> None:
        for topic in [payload.rpartition(":")[0]] if payload else self._waiting:
            self.ring(topic)


async def notify(session: WriteSession, channel: str, *payloads: str) -> None:
    """Tell all processes at commit, each payload by itself, or just that; nothing is told when the transaction rolls back."""
    told = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")
    await session.execute(told, {"channel": channel, "payloads": payloads or ("",)})
