"""The supervisor: everything on this machine, started in order, kept alive, stopped in order.

It is one thread in a loop, because the kernel's promise that children die with their parent follows the thread that made them.
It refuses before it makes: a port that is taken, a Redis that does not answer, a folder that cannot be used, a second server on
the same folder.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from coreplex.platform.revision import ask, at_head
from coreplex.platform.settings import Settings
from coreplex.supervisor import redis_url, report
from coreplex.supervisor.embedded import Embedded
from coreplex.supervisor.folder import DataFolder, Running
from coreplex.supervisor.logs import rotate
from coreplex.supervisor.part import Keeper, Part, Program, stop_together
from coreplex.supervisor.port import listen
from coreplex.supervisor.postgres import tail
from coreplex.supervisor.process import environment, python, spawn
from coreplex.supervisor.pulse import Pulse
from coreplex.supervisor.trouble import Trouble

READY_SECS = 120.0
MIGRATION_SECS = 600.0
CRASHES_AT_START = 3
WEB_GRACE_SECS = 15.0
WORKER_GRACE_SECS = 30.0
LOOK_EVERY_SECS = 0.2
ROTATE_EVERY_SECS = 30.0
HAS_ADMINISTRATOR = "SELECT EXISTS (SELECT FROM users WHERE role = 'admin')"


class Stopped(BaseException):
    """A signal asked to stop while something was waited for."""


class Supervisor:
    """One run of the server on this machine."""

    def __init__(self, settings: Settings) -> None:
        self.folder = DataFolder(settings.data_dir)
        self.settings = settings.model_copy(update={"data_dir": self.folder.path})
        self.signals = 0
        self.began = time.monotonic()
        self.stages: list[list[Keeper]] = []
        self.embedded: Embedded | None = None
        self.guide: subprocess.Popen[bytes] | None = None

    def run(self, journey: Sequence[str] = ()) -> int:
        """Start, serve until a signal, stop. `journey` is a command run once when everything is ready. Returns 0."""
        os.umask(0o077)  # what is made here is ours alone; what the embedded servers must reach is opened by name
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        try:
            self._start()
            self._serve(journey)
        except Stopped:
            report.say("Stopping …")
        finally:
            self._stop()
        report.say("Stopped. The next start finds everything as it was.")
        return 0

    def _start(self) -> None:
        if self.folder.taken:
            self.folder.hold()
        self.socket = listen(self.settings.host, self.settings.port)
        self.settings = self.settings.model_copy(update={"port": self.socket.getsockname()[1]})
        if self.settings.redis_url is not None:
            redis_url.look(self.settings.redis_url)
        self.embedded = embedded = Embedded(self.settings, self.folder)
        self.folder.check(embedded.account)
        self.folder.make(embedded.account)
        self.folder.hold()
        report.starting(self.settings, embedded.wants_postgres, embedded.wants_valkey)
        self._start_embedded(embedded)
        self._migrate()
        self._start_programs()
        self.folder.publish(
            Running(self.settings.base_url, os.getpid(), self.settings.database_url or "", self.settings.redis_url or "")
        )
        self._wait_until_ready()

    def _start_embedded(self, embedded: Embedded) -> None:
        embedded.make()
        for part in embedded.parts:
            self._keep([part])
        for part in embedded.parts:
            part.wait(self._pause)
        if embedded.postgres:
            embedded.postgres.ensure_database()
            self.settings = self.settings.model_copy(update={"database_url": embedded.postgres.url()})
        if embedded.valkey:
            embedded.valkey.forget_workers()
            self.settings = self.settings.model_copy(update={"redis_url": embedded.valkey.url()})

    def _migrate(self) -> None:
        """In a process of its own: the supervisor stays small, and a signal is answered at once."""
        if at_head(self.settings.database_url or ""):
            return
        log = self.folder.logs / "migrate.log"
        with log.open("wb") as output:
            command = python("-m", "coreplex.command.main", "migrate", "--json")
            child = spawn(command, death_signal=signal.SIGTERM, output=output, environment=self._environment())
        deadline = time.monotonic() + MIGRATION_SECS
        try:
            while child.poll() is None:
                if time.monotonic() > deadline:
                    raise Trouble("the migration of the database takes too long.", f"See {log}.")
                self._pause(0.02)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if child.returncode:
            raise Trouble("the database could not be migrated.", f"The end of {log}:\n{tail(log)}")

    def _start_programs(self) -> None:
        descriptor = self.socket.fileno()
        web, worker = self._environment(), self._environment(without=("ADMIN_EMAIL", "ADMIN_PASSWORD"))
        worker_command, web_command = python("-m", "workers"), python("-m", "asgi", "--fd", str(descriptor))
        self._keep(
            Program(f"worker {number}", worker_command, self._log("worker", number), worker, WORKER_GRACE_SECS, pulse=Pulse())
            for number in range(1, self.settings.worker_processes + 1)
        )
        self._keep(
            Program(f"web {number}", web_command, self._log("web", number), web, WEB_GRACE_SECS, (descriptor,), pulse=Pulse())
            for number in range(1, self.settings.web_processes + 1)
        )

    def _log(self, kind: str, number: int) -> Path:
        return self.folder.logs / f"{kind}-{number}.log"

    def _environment(self, without: Sequence[str] = ()) -> dict[str, str]:
        """What the children see: our own environment, and what was decided here."""
        decided = {
            "DATABASE_URL": self.settings.database_url or "",
            "REDIS_URL": self.settings.redis_url or "",
            "DATA_DIR": str(self.settings.data_dir),
            "PORT": str(self.settings.port),
            "PYTHONUNBUFFERED": "1",
        }
        return {name: value for name, value in (environment() | decided).items() if name not in without}

    def _keep(self, parts: Iterable[Part]) -> None:
        """Start the parts of one stage; stages are stopped in the reverse order."""
        self.stages.append([])
        for part in parts:
            keeper = Keeper(part)
            self.stages[-1].append(keeper)
            keeper.start()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECS
        while (answer := self._ask_ready()) != "ready":
            self._look(patient=False)
            if time.monotonic() > deadline:
                raise Trouble(f"the server did not get ready within {READY_SECS:.0f} s: {answer}", f"See {self.folder.logs}.")
            self._pause(0.05)

    def _ask_ready(self) -> str:
        host, port = self.socket.getsockname()[:2]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 compared, not bound
        connection = http.client.HTTPConnection(host, port, timeout=1)
        try:
            connection.request("GET", "/ready", headers={"Host": urlsplit(self.settings.base_url).netloc})
            answer = connection.getresponse()
            body = answer.read(4096).decode(errors="replace")
            return "ready" if answer.status == 200 else body
        except (OSError, http.client.HTTPException) as error:
            return f"no answer ({type(error).__name__})"
        finally:
            connection.close()

    def _serve(self, journey: Sequence[str]) -> None:
        administrator = ask(self.settings.database_url or "", HAS_ADMINISTRATOR)
        report.ready(self.settings, time.monotonic() - self.began, administrator is not False, demo=bool(journey))
        if journey:
            environment, output = self._environment(), sys.stdout.fileno()
            self.guide = spawn(journey, death_signal=signal.SIGTERM, output=output, environment=environment)
        rotated = time.monotonic()
        while True:
            self._look(patient=True)
            if time.monotonic() - rotated > ROTATE_EVERY_SECS:
                rotate(self.folder.logs)
                rotated = time.monotonic()
            self._pause(LOOK_EVERY_SECS)

    def _look(self, *, patient: bool) -> None:
        """Start again what has died; before the server was ever ready, give up after a few deaths."""
        for keeper in [keeper for stage in self.stages for keeper in stage]:
            status = keeper.look()
            if status is None:
                continue
            if not patient and keeper.crashes >= CRASHES_AT_START:
                raise Trouble(f"{keeper.part.name} does not start.", f"The end of {keeper.part.log}:\n{tail(keeper.part.log)}")
            report.died(keeper.part.name, status, keeper.part.log, keeper.silent_secs)
        if self.guide and self.guide.poll() is not None:
            self.guide = None

    def _pause(self, seconds: float) -> None:
        if self.signals:
            raise Stopped
        time.sleep(seconds)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1

    def _stop(self) -> None:
        """Web, workers, Valkey, PostgreSQL: each stage after the one that needs it. A second signal hurries."""
        if self.guide and self.guide.poll() is None:
            self.guide.terminate()
        for stage in reversed(self.stages):
            for name in stop_together([keeper.part for keeper in stage], lambda: self.signals > 1):
                report.say(f"{name} did not finish in time and was killed.")
        if self.embedded:
            self.embedded.forget_sockets()
        self.folder.release()
