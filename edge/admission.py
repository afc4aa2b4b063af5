"""Limits how many requests a process works on at once. A few others wait their turn; the rest is refused with 503.

Beyond a handful side by side nothing is answered sooner, and with hundreds everything times out half done. A burst may wait;
where the line has not been empty for two seconds it is no burst, and what is too much in it or would join it is refused at once,
before anything is looked up (Nichols & Jacobson 2012: a standing queue only adds delay).

A place is for a short request: whoever has not begun to answer after `SHORT_SECS` (a long poll, an upload, an export) gives it to
the next and goes on.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count

import structlog
from starlette.types import Scope

from coreplex.account.cache import AccessCache
from coreplex.errors.tree import Busy
from coreplex.platform.fair_places import CALLER, FairPlaces, Limits
from coreplex.platform.rate import identity
from coreplex.platform.services import Part, Services
from edge.request import Exchange

log = structlog.get_logger()

IN_WORK = Limits(total=16, each=12, patience=5.0)
BURST, STANDING = 256, 24
"""Requests that may wait: in a line that was empty lately, and in one that was not."""
STANDING_AFTER_SECS = 2.0
SHORT_SECS = 0.3
AGAIN_SECS, MOST_AGAIN_SECS, REFUSALS_A_SEC = 1, 10, 500
"""Told with a refusal: so many seconds that those who were refused come again at so many a second. Each costs a third of an
answer; thousands a second would leave no time for answers. A connection that asks again sooner waits for the rest of it."""
TOLD_EVERY_SECS = 60.0


class Admission(Part):
    """The requests that one process works on, and those that wait for a place."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.places = FairPlaces(IN_WORK, "an answer")
        self._empty_at = 0.0
        self._refused: dict[tuple[object, str], float] = {}
        """Who was refused on which connection, and until when they should wait."""
        self._ends: list[tuple[float, int, tuple[object, str]]] = []
        """The same as a heap, the next to end first: who was told ten seconds does not keep those behind it, told one."""
        self._numbers = count()
        self._told_at = -TOLD_EVERY_SECS
        self._since: dict[object, tuple[float, str]] = {}
        """When places were given, to whom; the oldest first."""
        self._timer: asyncio.TimerHandle | None = None
        """Runs while somebody waits."""

    async def enter(self, scope: Scope, who: str) -> object:
        """Wait for a caller's place; returns what gives it back with `leave`. Raises Busy."""
        if self._refused:
            await self._early(scope, who)
        if not self.places.take_now(who):
            try:
                self._watch()
                await self.places.take(who, self._most())
            except Busy as busy:
                busy.retry_after = self._refuse(scope, who)
                raise
        place = object()
        self._since[place] = time.monotonic(), who
        return place

    @asynccontextmanager
    async def place(self, scope: Scope) -> AsyncIterator[None]:
        """A place for what a connection asks for that is open already."""
        place = await self.enter(scope, CALLER.get())
        try:
            yield
        finally:
            self.leave(place)

    def leave(self, place: object) -> None:
        """Give a place back, if it is still held."""
        held = self._since.pop(place, None)
        if held is not None:
            self.places.give_back(held[1])

    def caller(self, exchange: Exchange) -> str:
        """Whose place: that of the owner of a credential that is known here, else the address's. Asks nobody."""
        principal = AccessCache.of(self.services).get(exchange.shown.digest) if exchange.shown else None
        return identity(principal, exchange.address)

    def _most(self) -> int:
        now = time.monotonic()
        if not self.places.waiting_in_all:
            self._empty_at = now
        return BURST if now - self._empty_at < STANDING_AFTER_SECS else STANDING

    def _watch(self) -> None:
        """Take places back that are held for long, now and as long as somebody waits for one."""
        self._timer = self._timer or asyncio.get_running_loop().call_later(SHORT_SECS, self._look)
        late = time.monotonic() - SHORT_SECS
        for place in [place for place, (since, _) in self._since.items() if since <= late]:
            self.leave(place)

    def _look(self) -> None:
        self._timer = None
        if self.places.waiting_in_all:
            self._watch()

    def _refuse(self, scope: Scope, who: str) -> int:
        """Remember it; returns the seconds after which they should come again."""
        now = time.monotonic()
        again = min(AGAIN_SECS + len(self._refused) // REFUSALS_A_SEC, MOST_AGAIN_SECS)
        connection = scope.get("client"), who
        self._refused[connection] = now + again
        heappush(self._ends, (now + again, next(self._numbers), connection))
        if now - self._told_at >= TOLD_EVERY_SECS:
            self._told_at = now
            log.warning("overload", in_work=self.places.used, waiting=self.places.waiting_in_all, caller=who)
        return again

    async def _early(self, scope: Scope, who: str) -> None:
        """Hold back a connection that was refused and does not wait: refusing it again and again would be all we do."""
        now = time.monotonic()
        while self._ends and self._ends[0][0] <= now:
            end, _, connection = heappop(self._ends)
            if self._refused.get(connection) == end:
                del self._refused[connection]
        until = self._refused.pop((scope.get("client"), who), now)
        if until > now:
            await asyncio.sleep(until - now)
