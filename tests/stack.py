"""The real thing: a web process and a worker as child processes, on a database, a Redis database and a folder of their own.

Slow to start (seconds), so one stack serves all tests of an xdist worker. A test that kills a process starts it again. The kernel
ends both when the test process dies, however it dies.
"""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import httpx
import redis

from coreplex.job.timing import Timing
from coreplex.platform.database import Database
from coreplex.platform.settings import Settings
from coreplex.supervisor.process import python, python_path, spawn
from tests import servers
from tests.factories.account import bearer, make_key, make_user
from tests.responses import check

ROOT = Path(__file__).resolve().parents[1]
ADMIN_EMAIL, ADMIN_PASSWORD = "admin@example.com", "correct-horse-battery"
READY_SECS = 240.0
GENEROUS = "100000/minute"
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP: each would read the system's certificates, which takes longer than what it asks for."""
TIMING = Timing(lease=4.0, beat=0.5, sweep=0.5, redispatch=2.0, watch=1.0, flush=0.1, backoff=0.1, backoff_most=0.5, drain=1.0)


@dataclass
class Stack:
    """Address and processes of a running server. `environment` is what both processes see beside the machine's own."""

    base_url: str
    database_url: str
    environment: dict[str, str]
    folder: Path
    web: tuple[str, ...] = ("-m", "asgi")
    """What the web process runs."""
    worker: tuple[str, ...] = ("-m", "workers")
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return Path(self.environment["DATA_DIR"])

    def start(self, *names: str) -> None:
        """Start `web`, `worker` or, without names, both, and wait until the whole is ready."""
        self.launch(*names)
        self.wait()

    def launch(self, *names: str) -> None:
        """Start them without waiting."""
        timing = [f"--{f.name.replace('_', '-')}={getattr(TIMING, f.name)}" for f in fields(Timing)]
        commands = {"web": python(*self.web), "worker": python(*self.worker, *timing)}
        for name in names or commands:
            with (self.folder / f"{name}.log").open("ab") as output:
                self.children[name] = spawn(
                    commands[name], death_signal=signal.SIGKILL, output=output, environment=self.environment, folder=ROOT
                )

    def wait(self) -> None:
        deadline = time.monotonic() + READY_SECS
        while not self.ready():
            dead = [name for name, child in self.children.items() if child.poll() is not None]
            assert not dead, f"{dead} ended by itself:\n{self.log()}"
            assert time.monotonic() < deadline, f"not ready after {READY_SECS} s:\n{self.log()}"
            time.sleep(0.05)

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/ready", verify=PLAIN).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self, name: str) -> None:
        """SIGKILL, no warning. Its own children end with it."""
        child = self.children.pop(name)
        child.kill()
        child.wait()

    def stop(self) -> None:
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children.clear()

    def log(self) -> str:
        """The end of what both processes wrote."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-3000:]}" for path in sorted(self.folder.glob("*.log")))

    def key(self, email: str | None = None, **options: Any) -> str:
        """A key of a new person."""

        async def make() -> str:
            database = Database(self.database_url, pool_size=1)
            try:
                return (await make_key(database, await make_user(database, email), **options))[1]
            finally:
                await database.close()

        return asyncio.run(make())

    @contextmanager
    def client(self, key: str | None = None) -> Iterator[httpx.Client]:
        """An HTTP client with a key, whose every answer is held against the description of the API."""
        headers = bearer(key or self.key())
        with httpx.Client(base_url=self.base_url, headers=headers, timeout=60, event_hooks=HOOKS, verify=PLAIN) as made:
            yield made


def _checked(response: httpx.Response) -> None:
    response.read()
    check(response)


HOOKS: dict[str, list[Any]] = {"response": [_checked]}


@contextmanager
def running(
    database_url: str,
    redis_url: str,
    folder: Path,
    web: tuple[str, ...] = ("-m", "asgi"),
    worker: tuple[str, ...] = ("-m", "workers"),
    **more: str,
) -> Iterator[Stack]:
    """A stack on servers that are there already; `more` are settings of its own."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    limits = {name.upper(): GENEROUS for name in Settings.model_fields if name.startswith("rate_limit_")}
    environment = {
        **os.environ,
        **limits,
        "PYTHONPATH": python_path(),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_URL": base_url,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DATA_DIR": str(folder / "data"),
        "ADMIN_EMAIL": ADMIN_EMAIL,
        "ADMIN_PASSWORD": ADMIN_PASSWORD,
        "TRAINING_THREADS": "1",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1",  # where the tests listen
        **more,
    }
    stack = Stack(base_url, database_url, environment, folder, web, worker)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@contextmanager
def beside(addresses: dict[str, str], worker_id: str, folder: Path, **more: str) -> Iterator[Stack]:
    """A stack for one xdist worker: a database of its own from the template, a Redis database no other test flushes."""
    name = f"coreplexml_stack_{worker_id}_{os.getpid()}"
    number = int(worker_id[2:]) if worker_id.startswith("gw") else 0
    external = os.environ.get("REDIS_URL") == addresses["redis"]
    redis_url = servers.redis_database(addresses["redis"], (12 if external else 64) + number)
    if external:
        with redis.Redis.from_url(redis_url) as cache:
            assert cache.dbsize() == 0, f"{redis_url} is not empty; the tests would delete what is in it"
    database_url = servers.make_database(addresses["database"], name, addresses["template"])
    try:
        with running(database_url, redis_url, folder, **more) as stack:
            yield stack
    finally:
        servers.flush(redis_url)
        servers.drop_database(addresses["database"], name)
