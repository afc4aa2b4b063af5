"""A deadline in processor time, with a limit by the clock that is a multiple of it."""

import time

WALL_PER_CPU = 1.5
"""Seconds by the clock per second of processor time, where somebody waits for the answer."""


class CpuDeadline:
    """`over` once the process has used `seconds` of processor time, or `wall_per_cpu` times as many have passed by the clock.

    Processor time first: the same table gets the same answer on a busy machine.
    """

    def __init__(self, seconds: float, wall_per_cpu: float = WALL_PER_CPU) -> None:
        self._work_end = time.process_time() + seconds
        self._end = time.monotonic() + wall_per_cpu * seconds
        self.rushed = False
        """Whether it was the clock that ended something: on an idle machine there would have been time for it."""

    @property
    def over(self) -> bool:
        """Whether either limit is reached; sets `rushed` where it was the clock's."""
        if time.process_time() >= self._work_end:
            return True
        late = time.monotonic() >= self._end
        self.rushed |= late
        return late
