"""A whole server for a benchmark: started in a folder of its own with limits nobody meets, stopped and removed afterwards."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil  # type: ignore[import-untyped]

PEOPLE = {"ADMIN_EMAIL": "admin@example.com", "ADMIN_PASSWORD": "correct-horse"}
CATEGORIES = ("GENERAL", "PREDICTIONS", "TRAINING", "AUTHENTICATION")
LIMITS = {f"RATE_LIMIT_{name}": "100000000/minute" for name in CATEGORIES}
READY_SECS = 90.0


@dataclass
class Stack:
    """A running server."""

    folder: Path
    port: int
    supervisor: psutil.Process
    key: str = ""
    ready: float = 0.0
    """When it was, on `time.perf_counter`."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def database_url(self) -> str:
        found: str = orjson.loads((self.folder / "run.json").read_bytes())["database_url"]
        return found

    def call(self, method: str, path: str, **more: Any) -> Any:
        """A request with the key; the JSON of its answer."""
        answer = httpx.request(method, self.url + path, headers=self.headers, timeout=120, **more)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def processes(self, words: str = "") -> list[psutil.Process]:
        """Processes of the stack whose command line matches."""
        everyone = [self.supervisor, *self.supervisor.children(recursive=True)]
        return [process for process in everyone if re.search(words, " ".join(process.cmdline()))]

    @property
    def web(self) -> psutil.Process:
        (found,) = self.processes(r"-m asgi\b")
        return found


def cpu(process: psutil.Process) -> float:
    """CPU seconds it has used."""
    times = process.cpu_times()
    return float(times.user + times.system)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path | None = None, **environment: str) -> Iterator[Stack]:
    """A stack in `folder` (kept) or in a temporary one (removed)."""
    home = folder or Path(tempfile.mkdtemp(prefix="coreplexml-bench-"))
    home.chmod(0o755)  # as root the embedded database runs under another account
    port = free_port()
    said = {"PORT": str(port), "DATA_DIR": str(home), "SMTP_URL": ""} | PEOPLE | LIMITS | environment
    with (home / "supervisor.log").open("wb") as log:
        command = [sys.executable, "-P", "-m", "coreplex.command.main", "up"]
        child = subprocess.Popen(command, env=_environment(said), stdout=log, stderr=log)
    try:
        stack = Stack(home, port, psutil.Process(child.pid))
        _wait(stack, child)
        stack.ready = time.perf_counter()
        stack.key = _key(stack)
        yield stack
    finally:
        child.terminate()
        child.wait(60)
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)


def _environment(said: Mapping[str, str]) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    return known | {name: value for name, value in said.items() if value}


def _wait(stack: Stack, child: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + READY_SECS
    while time.monotonic() < end and child.poll() is None:
        try:
            if httpx.get(f"{stack.url}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the server does not start:\n" + (stack.folder / "supervisor.log").read_text()[-2000:])


def _key(stack: Stack) -> str:
    with httpx.Client(base_url=stack.url) as browser:
        login = browser.post("/api/auth/login", json={"email": PEOPLE["ADMIN_EMAIL"], "password": PEOPLE["ADMIN_PASSWORD"]})
        if login.is_error:
            raise RuntimeError(f"sign-in: {login.status_code} {login.text[:300]}")
        token = {"X-CSRF-Token": login.json()["csrf_token"]}
        scopes = {"name": "benchmark", "scopes": ["read", "write", "predict"]}
        made: str = browser.post("/api/auth/api-keys", json=scopes, headers=token).json()["key"]
        return made


def cores() -> str:
    """The machine in a few words."""
    return f"{os.cpu_count()} cores shared with other work, Python {sys.version.split()[0]}"
