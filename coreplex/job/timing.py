"""Periods of a worker, but for its housekeeping, in one place. Tests shorten them; nothing else does."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Timing:
    """Seconds. A dead worker's job is taken over within `lease` + `sweep`, plus what it takes to be noticed."""

    lease: float = 20.0
    """How long a claim holds without a heartbeat."""
    beat: float = 5.0
    """Between two heartbeats."""
    sweep: float = 5.0
    """Between two looks of the relay for what no notification told."""
    redispatch: float = 10.0
    """How old a message may get that is not waiting in the queue any more while its job still is."""
    watch: float = 5.0
    """Between two looks of the monitor at what moves by itself: rollouts, tests, drift, alerts, retrainings."""
    flush: float = 0.5
    """Between two writes of progress and logs."""
    backoff: float = 5.0
    """Before the second attempt of a job that asked for another one; doubled each time."""
    backoff_most: float = 300.0
    drain: float = 3.0
    """What a stopping worker gives its jobs to end by themselves."""

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after so many attempts."""
        return timedelta(seconds=min(self.backoff * 2 ** min(attempts - 1, 16), self.backoff_most))
