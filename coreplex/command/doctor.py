"""`doctor`: one line per thing the server needs, and what to do about each that is wrong. Changes nothing."""

import asyncio
import ctypes
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiosmtplib
import asyncpg

from coreplex.command.environment import read_settings
from coreplex.errors.disk import shortage
from coreplex.platform.settings import Settings
from coreplex.platform.smtp import server_of
from coreplex.platform.storage import sha256_of
from coreplex.serving.log import dropped
from coreplex.serving.log.rejected import folder_in
from coreplex.serving.log.spool import left_behind, spool_in
from coreplex.supervisor import redis_url
from coreplex.supervisor.binaries import LEAST_POSTGRES, major_version, postgres_folder, valkey_server
from coreplex.supervisor.folder import DataFolder, Running
from coreplex.supervisor.identity import unprivileged
from coreplex.supervisor.port import listen
from coreplex.supervisor.trouble import Trouble

ALIVE = "SELECT count(*) FROM workers WHERE seen_at BETWEEN now() - interval '30 seconds' AND now()"
SERVED = """
    SELECT d.id, d.name, a.storage_key AS key, a.sha256 FROM deployments d
    JOIN models m ON m.id = d.model_id JOIN artifacts a ON a.id = m.artifact_id WHERE d.status = 'active' ORDER BY d.id
"""
MOST_NAMED = 5
MAIL_SECS = 5.0


@dataclass(frozen=True)
class World:
    """What is looked at: the settings, the folder, and the server that runs on it, if one does."""

    settings: Settings
    folder: DataFolder
    running: Running | None

    @property
    def database_url(self) -> str | None:
        url = self.settings.database_url or (self.running.database_url if self.running else None)
        return f"postgresql://{url.partition('://')[2]}" if url else None

    @property
    def redis_url(self) -> str | None:
        return self.settings.redis_url or (self.running.redis_url if self.running else None)


def add_arguments(parser: ArgumentParser) -> None:
    """None: the environment says it all."""


def run(options: Namespace) -> int:
    settings = read_settings()
    folder = DataFolder(settings.data_dir)
    world = World(settings, folder, folder.running())
    problems = 0
    for name, check in CHECKS.items():
        try:
            print(f"ok       {name}: {check(world)}")
        except Trouble as trouble:
            problems += 1
            print(f"problem  {name}: {trouble.what} {trouble.remedy}")
    print("Everything is as it should be." if not problems else f"{problems} problem{'s' * (problems > 1)} found.")
    return 1 if problems else 0


def _python(_world: World) -> str:
    return sys.version.split()[0]


def _openmp(_world: World) -> str:
    if sys.platform != "linux":
        return "not needed here"
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        raise Trouble(
            "libgomp.so.1 is missing, LightGBM cannot train.", "Install it: apt-get install libgomp1 (or yum install libgomp)."
        ) from None
    return "libgomp.so.1 is there"


def _data_folder(world: World) -> str:
    embedded = not (world.settings.database_url and world.settings.redis_url)
    world.folder.check(unprivileged(world.folder.path / "postgres") if embedded else None)
    return f"{world.folder.path}{'' if world.folder.path.exists() else ' (made at the first start)'}"


def _disk(world: World) -> str:
    place = next(path for path in (world.folder.path, *world.folder.path.parents) if path.exists())
    if short := shortage(place):
        raise Trouble(f"{short}.", "Free some space or set DATA_DIR to another disk.")
    return f"{shutil.disk_usage(place).free / 1024**3:.1f} GB free"


def _inference_log(world: World) -> str:
    spool = spool_in(world.folder.path)
    if lost := str(dropped.read(spool)):
        raise Trouble(
            f"{lost}.",
            "The disk was full or broken then; the server's log says why (inference_log_lost). "
            f"Remove {dropped.path_in(spool)} to count anew.",
        )
    aside = [path.stat().st_size for path in folder_in(spool).glob("*") if path.is_file()]
    if aside:
        entries = "entry" if len(aside) == 1 else "entries"
        raise Trouble(
            f"{len(aside):,} {entries} ({sum(aside):,} bytes) could not be stored and were set aside.",
            f"Look at them in {folder_in(spool)}, a line of JSON each; the server's log says why (inference_log_set_aside). "
            f"Move the .jsonl files to {spool} to have them tried again, or delete them.",
        )
    waiting = left_behind(spool)
    return f"{waiting:,} bytes wait for a server to store them" if waiting else "nothing was left behind"


def _served_models(world: World) -> str:
    if world.database_url is None:
        return "looked at when the server runs"
    served = _fetch(world, SERVED)
    found = {key: _damage(world, key, sha256) for key, sha256 in {(row["key"], row["sha256"]) for row in served}}
    names = [f"“{row['name']}” ({row['id']}): {found[row['key']]}" for row in served if found[row["key"]]]
    if names:
        raise Trouble(
            f"{len(names)} of {len(served)} serving deployments have no model to load: {'; '.join(names[:MOST_NAMED])}.",
            "Put the file back from a backup, or roll back to another model and train this one again. A process that has the "
            "model loaded answers with it until it ends.",
        )
    return f"the files of {len(served)} serving deployments are those that were written"


