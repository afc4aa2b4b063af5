"""Reads a program's heartbeat (`coreplex.platform.heartbeat`): when it was last heard of, and its stack."""

import os
import tempfile
from contextlib import suppress

STACK_BYTES = 64 << 10


class Pulse:
    """The heartbeat of one program, through all its restarts. Times are monotonic: a clock that is set kills nobody."""

    def __init__(self) -> None:
        self.beats = 0
        """Since the last start; a program beats once it serves."""
        self.since = 0.0
        self._pipe: int | None = None
        self._telling: int | None = None
        self._stacks = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 as long as the supervisor

    def open(self) -> tuple[list[str], tuple[int, int]]:
        """Arguments and files for the program that is about to be started."""
        self.close()
        self._pipe, self._telling = os.pipe()
        os.set_blocking(self._pipe, False)
        self._stacks.seek(0)
        self._stacks.truncate()
        self.beats = 0
        files = (self._telling, self._stacks.fileno())
        return ["--heartbeat", str(files[0]), "--stacks", str(files[1])], files

    def started(self, now: float) -> None:
        """The program runs and has its end of the pipe."""
        if self._telling is not None:
            os.close(self._telling)
        self._telling = None
        self.since = now

    def hears(self, now: float) -> bool:
        """Whether it was heard of since the last time one asked."""
        heard = b""
        if self._pipe is not None:
            with suppress(BlockingIOError):
                heard = os.read(self._pipe, 1 << 16)
        if heard:
            self.beats += len(heard)
            self.since = now
        return bool(heard)

    def stack(self) -> list[str]:
        """The lines that were dumped since the start, none in most lives."""
        text = os.pread(self._stacks.fileno(), STACK_BYTES, 0)
        return text.decode(errors="replace").splitlines()

    def close(self) -> None:
        for number in (self._pipe, self._telling):
            if number is not None:
                os.close(number)
        self._pipe = self._telling = None
