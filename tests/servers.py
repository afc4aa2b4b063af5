"""Real PostgreSQL and Valkey for a test session, thrown away afterwards.

Started by the xdist controller, or by the first test that asks when there is none; its addresses go to the workers. Files in
shared memory where there is room, sockets in a fresh folder, so runs side by side never meet. The flags trade every safety for
speed: never for real data.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import redis

from coreplex.migrations.migrate import migrate
from coreplex.supervisor.binaries import postgres_folder, valkey_server
from coreplex.supervisor.identity import Account, unprivileged
from coreplex.supervisor.postgres import Postgres
from coreplex.supervisor.runtime import usable
from coreplex.supervisor.valkey import Valkey

MEMORY = Path("/dev/shm")
ROOM = 1024**3
FAST = "fsync=off synchronous_commit=off full_page_writes=off wal_level=minimal max_wal_senders=0 jit=off autovacuum=off"
FLAGS = [part for option in f"{FAST} max_connections=200".split() for part in ("-c", option)]
TABLES = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
AND NOT relispartition AND relname <> 'alembic_version' ORDER BY 1"""
"""Those that hold what the server knows. Partitions are made meanwhile by workers; their rows are those of the whole."""
VOLATILE = ("--save", "", "--appendonly", "no", "--databases", "128")


@dataclass
class Servers:
    """Both servers; `postgres.url(name)` and `valkey.url(number)` are their addresses."""

    postgres: Postgres
    valkey: Valkey
    folders: tuple[Path, ...]

    def restart_postgres(self) -> None:
        """Stop it fast, as in a failover, and bring it back."""
        self.postgres.stop()
        self.postgres.start()
        self.postgres.wait()

    def restart_valkey(self) -> None:
        """Stop it and bring it back; with these flags it comes back empty."""
        self.valkey.stop()
        self.valkey.start()
        self.valkey.wait()

    def stop(self) -> None:
        self.valkey.stop()
        self.postgres.stop()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def start() -> Servers:
    """Start both servers, empty."""
    account = unprivileged()
    sockets, data = _folder(Path("/tmp"), account), _folder(_roomy(), account)
    programs, program = usable(postgres_folder(), valkey_server(), account, data)
    assert programs is not None
    assert program is not None
    postgres = Postgres(programs, data / "postgres", sockets, data / "postgres.log", account, FLAGS, ["-N"])
    valkey = Valkey(program, data / "valkey", sockets, data / "valkey.log", account, VOLATILE)
    servers = Servers(postgres, valkey, (sockets, data))
    try:
        for server in (valkey, postgres):
            server.prepare()
            server.start()
        for server in (valkey, postgres):
            server.wait()
    except BaseException:
        servers.stop()
        raise
    return servers


@contextmanager
def running() -> Iterator[Servers]:
    """Servers of one's own, for tests that stop and restart them; unmigrated: `make_template` does that."""
    servers = start()
    try:
        yield servers
    finally:
        servers.stop()


def named(url: str, database: str) -> str:
    """The address of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def redis_database(url: str, number: int) -> str:
    """The address of another database of the same Redis."""
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={number}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{number}", query=""))


def make_template(url: str, name: str) -> None:
    """The migrated database that the others are copied from."""

    async def make() -> None:
        await _execute(url, f'CREATE DATABASE "{name}"')
        await migrate(named(url, name))
        await _execute(url, f'ALTER DATABASE "{name}" WITH is_template true allow_connections false')

    asyncio.run(make())


def make_database(url: str, name: str, template: str) -> str:
    """A fresh copy of the template; returns its address."""
    execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(url, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    return named(url, name)


def drop_database(url: str, name: str) -> None:
    execute(url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def drop_template(url: str, name: str) -> None:
    execute(url, f'ALTER DATABASE "{name}" WITH is_template false')
    drop_database(url, name)


def execute(url: str, statement: str) -> None:
    asyncio.run(_execute(url, statement))


class Emptier:
    """Deletes every row of every table of a database, foreign keys asleep, over a connection that is kept: 1 ms, not 20."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: asyncpg.Connection | None = None

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._runner.run(self._connection.close())
        self._runner.close()

    def empty(self) -> None:
        self._runner.run(self._empty())

    async def _empty(self) -> None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self.url, server_settings={"session_replication_role": "replica"})
            self._deletes = ";".join(f'DELETE FROM "{row[0]}"' for row in await self._connection.fetch(TABLES))
        await self._connection.execute(self._deletes)


def flush(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushdb()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _roomy() -> Path:
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM:
        return MEMORY
    return Path("/tmp")


def _folder(parent: Path, account: Account | None) -> Path:
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"cpx-{os.getpid()}-", dir=parent))
    if account:
        account.own(folder)
    return folder


def _sweep(parent: Path) -> None:
    """Remove what killed sessions left: folders named after a process that is gone."""
    for path in parent.glob("cpx-*-*"):
        pid = path.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            shutil.rmtree(path, ignore_errors=True)