def _damage(world: World, key: str, sha256: str) -> str:
    """What is wrong with a stored file; empty when nothing is."""
    path = world.settings.storage_dir / key
    try:
        return "" if sha256_of(path) == sha256 else f"{path} was changed since it was written"
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"


def _documents(world: World) -> str:
    path = world.settings.graphql_document_list
    if path is None:
        return "GRAPHQL_DOCUMENT_LIST is not set"
    # In a process of its own: whether a document is valid is said by the GraphQL schema, which nothing of the domain knows.
    command = [sys.executable, "-m", "schema.door.document_list", str(path)]
    looked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 our own module
    said = (looked.stdout or looked.stderr).strip().splitlines()
    if looked.returncode == 1:
        raise Trouble(f"{len(said)} of {path} are refused: {'; '.join(said[:5])}.", "Generate the list anew for this release.")
    if looked.returncode:
        raise Trouble(said[-1] if said else "the list could not be read.")
    return f"every document of {path} is valid"


def _port(world: World) -> str:
    if world.running:
        return f"the server runs at {world.running.url} (process {world.running.pid})"
    listen(world.settings.host, world.settings.port).close()
    return f"{world.settings.port} on {world.settings.host} is free"


def _database(world: World) -> str:
    if world.database_url is None:
        return f"embedded PostgreSQL {major_version(postgres_folder(world.settings.postgres_bin))}, started with the server"
    version = int(_ask(world, "SHOW server_version_num")) // 10_000
    if version < LEAST_POSTGRES:
        raise Trouble(f"PostgreSQL {version} is too old.", f"Use {LEAST_POSTGRES} or newer.")
    return f"PostgreSQL {version} answers"


def _migrations(world: World) -> str:
    from coreplex.migrations.migrate import head

    if world.database_url is None:
        return "done at the start"
    found = _ask(world, "SELECT version_num FROM alembic_version")
    if found != head():
        raise Trouble(f"the database is at revision {found}, this code needs {head()}.", "Run `coreplexml-server migrate`.")
    return f"at the newest revision, {found}"


def _queue(world: World) -> str:
    if world.redis_url is None:
        return f"embedded, {valkey_server(world.settings.redis_bin).name}, started with the server"
    return redis_url.look(world.redis_url)


def _mail(world: World) -> str:
    if world.settings.smtp_url is None:
        return "SMTP_URL is not set, mails wait in the outbox (`coreplexml-server outbox`)"
    server = server_of(world.settings.smtp_url.get_secret_value())
    try:
        asyncio.run(_greet(server))
    except (aiosmtplib.SMTPException, OSError) as error:
        place = f"{server['hostname']}:{server['port']}"
        raise Trouble(
            f"the mail server {place} does not take us ({type(error).__name__}: {error}).",
            "Check SMTP_URL and that the server runs; mails are tried again for a day.",
        ) from None
    return f"{server['hostname']}:{server['port']} answers"


async def _greet(server: dict[str, Any]) -> None:
    """Connect, EHLO, STARTTLS where offered, and sign in where SMTP_URL says how: all that comes before a mail."""
    async with aiosmtplib.SMTP(**server, timeout=MAIL_SECS) as client:
        await client.ehlo()


def _workers(world: World) -> str:
    if world.database_url is None:
        return "started with the server"
    alive = _ask(world, ALIVE)
    if alive == "0":
        raise Trouble("none has reported lately, no job will run.", "Start one: `coreplexml-server worker`, or `up` for all.")
    return f"{alive} at work"


def _administrator(world: World) -> str:
    if world.database_url is None:
        return "looked for when the server runs"
    if _ask(world, "SELECT count(*) FROM users WHERE role = 'admin'") == "0":
        raise Trouble("there is none.", "Make one: `coreplexml-server create-admin you@example.com`.")
    return "there is one"


def _ask(world: World, query: str) -> str:
    """The first value of a query's answer as text."""

    rows = _fetch(world, query)
    return str(rows[0][0] if rows else None)


def _fetch(world: World, query: str) -> list[asyncpg.Record]:
    """The rows of a query's answer."""

    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(world.database_url, timeout=5)
        try:
            return await connection.fetch(query)
        finally:
            await connection.close()

    try:
        return asyncio.run(ask())
    except asyncpg.UndefinedTableError:
        raise Trouble("the database has no tables yet.", "Run `coreplexml-server migrate`.") from None
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Trouble(
            f"PostgreSQL does not answer ({type(error).__name__}).", "Check DATABASE_URL and that the server runs."
        ) from None


CHECKS: dict[str, Callable[[World], str]] = {
    "python": _python,
    "openmp": _openmp,
    "data folder": _data_folder,
    "disk": _disk,
    "inference log": _inference_log,
    "served models": _served_models,
    "documents": _documents,
    "address": _port,
    "database": _database,
    "migrations": _migrations,
    "redis": _queue,
    "mail": _mail,
    "workers": _workers,
    "administrator": _administrator,
}
