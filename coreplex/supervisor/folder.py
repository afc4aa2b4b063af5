"""The data folder: looked at before it is made, held by one supervisor, and described for the commands beside it.

`lock` is held as long as the supervisor lives, whatever way it ends. `run.json` says where everything is; it may hold passwords
and is readable by the owner only.
"""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from coreplex.supervisor.identity import Account
from coreplex.supervisor.trouble import Trouble

ALREADY_RUNNING = 3


@dataclass(frozen=True)
class Running:
    """A server that runs: its address, its supervisor and its two stores."""

    url: str
    pid: int
    database_url: str
    redis_url: str


class DataFolder:
    """One server's folder. Nothing is written before `make`."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.logs = self.path / "logs"
        self._lock: IO[bytes] | None = None

    def check(self, account: Account | None) -> None:
        """Can it be made and used, also by the account of the embedded servers? Trouble says why not."""
        nearest = next(path for path in (self.path, *self.path.parents) if _visible(path))
        if not nearest.is_dir():
            raise Trouble(f"DATA_DIR={self.path} cannot be made: {nearest} is a file.", "Set DATA_DIR to another folder.")
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise Trouble(
                f"this account may not write to {nearest}.", f"Set DATA_DIR to a folder it may write to, not {self.path}."
            )
        reached = self.path.parent if nearest == self.path else nearest
        if account and not account.can_pass(reached):
            raise _unreachable(account, reached)
        if account and nearest == self.path and not account.can_pass(nearest) and not self._ours:
            raise _unreachable(account, nearest)

    def make(self, account: Account | None) -> None:
        """Make it private; as root others may pass through to the embedded servers' own folders, not look."""
        try:
            for parent in reversed([path for path in self.path.parents if not _visible(path)]):
                parent.mkdir()
                parent.chmod(0o755)
            self.path.mkdir(exist_ok=True, mode=0o700)
            if account and not account.can_pass(self.path):
                self.path.chmod(0o711)
            self.logs.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise Trouble(f"the data folder {self.path} cannot be made: {error.strerror}.", "Set DATA_DIR to another.") from error

    @property
    def _ours(self) -> bool:
        """Made by a supervisor before, or empty: only then its mode is ours to change."""
        return (self.path / "lock").exists() or not any(self.path.iterdir())

    def hold(self) -> None:
        """Take the folder for this process; Trouble with the other's address when it is taken."""
        file = open(self.path / "lock", "ab")  # noqa: SIM115 held until the process ends
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            other = self._read()
            where = f"at {other.url} (process {other.pid})" if other else "and is just starting or stopping"
            raise Trouble(
                f"the server of {self.path} already runs {where}.",
                "For a second one set another DATA_DIR and PORT.",
                exit_code=ALREADY_RUNNING,
            ) from None
        self._lock = file

    def release(self) -> None:
        """Give the folder back, if this process holds it."""
        if self._lock:
            (self.path / "run.json").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def publish(self, running: Running) -> None:
        aside = self.path / "run.json.new"
        aside.unlink(missing_ok=True)
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(running), file)
        aside.replace(self.path / "run.json")

    @property
    def taken(self) -> bool:
        """Does a supervisor hold it now?"""
        try:
            with open(self.path / "lock", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        except OSError:
            return _visible(self.path / "run.json")
        return False

    def running(self) -> Running | None:
        """The server that runs on it, if one does and we may know."""
        return self._read() if self.taken else None

    def _read(self) -> Running | None:
        try:
            return Running(**json.loads((self.path / "run.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None


def _visible(path: Path) -> bool:
    """Is it there, as far as this account can see? `Path.exists` raises below a folder that may not be entered."""
    return os.path.exists(path)


def _unreachable(account: Account, folder: Path) -> Trouble:
    return Trouble(
        f"the account {account.name}, which runs the embedded database, cannot reach {folder}.",
        "Set DATA_DIR to a folder below open parents, for example /var/lib/coreplexml-server, or set DATABASE_URL and REDIS_URL.",
    )
