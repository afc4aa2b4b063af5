"""An embedded Valkey (or Redis), whose writes are on disk within a second (docs/decisions/0012).

On a Unix socket in a private folder only, with a password of this run that other programs of the same account do not know: it is
told on standard input, where no list of processes and no file shows it. It holds the queue and the rate limits, never the truth.
"""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import redis

from coreplex.supervisor.identity import Account
from coreplex.supervisor.postgres import tail
from coreplex.supervisor.process import spawn, stop
from coreplex.supervisor.trouble import Trouble

START_SECS = 60.0
DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction")
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


@dataclass
class Valkey:
    """A server with its files in `data` and its socket in `sockets`."""

    name: ClassVar[str] = "valkey"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    hurry_signal: ClassVar[signal.Signals] = signal.SIGKILL
    pulse: ClassVar[None] = None
    grace_secs: ClassVar[float] = 10.0

    program: Path
    data: Path
    sockets: Path
    log: Path
    account: Account | None = None
    flags: Sequence[str] = DURABLE
    password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def url(self, database: int = 0) -> str:
        return f"unix://:{self.password}@{self.sockets}/valkey.sock?db={database}"

    def prepare(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self.account:
            self.account.own(self.data)

    def start(self) -> None:
        """Start the server; `wait` tells when it answers."""
        socket = ["--port", "0", "--unixsocket", str(self.sockets / "valkey.sock"), "--unixsocketperm", "700"]
        told, telling = os.pipe()
        os.write(telling, f"requirepass {self.password}\n".encode())
        os.close(telling)
        with self.log.open("ab") as output:
            self.child = spawn(
                [self.program, *socket, "--dir", self.data, "--daemonize", "no", *self.flags, "-"],
                death_signal=signal.SIGTERM,
                output=output,
                account=self.account,
                environment=ENVIRONMENT,
                folder=Path("/"),
                stdin=told,
            )
        os.close(told)

    def wait(self, pause: Callable[[float], None] = time.sleep, limit_secs: float = START_SECS) -> None:
        """Wait until PING is answered, which is after the log of writes was read."""
        deadline = time.monotonic() + limit_secs
        while not self._answers():
            if self.child is None or self.child.poll() is not None or time.monotonic() > deadline:
                raise Trouble("the embedded Valkey did not start.", f"The end of {self.log}:\n{tail(self.log)}")
            pause(0.02)

    def stop(self) -> bool:
        return self.child is None or stop(self.child, self.stop_signal, self.grace_secs)

    def forget_workers(self) -> None:
        """Mark every worker known to the queue as dead, so that what they held is taken up at once.

        Only right where all workers run on this machine and none has been started yet.
        """
        with redis.Redis.from_url(self.url(), socket_timeout=5) as client:
            for key in client.scan_iter("*__heartbeats__"):
                known = client.zrange(key, 0, -1)
                if known:
                    client.zadd(key, dict.fromkeys(known, 0), xx=True)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url(), socket_timeout=5) as client:
                return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
