"""Generators and clients of others, outside our own environment, kept in an ignored folder between runs.

Where there is no network or no Node a test is skipped, and says so.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = Path(os.environ.get("CLIENT_TOOLS", ROOT / ".client-tools"))
INSTALL_SECS, RUN_SECS = 600, 600
NODE = 20
"""The oldest that runs the programs."""
NO_NETWORK = (
    *("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT"),
    *("NewConnectionError", "ConnectTimeoutError", "ReadTimeoutError"),
)
"""Words of npm and pip."""
PYTHON = ("openapi-python-client==0.29.1", "gql[httpx,websockets]==4.4.0")
LOCK = HERE / "package-lock.json"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
NPM = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]


def python_with(*packages: str) -> Path:
    """The interpreter of an environment that has them."""
    folder = _folder("python", " ".join((*packages, sys.version)))
    python = folder / "bin" / "python"
    with _alone(folder):
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, symlinks=True)
            _install([*PIP, "--python", str(python), "install", *packages], folder)
    return python


def node_modules() -> Path:
    """The packages of `package-lock.json`."""
    if shutil.which("node") is None or shutil.which("npm") is None or _node_version() < NODE:
        pytest.skip(f"needs Node {NODE} or newer, and npm")
    folder = _folder("node", LOCK.read_text())
    with _alone(folder):
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            for path in (LOCK, HERE / "package.json"):
                shutil.copy(path, folder)
            _install(NPM, folder)
    return folder / "node_modules"


def run(command: list[str], folder: Path, *, path: Path | None = None, seconds: int = RUN_SECS, **environment: str) -> str:
    """What a program said, on both streams. It must end well."""
    seen = {**os.environ, **environment}
    if path is not None:
        seen["PATH"] = os.pathsep.join([str(path), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env=seen, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _folder(kind: str, what: str) -> Path:
    return FOLDER / f"{kind}-{hashlib.sha256(what.encode()).hexdigest()[:12]}"


def _node_version() -> int:
    return int(subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip("v\n").split(".")[0])


def _install(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECS)
    said = done.stdout + done.stderr
    if done.returncode and any(word in said for word in NO_NETWORK):
        pytest.skip(f"the registry cannot be reached: {said[-500:]}")
    assert done.returncode == 0, said
    (folder / "whole").touch()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process of the tests at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
