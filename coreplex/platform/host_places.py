"""A semaphore that all processes of a host share: files in one folder, each locked by who holds it.

The kernel lets go of a lock when its process dies, however it dies. Who waits first takes the lock of the line and keeps it until
a place is free. A process that had to wait and wants a further place leaves the line to the others for longer than it takes them
to look, so that none starves.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from coreplex.platform.fair_places import FairPlaces

LOOK_SECS = 0.05
"""How often a waiting process looks: a file lock calls nobody."""


class HostPlaces:
    """`count` places called `name`, for all who name the same folder."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._line = folder / f"{name}.line"
        self._places = [folder / f"{name}.{number}" for number in range(count)]
        self._first = asyncio.Lock()  # who of this process looks

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the time of the block, as soon as one is free."""
        held = await self._take()
        try:
            yield
        finally:
            os.close(held)

    async def _take(self) -> int:
        await self._first.acquire()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            line = await _locked([self._line])
            try:
                return await _locked(self._places)
            finally:
                os.close(line)
        finally:
            waited = loop.time() - began > LOOK_SECS / 2
            loop.call_later(2 * LOOK_SECS if waited else 0, self._first.release)


async def _locked(paths: list[Path]) -> int:
    """The descriptor of the first of the files that could be locked; closing it lets go."""
    while True:
        for path in paths:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except OSError:
                os.close(descriptor)
        await asyncio.sleep(LOOK_SECS)


@asynccontextmanager
async def turn(fair: FairPlaces, host: HostPlaces) -> AsyncIterator[None]:
    """The caller's turn in this process, then this process's turn on the host. Raises Busy."""
    async with fair.place(), host.place():
        yield
