"""Semaphores that are fair: between the callers of a process, and between the processes of a host.

Among callers the turn goes round, a caller's own requests keep their order (start-time fair queueing, Goyal, Vin & Cheng 1996,
every request of the same length), and none has more than its share. So whoever comes with one request waits for at most one of
each other caller, one that runs included where all places are that caller's, however many those have queued.

Processes share places as files in one folder, each locked by who holds it: the kernel lets go of a lock when its process dies,
however it dies.
"""

import asyncio
import fcntl
import heapq
import os
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from coreplex.errors.tree import Busy, Message

REMEMBERED = 1000
LOOK_SECS = 0.05
"""How often a waiting process looks: a file lock calls nobody."""

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
        self.taken: dict[str, int] = {}
        self.used = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._waiting_in_all = 0
        self._line: list[tuple[int, int, str]] = []
        """A heap of the callers that wait: the round they are in, when they came, who."""
        self._arrivals = 0
        self._round = 0
        """Of the latest request that was given a place."""
        self._next: dict[str, int] = {}
        """The round of a caller's next request, where that is not the present one."""

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

    async def take(self, who: str, most: int | None = None) -> None:
        """A place until `give_back`. Raises Busy. At most `most` wait: the last ones of callers with the most go."""
        if not self.take_now(who):
            if most is not None:
                self._make_room(who, most)
            await self._wait(who)

    def take_now(self, who: str) -> bool:
        """Take a place if one is free. Nobody is overtaken: those who wait then are at their own limits."""
        if self.used >= self.limits.total or self.taken.get(who, 0) >= self.limits.each:
            return False
        self._give(who, max(self._round, self._next.get(who, 0)))
        return True

    def _give(self, who: str, round: int) -> None:
        self.used += 1
        self.taken[who] = self.taken.get(who, 0) + 1
        self._round = max(self._round, round)
        self._next[who] = round + 1
        if len(self._next) > REMEMBERED:
            self._next = {one: after for one, after in self._next.items() if after > self._round}

    def give_back(self, who: str) -> None:
        """Let go of a place; the next one in turn has it."""
        self.used -= 1
        left = self.taken[who] - 1
        if left:
            self.taken[who] = left
        else:
            del self.taken[who]
        if self._waiting:
            self._hand_out()

    @property
    def waiting_in_all(self) -> int:
        """How many requests wait."""
        return self._waiting_in_all

    def waiting(self, who: str) -> int:
        """How many requests of a caller wait."""
        return len(self._waiting.get(who, ()))

    async def _wait(self, who: str) -> None:
        if self.limits.waiting_each is not None and self.waiting(who) >= self.limits.waiting_each:
            raise self.busy()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if who not in self._waiting:
            self._waiting[who] = deque()
            self._line_up(who)
        self._waiting[who].append(turn)
        self._waiting_in_all += 1
        patience = self.limits.patience
        timer = None if patience is None else loop.call_later(patience, self._give_up, who, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._leave(who, turn)
            elif turn.exception() is None:
                self.give_back(who)  # the place came in the moment we were told to stop
            raise
        finally:
            if timer is not None:
                timer.cancel()
            del turn  # it holds the refusal, whose traceback holds this frame

    def _give_up(self, who: str, turn: "asyncio.Future[None]") -> None:
        if not turn.done():
            self._leave(who, turn)
            turn.set_exception(self.busy())

    def _make_room(self, who: str, most: int) -> None:
        while (left := self.waiting_in_all - most) >= 0:
            longest = max(self._waiting, key=self.waiting, default=who)
            if left == 0 and self.waiting(who) >= self.waiting(longest) - 1:
                raise self.busy()
            self._give_up(longest, self._waiting[longest][-1])

    def busy(self) -> Busy:
        return Busy(
            Message("too_many_wait", "The server is busy: too many requests wait for {what}.", what=self.what),
            retry_after=self.limits.retry_after,
        )

    def _leave(self, who: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(who)
        if queue is None or turn not in queue:
            return  # passed over already, when a place was handed out
        queue.remove(turn)
        self._waiting_in_all -= 1
        if not queue:
            del self._waiting[who]
            self._line = [place for place in self._line if place[2] != who]
            heapq.heapify(self._line)

    def _line_up(self, who: str) -> None:
        self._arrivals += 1
        heapq.heappush(self._line, (max(self._round, self._next.get(who, 0)), self._arrivals, who))

    def _hand_out(self) -> None:
        """Free places to the callers in turn, passing over those at their limit."""
        passed = []
        while self._line and self.used < self.limits.total:
            first = round, _, who = heapq.heappop(self._line)
            if self.taken.get(who, 0) >= self.limits.each:
                passed.append(first)
                continue
            queue = self._waiting[who]
            turn = queue.popleft()
            self._waiting_in_all -= 1
            left = turn.cancelled()  # its task has been told to stop, and has not come round to leave the queue
            if not left:
                self._give(who, round)
            if queue:
                self._line_up(who)
            else:
                del self._waiting[who]
            if not left:
                turn.set_result(None)
        for place in passed:
            heapq.heappush(self._line, place)


class HostPlaces:
    """`count` places called `name`, for all processes that name the same folder.

    Who waits first takes the lock of the line and keeps it until a place is free. A process that had to wait and wants a further
    place leaves the line to the others for longer than it takes them to look, so that none starves.
    """

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
