"""Starts and stops child processes, which never outlive this one (on Linux the kernel sees to it).

Every child has its own session, so that Ctrl-C in the terminal reaches the supervisor only, which then stops them in order.
Children must be spawned from the main thread: the parent-death signal follows the thread that made them.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from coreplex.supervisor.identity import Account

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def python(*arguments: str) -> list[str]:
    """Our interpreter, which takes no module from the folder it happens to be started in."""
    return [sys.executable, "-P", *arguments]


def python_path() -> str:
    """Where our children find the project, installed or not."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def environment() -> dict[str, str]:
    """What the programs of the server see: our own environment, and where they find the project.

    Many rows are scored by several threads, each with a member of the model (`coreplex.engines.scoring.ensemble`). Threads of
    OpenBLAS below them would take the cores only to wait for each other; unless told otherwise there are none.
    """
    return {"OPENBLAS_NUM_THREADS": "1"} | os.environ | {"PYTHONPATH": python_path()}


def spawn(
    command: Sequence[str | Path],
    *,
    death_signal: signal.Signals,
    output: IO[bytes] | int = subprocess.DEVNULL,
    account: Account | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    pass_fds: Sequence[int] = (),
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start a child that gets `death_signal` when this process dies; as `account` when we are root."""
    return subprocess.Popen(
        [str(part) for part in command],
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=None if environment is None else dict(environment),
        start_new_session=True,
        pass_fds=pass_fds,
        preexec_fn=_die_with_parent(death_signal),
        **(account.as_popen() if account else {}),
    )


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None] | None:
    libc, parent = _libc, os.getpid()
    if libc is None:
        return None

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def stop(child: subprocess.Popen[bytes], first: signal.Signals, grace_secs: float) -> bool:
    """Send `first` to the child alone; after the grace kill its whole group. True when it went by itself."""
    if child.poll() is not None:
        return True
    child.send_signal(first)
    try:
        child.wait(grace_secs)
    except subprocess.TimeoutExpired:
        kill(child)
        return False
    return True


def kill(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the child's group, and wait for the child."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        child.kill()
    child.wait()
