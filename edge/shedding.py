"""Closes connections near the limit of open files, those that wait longest first, so that `accept` never fails for everybody.

Above the mark connections are closed that wait for their client to say something: first those of the network that holds most,
the oldest first. A request that is being answered is never touched. Where nobody can go the newcomer does, with 503.

The number of a new file is no count: it is the lowest free one, so it says nothing of those above the gap that somebody left.
Connections are counted, the other files of the process are looked at now and then.
"""

from collections import deque
from collections.abc import Collection, Iterable
from time import monotonic
from typing import Protocol, runtime_checkable

import structlog

from coreplex.platform import open_files
from coreplex.platform.rate import customer_network

log = structlog.get_logger()

KEPT_FREE = 8
"""One file in so many is kept for what is no connection: the database, uploads, models."""
BATCH = 8
"""So much of what one network holds is chosen at once, or a flood would be looked through for each newcomer."""
LOOK_SECS, LOOK_SHARE = 1.0, 0.02
"""Listing the open files takes a microsecond or more for each: done once a second, and in this share of the time at most."""
LOG_SECS = 10.0


@runtime_checkable
class Waiting(Protocol):
    """A connection that can tell whether it waits for its client, since when, and how to end it."""

    client: tuple[str, int] | None

    @property
    def waits_since(self) -> float | None: ...
    def shed(self) -> None: ...


class Shedding:
    """Counts the open files of one process, and chooses the connections that are closed."""

    def __init__(self) -> None:
        self._chosen: deque[Waiting] = deque()
        self._others = 0
        self._next_look = self._next_line = 0.0

    def admits(self, connections: Collection[object]) -> bool:
        """Whether the newcomer, who is one of these connections, may stay; above the mark another one goes for it."""
        most = open_files.limit()
        free = most // KEPT_FREE
        opened = self._opened(len(connections))
        if opened <= most - free:
            self._chosen.clear()
            return True
        # What is closed keeps its file until the loop comes round: a burst may take half of what is kept free. Two go for each,
        # so that there is room again afterwards.
        admitted = self._close(connections, 2) and opened <= most - free // 2
        now = monotonic()
        if now >= self._next_line:
            self._next_line = now + LOG_SECS
            log.warning("connections.shed", files_limit=most, opened=opened, newcomer_admitted=admitted)
        return admitted

    def _opened(self, connections: int) -> int:
        """How many files are open, so many connections among them."""
        now = monotonic()
        if now >= self._next_look:
            self._others = max(0, open_files.opened() - connections)
            self._next_look = now + max(LOOK_SECS, (monotonic() - now) / LOOK_SHARE)
        return connections + self._others

    def _close(self, connections: Iterable[object], count: int) -> bool:
        """Close so many that wait; whether there was one."""
        closed = 0
        while closed < count:
            if not self._chosen:
                self._chosen.extend(choose(connections))
            if not self._chosen:
                break
            one = self._chosen.popleft()
            if one.waits_since is not None:
                one.shed()
                closed += 1
        return closed > 0


def choose(connections: Iterable[object]) -> list[Waiting]:
    """The oldest waiting connections of the network that holds most."""
    held: dict[str, list[tuple[float, int, Waiting]]] = {}
    for number, one in enumerate(connections):
        if isinstance(one, Waiting) and (since := one.waits_since) is not None:
            network = customer_network(one.client[0]) if one.client else ""
            held.setdefault(network, []).append((since, number, one))
    heaviest = max(held.values(), key=len, default=[])
    return [one for *_, one in sorted(heaviest)[: len(heaviest) // BATCH + 1]]
