"""The end of the time a diagnosis may take."""

import time

PATIENCE = 1.5


class Deadline:
    """`over` once so many seconds of processor time are gone, or half as many more by the clock.

    Processor time first: the same table gets the same answer on a busy machine.
    """

    def __init__(self, seconds: float) -> None:
        self._work_end = time.process_time() + seconds
        self._end = time.monotonic() + PATIENCE * seconds

    @property
    def over(self) -> bool:
        return time.process_time() >= self._work_end or time.monotonic() >= self._end
