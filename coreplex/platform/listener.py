"""Notifications of PostgreSQL: sent at commit, and heard by one LISTEN connection per process, which calls back for each.

A notification is a hint, never the truth: it may be lost while the line is down, so whoever follows also looks by itself every
few seconds, and whoever remembers something is told when the line was down.

What no process may go on with once it has changed is announced (`announce_change`): a row says it too, which every listener
looks for several times a second. So `certain` holds only while everything announced up to a second ago is known to be heard; and
who announced something waits until every process has said that it heard, or a second, in which those that have not stop being
certain.
"""

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from sqlalchemy import text

from coreplex.platform.database import WriteSession, is_unavailable
from coreplex.platform.identifier import new_id

TOPICS = "coreplex_events"
"""A notification `<topic>:<number>` on this channel rings the topic."""
CHECK_SECS = 0.4
CERTAIN_SECS = 1.0
"""How long a look holds."""
ANNOUNCED, AGREED = "coreplex_announced", "coreplex_agreed"
NAME = "coreplexml listener"
"""By which the server knows these connections: there are as many as processes that must hear."""
REMEMBERED = 1000
LOOK_BACK = timedelta(seconds=60)
"""Longer than any transaction takes: a row is older than the moment it can be seen."""
LISTENERS = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"
NEW = "SELECT id::text FROM announcements WHERE created_at > clock_timestamp() - $1::interval"
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
        self._certain_until = 0.0
        self._line = asyncio.Lock()
        self._known: OrderedDict[str, None] = OrderedDict()
        """Announcements that were heard."""
        self._agreed: OrderedDict[str, set[int]] = OrderedDict()
        """Which listeners have heard each, by their process of PostgreSQL."""
        self._more_agreed = asyncio.Event()
        self._connection: asyncpg.Connection[Any] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self.on(TOPICS, self._wake)
        self.on(ANNOUNCED, self._announced)
        self.on(AGREED, self._agree)

    @property
    def certain(self) -> bool:
        """Whether everything that was announced up to a second ago has been heard."""
        return self.connected and time.monotonic() < self._certain_until

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
        named = {"application_name": NAME}
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECS, command_timeout=CONNECT_SECS, server_settings=named)
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
                    self.connected, self._connection = True, connection
                    await self._look(connection)
                    for channel in heard:
                        self._tell(channel, "")
                    ready.set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), CHECK_SECS)
                if await self._look(connection):
                    for channel in heard - {AGREED, ANNOUNCED}:
                        self._tell(channel, "")
            raise ConnectionError("the connection was closed")
        finally:
            self._connection = None
            connection.terminate()

    async def _look(self, connection: Any) -> bool:
        """Whether something was announced that was not heard of; everything is, from now on."""
        began = time.monotonic()
        async with self._line:
            there = {row[0] for row in await connection.fetch(NEW, LOOK_BACK)}
        missed = there - self._known.keys()
        _remember(self._known, dict.fromkeys(missed))
        self._certain_until = began + CERTAIN_SECS
        return bool(missed)

    def _announced(self, identity: str) -> None:
        """Somebody announced something; what it was about was told before, on its own channel. Say that it was heard."""
        if identity:
            _remember(self._known, {identity: None})
            task = asyncio.create_task(self._say(identity))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _say(self, identity: str) -> None:
        connection = self._connection
        if connection is not None:
            with suppress(Exception):  # who waits for it waits a second, no more
                async with self._line:
                    await connection.execute("SELECT pg_notify($1, $2)", AGREED, f"{identity}:{connection.get_server_pid()}")

    def _agree(self, said: str) -> None:
        identity, _, pid = said.partition(":")
        if pid:
            _remember(self._agreed, {identity: self._agreed.get(identity, set()) | {int(pid)}})
            self._more_agreed.set()

    async def agreed(self, announced: Sequence[str]) -> None:
        """Wait until no process goes on with what was before these announcements: each has heard, or is certain no more."""
        ends = time.monotonic() + CERTAIN_SECS
        with suppress(TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with asyncio.timeout(CERTAIN_SECS):
                if await self._all_agree(announced):
                    return
        await asyncio.sleep(max(0.0, ends - time.monotonic()))

    async def _all_agree(self, announced: Sequence[str]) -> bool:
        """True once every process that listens has said that it heard; False when it is not known which do."""
        connection = self._connection
        if connection is None:
            return False
        async with self._line:
            listeners = {row[0] for row in await connection.fetch(LISTENERS, NAME)}
        while any(listeners - self._agreed.get(identity, set()) for identity in announced):
            self._more_agreed.clear()
            await self._more_agreed.wait()
        return True

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


def _remember(known: OrderedDict[str, Any], more: Mapping[str, Any]) -> None:
    known.update(more)
    while len(known) > REMEMBERED:
        known.popitem(last=False)


async def announce_change(session: WriteSession, channel: str, *payloads: str) -> None:
    """Tell all processes at commit, and have whoever opened the transaction wait until all of them have heard.

    When it returns, no process goes on with what was before, unless the database was away for it meanwhile.
    """
    identity = str(new_id())
    insert = text("INSERT INTO announcements (id, created_at) VALUES (CAST(:id AS uuid), clock_timestamp())")
    await session.execute(insert, {"id": identity})
    await notify(session, channel, *payloads)
    await notify(session, ANNOUNCED, identity)
    session.info.setdefault("announced", []).append(identity)


async def notify(session: WriteSession, channel: str, *payloads: str) -> None:
    """Tell all processes at commit, each payload by itself, or just that; nothing is told when the transaction rolls back."""
    told = text("SELECT pg_notify(:channel, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")
    await session.execute(told, {"channel": channel, "payloads": payloads or ("",)})
