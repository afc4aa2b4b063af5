"""Work that ends when the one it is done for has hung up."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from coreplex.errors import CallerLeft

Result = TypeVar("Result")
Receive = Callable[[], Awaitable[Mapping[str, Any]]]

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
            raise CallerLeft("The client hung up before the work was done.")
        return doing.result()
    finally:
        for task in (doing, watching):
            task.cancel()
        await asyncio.gather(doing, watching, return_exceptions=True)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
