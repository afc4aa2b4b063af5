"""Writes signs of life of a web or worker process for the supervisor that started it, and its stack when there are none.

A beat is a byte into a pipe, written by the event loop itself: a loop that does not come round gives none. The stack of every
thread is written by `faulthandler` into a file of the supervisor's, at SIGUSR1 and at a fault in native code, whatever Python is
doing; the supervisor puts it into the log as one JSON line.
"""

import faulthandler
import os
import signal
from argparse import ArgumentParser
from contextlib import suppress

BEAT_SECS = 1.0


class Heartbeat:
    """The process's side of a heartbeat. Without a supervisor `beat` does nothing, and stacks go to standard error."""

    def __init__(self, pipe: int | None = None, stacks: int | None = None) -> None:
        self._pipe = pipe
        if pipe is not None:
            os.set_blocking(pipe, False)
        if stacks is None:
            faulthandler.enable()
        else:
            faulthandler.enable(stacks)
            faulthandler.register(signal.SIGUSR1, stacks)

    def beat(self) -> None:
        """Say that the loop turns. A supervisor that does not listen, or is gone, is none of our business."""
        if self._pipe is not None:
            with suppress(OSError):
                os.write(self._pipe, b".")


def add_arguments(parser: ArgumentParser) -> None:
    """What the supervisor hands down: `--heartbeat` and `--stacks`, numbers of open files."""
    parser.add_argument("--heartbeat", type=int, help="pipe the supervisor listens to")
    parser.add_argument("--stacks", type=int, help="file the supervisor reads stacks from")
