"""Counts predictions that were answered and are in no inference log, warns the caller, and alarms."""

import time
from datetime import datetime
from typing import Any

import structlog

from coreplex.errors.disk import is_full
from coreplex.errors.tree import StorageFull
from coreplex.platform.clock import now

log = structlog.get_logger()

ALARM_SECS = 10.0


class Unlogged:
    """Counts what one process could not log since it started. The server's log gets a line at most every `ALARM_SECS`."""

    def __init__(self) -> None:
        self.requests = self.rows = 0
        self.last: datetime | None = None
        self._reason = ""
        self._said, self._say_at = 0, 0.0

    def warning(self, rows: int, problem: Exception) -> dict[str, Any]:
        """Count a request and return the warning for its answer."""
        full = isinstance(problem, StorageFull) or is_full(problem)
        self._reason = "the server's storage is full" if full else f"writing failed ({type(problem).__name__}: {problem})"
        self.requests, self.rows, self.last = self.requests + 1, self.rows + rows, now()
        self.alarm()
        cause = "the server's storage is full" if full else "the server could not write it"
        return {"column": "", "kind": "not_logged", "message": f"The answer is not in the inference log: {cause}."}

    def alarm(self) -> None:
        """Tell the log what is new, unless it was told a moment ago."""
        if self._said < self.rows and time.monotonic() >= self._say_at:
            new = self.rows - self._said
            log.error("inference_log_lost", rows=new, rows_since_start=self.rows, reason=self._reason)
            self._said, self._say_at = self.rows, time.monotonic() + ALARM_SECS

    def __str__(self) -> str:
        """In a sentence; empty when everything was logged."""
        if self.last is None:
            return ""
        return (
            f"answered and not logged since this process started: {self.requests:,} requests with {self.rows:,} rows, "
            f"the last at {self.last:%Y-%m-%dT%H:%M:%SZ}: {self._reason}"
        )
