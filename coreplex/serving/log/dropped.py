"""Counts what was answered and could not be logged, for all processes of a host together and over their restarts.

The count is a file of one length that lies there before it is needed and is written in place: a full disk has room for it.
Whoever removes it counts anew.
"""

import fcntl
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from coreplex.platform.storage import make_folder

SIZE = 256
"""Bytes of the file: a line of JSON and blanks."""


class Dropped(NamedTuple):
    """Requests that were answered and are not in the log, or not whole, and their rows."""

    requests: int = 0
    rows: int = 0
    first_at: str | None = None
    last_at: str | None = None

    def and_more(self, more: "Dropped") -> "Dropped":
        """With what was dropped later."""
        first, last = self.first_at or more.first_at, more.last_at or self.last_at
        return Dropped(self.requests + more.requests, self.rows + more.rows, first, last)

    def __str__(self) -> str:
        """In a sentence; empty when everything was logged."""
        if not self.rows:
            return ""
        return (
            f"answered and not logged on this host since {self.first_at}: {self.requests:,} requests with {self.rows:,} rows, "
            f"the last at {self.last_at}"
        )


class DropCount:
    """The host's count, and what this process could not yet add to it."""

    def __init__(self, spool: Path) -> None:
        self.path = path_in(spool)
        self._waiting = Dropped()
        self.save()

    @property
    def total(self) -> Dropped:
        """Of the host."""
        return read(self.path.parent).and_more(self._waiting)

    def add(self, rows: int, moment: datetime) -> None:
        """Count a request."""
        said = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        self._waiting = self._waiting.and_more(Dropped(1, rows, said, said))
        self.save()

    def retry(self) -> None:
        """Bring what could not be written before into the file."""
        if self._waiting.rows:
            self.save()

    def save(self) -> None:
        """Bring what waits into the file, and have one there for when the disk is full. What fails waits for the next time."""
        with suppress(OSError):
            make_folder(self.path.parent)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                total = _in(os.pread(file, SIZE, 0)).and_more(self._waiting)
                if os.pwrite(file, orjson.dumps(total._asdict()).ljust(SIZE - 1) + b"\n", 0) == SIZE:
                    self._waiting = Dropped()
            finally:
                os.close(file)


def path_in(spool: Path) -> Path:
    """The file of the host whose processes write into this folder."""
    return spool / "dropped.json"


def read(spool: Path) -> Dropped:
    """What is in the file; nothing when there is none."""
    try:
        return _in(path_in(spool).read_bytes())
    except OSError:
        return Dropped()


def _in(content: bytes) -> Dropped:
    try:
        found: dict[str, Any] = orjson.loads(content)
        return Dropped(**found)
    except (orjson.JSONDecodeError, TypeError):  # made just now, or cut when the disk was full
        return Dropped()
