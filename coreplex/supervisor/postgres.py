"""An embedded PostgreSQL: made once, run as our child, stopped fast.

Run directly, never through pg_ctl, which would detach it. On a Unix socket in a private folder only, so no port, and no password:
the kernel says who connects.
SIGTERM would wait for every client to leave, so it is stopped by SIGINT.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import asyncpg

from coreplex.supervisor.access import METHOD, write_access
from coreplex.supervisor.binaries import LEAST_POSTGRES, major_version
from coreplex.supervisor.identity import Account
from coreplex.supervisor.process import spawn, stop
from coreplex.supervisor.trouble import Trouble

USER = "coreplexml"
DATABASE = "coreplexml"
START_SECS = 60.0
LEFTOVER_SECS = 20.0
LEAST_SHARED_MEMORY = 64 * 1024**2
ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}


@dataclass
class Postgres:
    """A cluster in `data`, its socket in `sockets`; both folders' parents exist. `programs` holds `postgres` and `initdb`."""

    name: ClassVar[str] = "postgres"
    stop_signal: ClassVar[signal.Signals] = signal.SIGINT
    hurry_signal: ClassVar[signal.Signals] = signal.SIGQUIT
    pulse: ClassVar[None] = None
    grace_secs: ClassVar[float] = 30.0

    programs: Path
    data: Path
    sockets: Path
    log: Path
    account: Account | None = None
    flags: Sequence[str] = ()
    initdb_flags: Sequence[str] = ()
    child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def url(self, database: str = DATABASE) -> str:
        return f"postgresql://{USER}@/{database}?host={self.sockets}"

    def prepare(self) -> None:
        """Make the cluster when there is none; refuse one of another major version."""
        version = self.data / "PG_VERSION"
        major = major_version(self.programs)
        if major < LEAST_POSTGRES:
            raise Trouble(f"PostgreSQL {major} in {self.programs} is too old.", f"Use {LEAST_POSTGRES} or newer (POSTGRES_BIN).")
        if not version.exists():
            self._initdb(major)
        elif (made := version.read_text().strip()) != str(major):
            raise Trouble(
                f"the database in {self.data} was made by PostgreSQL {made}, this is {major}.",
                f"Dump it with version {made} and restore it here, or set POSTGRES_BIN to a folder of version {made}.",
            )
        write_access(self.data, self.account, USER)

    def start(self) -> None:
        """Start the server; `wait` tells when it answers."""
        self._forget_stale_pid()
        mmap = _shared_memory() < LEAST_SHARED_MEMORY
        extra = ["-c", "dynamic_shared_memory_type=mmap"] if mmap else []
        with self.log.open("ab") as output:
            self.child = spawn(
                [self.programs / "postgres", "-D", self.data, "-k", self.sockets, "-h", "", *extra, *self.flags],
                death_signal=signal.SIGINT,
                output=output,
                account=self.account,
                environment=ENVIRONMENT,
                folder=Path("/"),
            )

    def wait(self, pause: Callable[[float], None] = time.sleep, limit_secs: float = START_SECS) -> None:
        """Wait until a query is answered; Trouble with the end of the log when it never is."""
        deadline = time.monotonic() + limit_secs
        while not asyncio.run(self._answers()):
            if self.child is None or self.child.poll() is not None or time.monotonic() > deadline:
                raise Trouble("the embedded PostgreSQL did not start.", f"The end of {self.log}:\n{tail(self.log)}")
            pause(0.03)

    def ensure_database(self, name: str = DATABASE) -> None:
        asyncio.run(self._create(name))

    def stop(self) -> bool:
        return self.child is None or stop(self.child, self.stop_signal, self.grace_secs)

    def _initdb(self, major: int) -> None:
        """Into a folder aside, renamed when whole: a crash in the middle leaves no half cluster."""
        aside = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        if self.account:
            self.account.own(aside)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if major >= 17 else []
        fixed = ["-D", str(aside), "-U", USER, "-A", METHOD, "-E", "UTF8", "--locale=C", *locale]
        answer = subprocess.run(
            [self.programs / "initdb", *fixed, *self.initdb_flags],
            capture_output=True,
            text=True,
            errors="replace",
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            check=False,
            **(self.account.as_popen() if self.account else {}),
        )
        if answer.returncode:
            shutil.rmtree(aside, ignore_errors=True)
            raise Trouble(f"initdb could not make a database in {self.data}:", answer.stderr.strip())
        aside.rename(self.data)

    def _forget_stale_pid(self) -> None:
        """Wait for a left-over of ours to end; forget a pid that another program has by now (restarted containers).

        A pid that nobody has stays written: with it PostgreSQL finds back-ends that have not left yet.
        """
        file = self.data / "postmaster.pid"
        deadline = time.monotonic() + LEFTOVER_SECS
        while file.exists() and (command := _command_line(int((file.read_text().split() or ["0"])[0]))):
            if not Path(command[0]).name.startswith("postgres") or str(self.data) not in command:
                file.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                raise Trouble(f"another PostgreSQL runs on {self.data}.", f"Stop the process named in {file}.")
            else:
                time.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url("postgres"), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True

    async def _create(self, name: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"), timeout=10)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
                await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log file."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _command_line(pid: int) -> list[str]:
    """The words a live process was started with; none when there is no such process or no /proc."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _shared_memory() -> int:
    try:
        state = os.statvfs("/dev/shm")  # noqa: S108 looked at, nothing is written
    except OSError:
        return LEAST_SHARED_MEMORY
    return state.f_bavail * state.f_frsize
