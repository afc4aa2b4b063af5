"""Cancels work whose client has hung up."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from coreplex.errors.tree import CallerLeft, Message

Result = TypeVar("Result")
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

HUNG_UP = Message("client_hung_up", "The client hung up before the work was done.")
LATE_SECS = 0.5

CONNECTION: ContextVar[Receive | None] = ContextVar("connection", default=None)
"""What the client of this request says, set by the outermost layer; None where there is no client."""


async def while_connected(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of the work, which is cancelled when the client hangs up. Raises CallerLeft.

    For work that leaves nothing behind, asked for when the request's body was read.
    """
    receive = CONNECTION.get()
    if receive is None:
        return await work
    doing, watching = asyncio.create_task(work), asyncio.create_task(_hung_up(receive))
    try:
        await asyncio.wait({doing, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise CallerLeft(HUNG_UP)
        return doing.result()
    finally:
        for task in (doing, watching):
            task.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@contextmanager
def cancelled_by_departure() -> Iterator[None]:
    """Cancel the block when the client hangs up, which is looked for once it takes longer than `LATE_SECS`. Raises CallerLeft.

    The same for work that is mostly over before anybody could leave: until then it costs a timer.
    """
    receive, task, loop = CONNECTION.get(), asyncio.current_task(), asyncio.get_running_loop()
    if receive is None or task is None:
        yield
        return
    watching: list[asyncio.Task[None]] = []
    left = False

    async def watch() -> None:
        nonlocal left
        await _hung_up(receive)
        left = True
        task.cancel()

    timer = loop.call_later(LATE_SECS, lambda: watching.append(loop.create_task(watch())))
    try:
        yield
    except asyncio.CancelledError:
        if not left or task.uncancel() > 0:
            raise
        raise CallerLeft(HUNG_UP) from None
    finally:
        timer.cancel()
        for one in watching:
            one.cancel()
