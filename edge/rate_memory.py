"""Remembers what callers were last told of their general budget, for the answers that are charged to nobody.

Every answer carries the headers (contract A.6), but `/health`, `/docs`, a 404, 405 or 415, a handshake and what is no HTTP take
nothing and know no caller. To ask who it is and what Redis has counted would make dear what is free, so this process repeats what
it last told the same credential or, without one, the same network. What other processes charged meanwhile is missing until the
next charged answer.
"""

import time
from collections import OrderedDict

from coreplex.platform.rate import RateLimiter, Window, identity
from coreplex.platform.services import Part, Services
from edge.request import Exchange

REMEMBERED = 4096
STATE = "rates"
"""Its name in what the lifespan hands to the protocols."""


class RateMemory(Part):
    """What one process told its callers."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._windows: OrderedDict[bytes | str, Window] = OrderedDict()

    @property
    def _limiter(self) -> RateLimiter:
        return self.services.limiter

    def note(self, exchange: Exchange, window: Window) -> None:
        """Remember a charge. Answers overtake each other: within a window less is newer."""
        who = _who(exchange)
        before = self._windows.pop(who, window)
        newer = (before.reset, -before.remaining) > (window.reset, -window.remaining) and self._runs(before)
        self._windows[who] = before if newer else window
        if len(self._windows) > REMEMBERED:
            self._windows.popitem(last=False)

    def of_caller(self, exchange: Exchange) -> Window:
        """What the caller was told in the window that runs now."""
        return self._of(_who(exchange))

    def of_address(self, address: str) -> Window:
        """The same for strangers of its network: whoever sends what is no request cannot say who they are."""
        return self._of(identity(None, address))

    def _of(self, who: bytes | str) -> Window:
        found = self._windows.get(who)
        return found if found is not None and self._runs(found) else self._limiter.unused()

    def _runs(self, window: Window) -> bool:
        """Whether it is the one that runs now: it may have ended, or the clock was put back since."""
        return time.time() < window.reset <= self._limiter.unused().reset


def _who(exchange: Exchange) -> bytes | str:
    return exchange.shown.digest if exchange.shown else identity(None, exchange.address)
