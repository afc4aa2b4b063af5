"""Places of something scarce, given in turn to the callers that wait for it, and to none more than its share.

Among callers the turn goes round (round-robin); a caller's own requests keep their order. So whoever comes with one request
waits for at most one of each other caller, however many those have queued.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from coreplex.errors import Busy

CALLER: ContextVar[str] = ContextVar("caller", default="server")
"""Whose work runs: set where a request says who asks; what the server does by itself is a caller of its own."""


@contextmanager
def working_for(caller: str) -> Iterator[None]:
    """The block's work counts as the caller's."""
    token = CALLER.set(caller)
    try:
        yield
    finally:
        CALLER.reset(token)


@dataclass(frozen=True)
class Limits:
    """How many places there are and how long a request may wait for one."""

    total: int
    each: int
    """Of them at most so many for one caller."""
    patience: float | None = None
    """Seconds after which a waiting request is told that the server is busy."""
    waiting_each: int | None = None
    """One caller's requests that may wait; more are told at once."""
    retry_after: int = 1
    """Seconds after which a refused request should come again."""


class FairPlaces:
    """The places of one process. `what`: what they are for, as a refusal says it: "a connection to the database"."""

    def __init__(self, limits: Limits, what: str) -> None:
        self.limits = limits
        self.what = what
        self.taken: Counter[str] = Counter()
        self.used = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Requests by caller; the caller whose turn is next comes first."""

    @asynccontextmanager
    async def place(self, caller: str | None = None) -> AsyncIterator[None]:
        """A place for the time of the block. Raises Busy."""
        who = CALLER.get() if caller is None else caller
        if not self.take_now(who):
            await self._wait(who)
        try:
            yield
        finally:
            self.give_back(who)

    async def take(self, who: str) -> None:
        """A place until `give_back`. Raises Busy."""
        if not self.take_now(who):
            await self._wait(who)

    def take_now(self, who: str) -> bool:
        """Take a place if one is free. Nobody is overtaken: those who wait then are at their own limits."""
        if self.used >= self.limits.total or self.taken[who] >= self.limits.each:
            return False
        self.used += 1
        self.taken[who] += 1
        return True

    def give_back(self, who: str) -> None:
        """Let go of a place; the next one in turn has it."""
        self.used -= 1
        self.taken[who] -= 1
        if not self.taken[who]:
            del self.taken[who]
        if self._waiting:
            self._hand_out()

    def waiting(self, who: str) -> int:
        """How many requests of a caller wait."""
        return len(self._waiting.get(who, ()))

    async def _wait(self, who: str) -> None:
        if self.limits.waiting_each is not None and self.waiting(who) >= self.limits.waiting_each:
            raise self.busy()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(who, deque()).append(turn)
        patience = self.limits.patience
        timer = None if patience is None else loop.call_later(patience, self._give_up, who, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(who)  # the place came in the moment we were told to stop
            else:
                self._leave(who, turn)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _give_up(self, who: str, turn: "asyncio.Future[None]") -> None:
        if not turn.done():
            self._leave(who, turn)
            turn.set_exception(self.busy())

    def busy(self) -> Busy:
        return Busy(f"The server is busy: too many requests wait for {self.what}.", retry_after=self.limits.retry_after)

    def _leave(self, who: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting[who]
        queue.remove(turn)
        if not queue:
            del self._waiting[who]

    def _hand_out(self) -> None:
        """Free places to the callers in turn, passing over those at their limit."""
        while self.used < self.limits.total:
            who = next((one for one in self._waiting if self.taken[one] < self.limits.each), None)
            if who is None:
                return
            queue = self._waiting[who]
            turn = queue.popleft()
            if queue:
                self._waiting.move_to_end(who)
            else:
                del self._waiting[who]
            self.take_now(who)
            turn.set_result(None)
