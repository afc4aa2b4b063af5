"""Remembers what callers were last told of their general budget, for the answers that are charged to nobody.

Every answer carries the headers (contract A.6), but `/health`, `/docs`, a 404, 405 or 415 take nothing and know no caller. To ask
who it is and what Redis has counted would make dear what is free, so this process repeats what it last told the same credential
or, without one, the same address. What other processes charged meanwhile is missing until the next charged answer.
"""

import time
from collections import OrderedDict

from coreplex.platform.rate import Window, identity
from edge.request import Exchange

MOST = 4096


class RateMemory:
    """The last windows of the callers seen lately, by the digest of their credential or by address."""

    def __init__(self) -> None:
        self._windows: OrderedDict[bytes | str, Window] = OrderedDict()

    def note(self, exchange: Exchange, window: Window) -> None:
        """Remember a charge. Answers overtake each other: within a window less is newer."""
        who = _who(exchange)
        before = self._windows.pop(who, window)
        self._windows[who] = before if (before.reset, -before.remaining) > (window.reset, -window.remaining) else window
        if len(self._windows) > MOST:
            self._windows.popitem(last=False)

    def last(self, exchange: Exchange) -> Window | None:
        """What the caller was told in the window that runs now."""
        found = self._windows.get(_who(exchange))
        return found if found is not None and found.reset > time.time() else None


def _who(exchange: Exchange) -> bytes | str:
    return exchange.shown.digest if exchange.shown else identity(None, exchange.address)
