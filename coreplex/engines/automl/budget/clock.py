"""The wall-clock budget of a run: the whole budget, one model's share, and the time kept back for finishing well.

The budget counts from the start of the run. What comes after the last fit (ensemble, explanation, writing) is
measured while the run goes on and kept back, so that the end is a result and not a kill.
"""

import math
import time
from collections.abc import Callable


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
