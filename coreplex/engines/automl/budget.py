"""The wall-clock budget of a run: all of it, one model's share, what is kept back to finish well, and how far it is used up.

The budget counts from the start of the run. What comes after the last fit (ensemble, explanation, writing) is measured while the
run goes on and kept back, so that the end is a result and not a kill.
"""

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Clock:
    """Wall-clock budget of one run, of which `spent` seconds are gone. `now` is injectable so that tests need not wait."""

    def __init__(
        self,
        budget: float,
        *,
        per_model: float | None = None,
        stopped: Callable[[], bool] = lambda: False,
        spent: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._stopped = stopped
        self.started = now() - spent
        self.deadline = self.started + budget
        self.per_model = per_model
        self.budget = budget
        self.finish = 0.0
        """Seconds the slowest model so far took to be written and explained."""

    @property
    def elapsed(self) -> float:
        """Seconds since the start of the run."""
        return self._now() - self.started

    @property
    def remaining(self) -> float:
        """Seconds to the very end."""
        return max(self.deadline - self._now(), 0.0)

    @property
    def reserve(self) -> float:
        """Seconds kept back: the slowest finish seen so far, twice (the ensemble is a bigger model), and a tenth more."""
        return min(min(max(0.05 * self.budget, 0.2), 15.0) + 2.0 * self.finish, 0.4 * self.budget)

    @property
    def left(self) -> float:
        """Seconds left for fitting; zero once the caller asked to stop."""
        return 0.0 if self._stopped() else self._fitting

    @property
    def _fitting(self) -> float:
        return self.deadline - self.reserve - self._now()

    @property
    def over(self) -> bool:
        """Whether nothing may be fitted any more."""
        return self.left <= 0.0

    @property
    def late(self) -> bool:
        """The reserve itself is half gone: finish with what there is."""
        return self._now() > self.deadline - 0.5 * self.reserve

    def finishing(self, seconds: float) -> None:
        """Remember how long one model took to be written and explained."""
        self.finish = max(self.finish, seconds)

    def share(self, parts: int, *, stoppable: bool = True, most: float = math.inf, least: float = 0.0) -> "Deadline":
        """The deadline of one model that may use a `parts`-th of what is left, and never more than its own limit, nor than `most`
        seconds; whatever is left, it may use `least`.

        Not `stoppable`: "stop and keep the best" lets it go on, for want of a best.
        """
        seconds = (self.left if stoppable else self._fitting) / max(parts, 1)
        if self.per_model is not None:
            seconds = min(seconds, self.per_model)
        return Deadline(self._now() + max(min(seconds, most), least), self._stopped if stoppable else _never, self._now)


def _never() -> bool:
    return False


class Deadline:
    """The moment one fit must end. Asked after every round of training."""

    def __init__(self, moment: float, stopped: Callable[[], bool], now: Callable[[], float]) -> None:
        self.moment = moment
        self._stopped = stopped
        self._now = now
        self.times_asked = 0
        """How often a learner looked at it: about once a round."""

    @property
    def left(self) -> float:
        """Seconds, 0 at least; zero once the caller asked to stop. Counts how often it is asked."""
        self.times_asked += 1
        return 0.0 if self._stopped() else max(self.moment - self._now(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether no time is left."""
        return self.left <= 0.0

    def part(self, parts: float) -> "Deadline":
        """The deadline of the next of `parts` equal pieces of what is left."""
        return Deadline(self._now() + self.left / max(parts, 1), self._stopped, self._now)

    @classmethod
    def never(cls) -> "Deadline":
        """A deadline that does not come."""
        return cls(float("inf"), _never, time.monotonic)


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
