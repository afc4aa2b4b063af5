"""Limits the memory of one process: near the limit requests are refused, and a process that stays there ends in order.

Above `SHORT` of the limit new requests are refused with 503, while those under way give back what they hold. A single allocation
that would go far beyond the limit fails (RLIMIT_DATA) and ends its request. A process that stays short, because memory leaked or
is in pieces, is to be replaced. So one process is late for a moment, in place of the kernel killing whichever it likes.
"""

import ctypes
import gc
import resource
import sys
import time
from contextlib import suppress
from typing import Self

import psutil  # type: ignore[import-untyped]
import structlog

from coreplex.errors.tree import Busy, Message
from coreplex.platform.services import Part, Services

SHORT = 0.8
PATIENT_SECS = 30.0
"""How long a process may be short without a break before it is replaced."""
CLEANING_SECS = 5.0
HEADROOM_BYTES = 512 << 20
"""Above the limit on resident memory: what may be reserved and never touched, the stacks of threads above all."""

log = structlog.get_logger(__name__)


def collect_rarely() -> None:
    """Have this process look for garbage less often, and never through what it has loaded by now."""
    gc.collect()
    gc.set_threshold(40_000, 10, 10)  # what lives for an answer ends with it; 10,000 such objects are five lists in work
    gc.freeze()  # the schema and the libraries stay; looking through them for garbage again and again costs every tenth request


class NoMemory(Busy):
    """What a request is told that came when there was none left, or needed more than there is."""

    def __init__(self) -> None:
        super().__init__(
            Message(
                "no_memory", "The server has no memory left for this at the moment; try again shortly, or ask for less at once."
            ),
            retry_after=5,
        )


class MemoryWatch(Part):
    """One process's resident memory beside its limit. Nothing is watched until somebody calls `look` again and again."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.short_since: float | None = None
        self._process = psutil.Process()
        self._next_cleaning = 0.0

    @classmethod
    def make(cls, services: Services) -> Self:
        return cls(services.settings.web_memory_bytes)

    @property
    def short(self) -> bool:
        return self.short_since is not None

    def limit_allocations(self) -> None:
        """Let what is asked for beyond the limit raise MemoryError. The soft limit only: a child may be given more by us."""
        with suppress(ValueError, OSError):
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (self.limit_bytes + HEADROOM_BYTES, hard))

    def look(self) -> bool:
        """Look at what is used now. True when the process has been short for too long."""
        mark, now = self.limit_bytes * SHORT, time.monotonic()
        if self._used() > mark and now >= self._next_cleaning:
            self._next_cleaning = now + CLEANING_SECS
            self._give_back()
        if (used := self._used()) <= mark:
            self.short_since = None
            return False
        if self.short_since is None:
            self.short_since = now
            log.warning("memory.short", used_bytes=used, limit_bytes=self.limit_bytes)
        return now - self.short_since > PATIENT_SECS

    def _used(self) -> int:
        return int(self._process.memory_info().rss)

    def _give_back(self) -> None:
        """What is free already is handed to the system: the allocator keeps it otherwise, and it looks as used."""
        gc.collect()
        if sys.platform == "linux":
            with suppress(AttributeError, OSError):  # musl has no such call
                ctypes.CDLL(None).malloc_trim(0)
