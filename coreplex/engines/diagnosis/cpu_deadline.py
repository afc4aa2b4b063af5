"""The end of the time a diagnosis may take."""

import time

PATIENCE = 1.5
"""Seconds by the clock for one of processor time, where somebody waits for the answer."""


class Deadline:
    """`over` once so many seconds of processor time are gone, or `patience` times as many by the clock.

    Processor time first: the same table gets the same answer on a busy machine.
    """

    def __init__(self, seconds: float, patience: float = PATIENCE) -> None:
        self._work_end = time.process_time() + seconds
        self._end = time.monotonic() + patience * seconds
        self.rushed = False
        """Whether it was the clock that ended something: on an idle machine there would have been time for it."""

    @property
    def over(self) -> bool:
        if time.process_time() >= self._work_end:
            return True
        late = time.monotonic() >= self._end
        self.rushed |= late
        return late
