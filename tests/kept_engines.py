"""Engines that outlive the test they were made for: what a long-lived process has warm need not be warmed up a thousand times.

A new connection costs PostgreSQL a process that knows no catalog, and a new engine compiles each statement anew: 99 tests of
GraphQL took 36 s with their own, and take 26 s with these. So a `Database` made for the database of the xdist worker gets the
engine of the last one with the same options, once that one is closed, and its idle connections, which need the event loop they
were opened in: it stays. What a test leaves running in it is cancelled when the test ends, as it would be with a loop of its
own.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from coreplex.platform import database


class KeptLoop(asyncio.SelectorEventLoop):
    """Is not closed at the end of a test; the threads it waited for then have ended."""

    def __init__(self) -> None:
        super().__init__()
        self._renew()

    def _renew(self) -> None:
        self.threads = ThreadPoolExecutor()
        self.set_default_executor(self.threads)

    async def shutdown_default_executor(self, *_: Any) -> None:
        before = self.threads
        self._renew()
        await self.run_in_executor(None, before.shutdown)

    async def shutdown_asyncgens(self) -> None:
        """Nothing: from then on it would take no generators any more."""

    def close(self) -> None:
        pass


@lru_cache
def loop() -> KeptLoop:
    """The one of this process."""
    return KeptLoop()


class KeptEngine(AsyncEngine):
    """Is free for the next `Database` once it is disposed of, unless something still holds a connection of it."""

    __slots__ = ("connect", "free")

    free: list["KeptEngine"]
    connect: Callable[..., Any]

    async def dispose(self, close: bool = True) -> None:
        pool = self.pool
        if pool.checkedout():  # type: ignore[attr-defined]  # of the pool there is
            await super().dispose(close)
        else:
            self.free.append(self)


class KeptEngines:
    """Those that are free, by their options."""

    def __init__(self, url: str) -> None:
        self.url = database.async_url(url)
        self._free: dict[str, list[KeptEngine]] = {}

    def create(self, url: str, **options: Any) -> AsyncEngine:
        """In place of `create_async_engine`."""
        if url != self.url:
            return create_async_engine(url, **options)
        arguments = options["connect_args"]
        connect = arguments.pop("async_creator_fn")
        free = self._free.setdefault(repr((options["pool_size"], arguments)), [])
        engine = free.pop() if free else self._made(url, options, free)
        engine.connect = connect
        return engine

    def _made(self, url: str, options: dict[str, Any], free: list[KeptEngine]) -> KeptEngine:
        async def connect(*given: Any, **more: Any) -> Any:
            return await made.connect(*given, **more)

        plain = create_async_engine(url, **options | {"connect_args": options["connect_args"] | {"async_creator_fn": connect}})
        made = KeptEngine(plain.sync_engine)
        made.free = free
        return made


@contextmanager
def kept(url: str) -> Iterator[None]:
    """Every `Database` at this address gets such an engine."""
    database.create_async_engine = KeptEngines(url).create
    try:
        yield
    finally:
        database.create_async_engine = create_async_engine
