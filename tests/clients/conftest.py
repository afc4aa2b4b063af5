"""Programs of npm against a real server, where Node is there. They are installed into a folder of the test session."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.graphql.conftest import address  # noqa: F401 a fixture

HERE = Path(__file__).parent
NODE_SECS = 120
NO_NETWORK = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "ERR_SOCKET_TIMEOUT")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs and what they import."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    folder = tmp_path_factory.mktemp("clients")
    for path in (*HERE.glob("package*.json"), *HERE.glob("*.mjs")):
        shutil.copy(path, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NODE_SECS)
    if installed.returncode and any(word in installed.stderr for word in NO_NETWORK):
        pytest.skip("npm reaches no registry")
    assert installed.returncode == 0, installed.stderr
    return folder


class Program:
    """A program of Node that runs: the lines of JSON it writes, and what is said to it."""

    def __init__(self, process: Any) -> None:
        self.process = process

    async def heard(self) -> Any:
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        assert line, (await self.process.stderr.read()).decode()
        return json.loads(line)

    async def say(self) -> None:
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()


@asynccontextmanager
async def running(folder: Path, name: str, *arguments: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        "node",
        name,
        *arguments,
        cwd=folder,
        env={**os.environ, "NODE_ENV": "production"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
