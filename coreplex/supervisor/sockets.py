"""The private folder of the embedded servers' sockets: `run` in the data folder, where nobody else may make anything.

Where no socket can be there (its path may have 107 bytes, and some file systems know none) it is a folder with a random name
among the temporary ones, and `run` a link to it: a name that can be foretold could be taken by others.
"""

import os
import shutil
import socket
import tempfile
from pathlib import Path

from coreplex.supervisor.identity import Account

PREFIX = "coreplexml-"
PROBE = ".s.PGSQL.test"
"""As long as the name of PostgreSQL's socket, the longest."""


def make_folder(data: Path, account: Account | None) -> Path:
    """The empty or left-over folder, private to the account that runs the servers. The data folder is held by us."""
    run = data / "run"
    if run.is_symlink():
        forget_folder(data)
    run.mkdir(mode=0o700, exist_ok=True)
    folder = run if _takes_sockets(run) else _elsewhere(run)
    folder.chmod(0o700)
    if account:
        account.own(folder)
    return folder


def forget_folder(data: Path) -> None:
    """Remove it, after both servers have ended."""
    run = data / "run"
    if run.is_symlink():
        target = run.readlink()
        if target.name.startswith(PREFIX):
            shutil.rmtree(target, ignore_errors=True)
        run.unlink()
    else:
        shutil.rmtree(run, ignore_errors=True)


def _takes_sockets(folder: Path) -> bool:
    path = folder / PROBE
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(os.fspath(path))
        except OSError:
            return False
    path.unlink()
    return True


def _elsewhere(run: Path) -> Path:
    run.rmdir()
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    run.symlink_to(made)
    return made
