"""Generators and clients of others, each in an environment of its own outside ours, kept in an ignored folder between runs.

Whatever cannot be installed here (no network, no Node) is a test that is skipped, and says so.
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

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("CLIENT_TOOLS", ROOT / ".client-tools"))
INSTALL_SECS, RUN_SECS = 600, 600


def python_with(*packages: str) -> Path:
    """The interpreter of an environment that has them."""
    folder = _folder("python", packages)
    python = folder / "bin" / "python"
    with _alone(folder):
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            venv.create(folder, with_pip=True)
            _install([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages], folder)
    return python


def node_with(*packages: str) -> Path:
    """A folder whose `node_modules` has them."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs Node and npm")
    folder = _folder("node", packages)
    with _alone(folder):
        if not (folder / "whole").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
            _install([npm, "install", "--no-audit", "--no-fund", "--save-exact", *packages], folder)
    return folder


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


def _folder(kind: str, packages: tuple[str, ...]) -> Path:
    said = " ".join((*packages, sys.version))
    return FOLDER / f"{kind}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _install(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"not installed within {INSTALL_SECS} s: {command}")
    if done.returncode != 0:
        pytest.skip(f"cannot be installed here: {(done.stdout + done.stderr)[-500:]}")
    (folder / "whole").touch()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process of the tests at a time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
