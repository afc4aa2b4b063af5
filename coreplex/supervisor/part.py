"""A part that the supervisor keeps alive: started again with a growing pause when it dies."""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coreplex.supervisor.process import kill, spawn

FIRST_PAUSE_SECS = 0.25
LONGEST_PAUSE_SECS = 30.0
STEADY_SECS = 60.0


class Part(Protocol):
    """Anything with a child process: PostgreSQL, Valkey, a web process, a worker."""

    log: Path
    child: subprocess.Popen[bytes] | None

    @property
    def name(self) -> str: ...
    @property
    def stop_signal(self) -> signal.Signals: ...
    @property
    def hurry_signal(self) -> signal.Signals: ...
    @property
    def grace_secs(self) -> float: ...
    def start(self) -> None: ...


@dataclass
class Program:
    """A Python program of ours. SIGTERM once asks it to finish; it must be gone after the grace."""

    name: str
    command: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str]
    grace_secs: float
    pass_fds: Sequence[int] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.child = spawn(
                self.command,
                death_signal=signal.SIGKILL,
                output=output,
                environment=self.environment,
                pass_fds=self.pass_fds,
            )


@dataclass
class Keeper:
    """Watches one part. `crashes` counts deaths in a row; a steady minute forgives them."""

    part: Part
    crashes: int = 0
    started: float = 0.0
    due: float | None = None

    def start(self) -> None:
        self.part.start()
        self.started, self.due = time.monotonic(), None

    def look(self) -> int | None:
        """Start the part again when its pause is over. Returns the exit status when it is newly found dead."""
        if self.due is not None:
            if time.monotonic() >= self.due:
                self.start()
            return None
        child = self.part.child
        if child is None or (status := child.poll()) is None:
            return None
        now = time.monotonic()
        self.crashes = 1 if now - self.started > STEADY_SECS else self.crashes + 1
        self.due = now + min(LONGEST_PAUSE_SECS, FIRST_PAUSE_SECS * 2 ** (self.crashes - 1))
        return status


def stop_together(parts: Sequence[Part], hurried: Callable[[], bool]) -> list[str]:
    """Ask all to finish, wait for each one's grace, kill what is left. Returns the names of those killed."""
    alive = [(part, part.child) for part in parts if part.child and part.child.poll() is None]
    for part, child in alive:
        child.send_signal(part.stop_signal)
    begin, killed = time.monotonic(), []
    for part, child in alive:
        while child.poll() is None and time.monotonic() - begin < part.grace_secs and not hurried():
            time.sleep(0.02)
        if child.poll() is None:
            killed.append(part.name)
            child.send_signal(part.hurry_signal)
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                kill(child)
    return killed
