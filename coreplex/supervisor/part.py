"""A part that the supervisor keeps alive: started again when it dies, and killed first when it hangs.

The pause before a start grows only while the part does not get as far as to serve.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from coreplex.supervisor.logs import note
from coreplex.supervisor.process import kill, spawn
from coreplex.supervisor.pulse import Pulse

FIRST_PAUSE_SECS = 0.25
LONGEST_PAUSE_SECS = 30.0
STEADY_SECS = 2.0
"""A part without a heartbeat (PostgreSQL, Valkey) counts as having served after so long."""
SILENT_SECS, STARTING_SECS = 30.0, 120.0
"""How long a program may give no sign of life: once it serves, and before."""
DUMP_SECS = 1.0
"""Between the order to write down its stack and its end."""
AWAY_SECS = 2.0
"""When the supervisor itself did not look for so long (a machine that was stopped), nobody's silence counts."""


class Part(Protocol):
    """Anything with a child process: PostgreSQL, Valkey, a web process, a worker."""

    log: Path
    child: subprocess.Popen[bytes] | None

    @property
    def pulse(self) -> Pulse | None: ...
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
    pulse: Pulse | None = None
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        arguments, files = self.pulse.open() if self.pulse else ([], ())
        with self.log.open("ab") as output:
            self.child = spawn(
                [*self.command, *arguments],
                death_signal=signal.SIGKILL,
                output=output,
                environment=self.environment,
                pass_fds=(*self.pass_fds, *files),
            )
        if self.pulse:
            self.pulse.started(time.monotonic())


@dataclass
class Keeper:
    """Watches one part. `crashes` counts deaths in a row in which it never served."""

    part: Part
    crashes: int = 0
    started: float = 0.0
    due: float | None = None
    silent_secs: float | None = None
    """How long it had given no sign of life when it was killed for that."""
    _looked: float = 0.0
    _kill_at: float | None = None

    def start(self) -> None:
        self.part.start()
        self.started = self._looked = time.monotonic()
        self.due = self._kill_at = self.silent_secs = None

    def look(self) -> int | None:
        """Start the part again when its pause is over, end it when it hangs. Returns the status when it is newly found dead."""
        now = time.monotonic()
        if self.due is not None:
            if now >= self.due:
                self.start()
            return None
        child = self.part.child
        if child is None:
            return None
        if self.part.pulse:
            self._listen(self.part.pulse, child, now)
        if (status := child.poll()) is None:
            return None
        served = self.part.pulse.beats > 0 if self.part.pulse else now - self.started > STEADY_SECS
        self.crashes = 1 if served else self.crashes + 1
        self.due = now + min(LONGEST_PAUSE_SECS, FIRST_PAUSE_SECS * 2 ** (self.crashes - 1))
        if self.part.pulse and (stack := self.part.pulse.stack()):
            note(self.part.log, "part.stack", part=self.part.name, status=status, silent_secs=self.silent_secs, stack=stack)
        return status

    def _listen(self, pulse: Pulse, child: subprocess.Popen[bytes], now: float) -> None:
        """A program that is silent for too long is asked for its stack, and killed a moment later."""
        if now - self._looked > AWAY_SECS:
            pulse.since = now
        self._looked = now
        if pulse.hears(now):
            self._kill_at = self.silent_secs = None
        elif self._kill_at is not None:
            if now >= self._kill_at:
                child.kill()
                child.wait()
        elif now - pulse.since > (SILENT_SECS if pulse.beats else STARTING_SECS):
            self.silent_secs, self._kill_at = round(now - pulse.since, 1), now + DUMP_SECS
            child.send_signal(signal.SIGUSR1)


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
