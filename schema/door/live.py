"""What long answers have in common, whatever carries them: a place per caller, a pulse, and an end when the credential ends."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from coreplex.errors import RateLimited, Unauthenticated, Unavailable
from coreplex.permissions import Principal

PULSE_SECS = 12.0
LIFETIME_SECS = 3600.0

Item = TypeVar("Item")
Check = Callable[[], Awaitable[None]]
SIGNED_OUT = Unauthenticated("The credential of this connection has ended; sign in again.")


class Places:
    """How many long answers each caller of this process may hold at once."""

    def __init__(self, limit: int, noun: str) -> None:
        self.limit = limit
        self.noun = noun
        self._taken: Counter[str] = Counter()

    def require(self, who: str) -> None:
        """Raise RateLimited when the caller has no place left."""
        if self._taken.get(who, 0) >= self.limit:
            raise RateLimited(f"At most {self.limit} {self.noun} at once; close one first.", retry_after=int(PULSE_SECS))

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """Hold a place for as long as the block runs."""
        self._taken[who] += 1
        try:
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]


async def confirm(sign_in_again: Callable[[], Awaitable[Principal | None]]) -> None:
    """Raise Unauthenticated when a credential that was good is so no longer. A database that is away proves nothing."""
    try:
        principal = await sign_in_again()
    except Unavailable:
        return
    if principal is None:
        raise SIGNED_OUT


async def pulsing(
    items: AsyncIterator[Item], still_allowed: Check, pulse: float = PULSE_SECS
) -> AsyncGenerator[Item | None, None]:
    """The items as they come, and None whenever `pulse` seconds pass without one.

    `still_allowed` is asked before each and raises to end the whole. Ends by itself after LIFETIME_SECS, so that no connection
    outlives a deployment for ever; a client that wants more comes back with its last cursor. Closes `items` in any case.
    """
    end = asyncio.get_running_loop().time() + LIFETIME_SECS
    task = asyncio.current_task()
    waiting: asyncio.Future[Item] | None = None
    try:
        # A cancellation that a library on the way here swallowed is still counted by the task.
        while asyncio.get_running_loop().time() < end and not (task and task.cancelling()):
            waiting = waiting or asyncio.ensure_future(anext(items))
            # Not wait_for: it would cancel the source, which then is over.
            await asyncio.wait({waiting}, timeout=pulse)
            await still_allowed()
            if not waiting.done():
                yield None
                continue
            finished, waiting = waiting, None
            try:
                item = finished.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        await _close(items, waiting)


async def _close(items: AsyncIterator[Item], waiting: "asyncio.Future[Item] | None") -> None:
    if waiting is not None:
        waiting.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
            await waiting
    close = getattr(items, "aclose", None)
    if close is not None:
        await close()
