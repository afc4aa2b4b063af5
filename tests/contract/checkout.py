"""A copy of the source with an environment of its own, and servers started from it as a person would start them."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from coreplex.supervisor.sockets import forget_folder

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ("schema", "resolvers", "rest_compat", "edge", "workers", "coreplex", "scripts")
FILES = ("asgi.py", "pyproject.toml", "requirements.lock", "requirements-test.lock")
READY_SECS = 90.0
GONE_SECS = 45.0
SERVER_SETTINGS = ("DATABASE_URL", "REDIS_URL", "DATA_DIR", "PORT", "HOST", "ADMIN_EMAIL", "ADMIN_PASSWORD", "EXTRAS", "MODE")


@dataclass
class Checkout:
    """The copy at `path`; `user` starts things in it (None: we ourselves)."""

    path: Path
    user: str | None = None

    @property
    def python(self) -> Path:
        return self.path / ".venv" / "bin" / "python"

    @property
    def program(self) -> Path:
        return self.path / ".venv" / "bin" / "coreplexml-server"

    def server(self, name: str = "data", **settings: str) -> "Server":
        return Server(self, self.path / name, settings)


@dataclass
class Server:
    """One server of a checkout, on a free port and a data folder of its own."""

    checkout: Checkout
    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    output: Path = field(init=False)

    def __post_init__(self) -> None:
        self.output = self.checkout.path / f"{self.data.name}.out"

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if name not in SERVER_SETTINGS}
        clean.pop("PYTHONPATH", None)
        return clean | {"PORT": "0", "DATA_DIR": str(self.data)} | self.settings

    def start(self, *options: str) -> "Server":
        """Run scripts/start and wait until the server says it is ready."""
        begin = len(self.said)
        with self.output.open("a") as output:
            started = self.process = subprocess.Popen(
                [self.checkout.path / "scripts" / "start", *options],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                user=self.checkout.user,
                group=None if self.checkout.user is None else "nogroup",
                extra_groups=None if self.checkout.user is None else [],
            )
        wait_for(lambda: "Ready after" in self.said[begin:] or started.poll() is not None, READY_SECS, lambda: self.said)
        assert started.poll() is None, self.said
        return self

    @property
    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    @property
    def running(self) -> dict[str, str]:
        return dict(json.loads((self.data / "run.json").read_text()))

    def family(self) -> dict[str, list[psutil.Process]]:
        """The live processes below the supervisor: `web`, `worker`, `postgres`, `valkey`, and all of them."""
        assert self.process is not None
        everyone = psutil.Process(self.process.pid).children(recursive=True)
        found: dict[str, list[psutil.Process]] = {"all": everyone, "web": [], "worker": [], "postgres": [], "valkey": []}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                words = child.cmdline()
                kind = "web" if "asgi" in words else "worker" if "workers" in words else child.name().split("-")[0]
                found.setdefault(kind, []).append(child)
        return found

    def get(self, path: str) -> int:
        """The status of an answer; 0 when there is none."""
        try:
            with urllib.request.urlopen(self.running["url"] + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def command(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a sub-command beside the server, as in a second terminal."""
        return subprocess.run(
            [self.checkout.program, *arguments],
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the supervisor alone and wait for its end. Returns its exit code; nothing of it may be left."""
        assert self.process is not None
        everyone = self.family()["all"]
        self.process.send_signal(number)
        code = self.process.wait(GONE_SECS)
        wait_for(lambda: not alive(everyone), GONE_SECS, lambda: f"left: {alive(everyone)}\n{self.said}")
        return code

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        forget_folder(self.data)


@contextlib.contextmanager
def checkout(path: Path, python: Path = Path(sys.executable), user: str | None = None) -> Iterator[Checkout]:
    """Copy the source to `path` and give it an environment that uses the packages of ours."""
    for name in SOURCE:
        shutil.copytree(ROOT / name, path / name)
    for name in FILES:
        shutil.copy2(ROOT / name, path / name)
    subprocess.run([python, "-m", "venv", "--without-pip", path / ".venv"], check=True, timeout=60)
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = path / ".venv" / "lib" / minor / "site-packages"
    (packages / "aaa_shared.pth").write_text(sysconfig.get_path("purelib"))
    stamps = (
        'root=$1; source "$root/scripts/environment.sh"; link_project; stamp_of requirements.lock >"$root/.venv/stamp-runtime"'
    )
    subprocess.run(["bash", "-euc", stamps, "bash", path], check=True, timeout=60)
    made = Checkout(path, user)
    if user:
        shutil.chown(path, user)
    try:
        yield made
    finally:
        shutil.rmtree(path, ignore_errors=True)


def alive(processes: list[psutil.Process]) -> list[str]:
    """Which of the processes still run; a zombie waits for its parent only."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {process.name()}")
    return found


def wait_for(condition: Callable[[], bool], limit_secs: float, explain: Callable[[], str]) -> None:
    """Wait until the condition holds; an assertion with the explanation when it never does."""
    deadline = time.monotonic() + limit_secs
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.05)
