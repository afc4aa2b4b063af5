"""Programs of npm against a real server, where Node is there."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.tools import ROOT, node_modules
from tests.graphql.conftest import address  # noqa: F401 a fixture

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs, the contract they are made for, and what they import."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "node_modules").symlink_to(node_modules())
    for path in (HERE / "package.json", *PROGRAMS.iterdir(), ROOT / "schema" / "schema.graphql"):
        shutil.copy(path, folder)
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
