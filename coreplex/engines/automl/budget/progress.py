"""How far a run is and what it is doing, told from its first second to its last and never backwards.

A thread tells it every second or so, because reading, encoding, a first round on a wide table or an explanation may take long
and ask no clock. The fraction is the share of the time or, where models are counted, of the models, whichever is
further; past its budget a run still comes closer to the end, which only the end itself reaches.
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from coreplex.engines.automl.budget.clock import Clock

_MOST_REPORTS = 1_000
_LEAST_SECS, _MOST_SECS = 1.0, 5.0


class Progress:
    """A context manager around a run. `tell(fraction, message)` is called from its thread and from the caller's."""

    def __init__(self, clock: Clock, tell: Callable[[float, str], None]) -> None:
        self._clock, self._tell = clock, tell
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._message, self._fraction, self._counted = "starting", 0.0, 0.0
        self._every = min(max(clock.budget / _MOST_REPORTS, _LEAST_SECS), _MOST_SECS)
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def doing(self, message: str) -> None:
        """What is done from now on."""
        self._message = message
        self._report()

    def counted(self, share: float) -> None:
        """How much of the number of models asked for there is."""
        self._counted = share
        self._report()

    def done(self, message: str) -> None:
        """Tell the end, fraction 1; nothing is told after it."""
        self._ended.set()
        with self._lock:
            self._tell(1.0, message)

    def _go_on(self) -> None:
        while not self._ended.wait(self._every):
            self._report()

    def _report(self) -> None:
        with self._lock:
            if not self._ended.is_set():
                self._fraction = max(self._fraction, 0.97 * min(self._share, 1.0) + 0.02 * self._late)
                self._tell(self._fraction, self._message)

    @property
    def _share(self) -> float:
        return max(self._clock.elapsed / self._clock.budget, self._counted)

    @property
    def _late(self) -> float:
        """From 0 to 1 as the run goes past its budget."""
        over = max(self._clock.elapsed / self._clock.budget - 1.0, 0.0)
        return over / (over + 0.1)
