"""Watches whether PostgreSQL answers at all, asked once a second on a connection of its own.

A server that is frozen, or behind a network that swallows packets, refuses nothing: whoever asks it waits for a timeout meant for
slow statements. Two questions unanswered in a row are silence, and then nobody waits for it; the first answer ends that. An
answer is anything the server says, a refusal too. Two, because this process may have been paused itself during one.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import asyncpg
import structlog

log = structlog.get_logger(__name__)

EVERY_SECS = 1.0
ANSWER_SECS = 1.25
MISSED = 2
"""With these, whoever waits is let go 3.5 s after the server fell silent."""


class Watch:
    """Asks one server again and again. `fell_silent` is called once when it stops answering."""

    def __init__(self, url: str, fell_silent: Callable[[], None]) -> None:
        self._url = url
        self._fell_silent = fell_silent
        self._connection: asyncpg.Connection | None = None
        self.silent = asyncio.Event()

    async def run(self) -> None:
        """Ask for ever."""
        missed = 0
        try:
            while True:
                missed = 0 if await self._answers() else missed + 1
                if missed == MISSED:
                    log.error("database_silent")
                    self.silent.set()
                    self._fell_silent()
                if not missed:
                    if self.silent.is_set():
                        log.warning("database_answers_again")
                    self.silent.clear()
                    await asyncio.sleep(EVERY_SECS)
        finally:
            self._hang_up()

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_SECS):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self._url)
                await self._connection.execute("SELECT 1")
        except TimeoutError:
            self._hang_up()
            return False
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._hang_up()
        return True

    def _hang_up(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                self._connection.terminate()
            self._connection = None
