"""What the tests of the inference log share: what is logged, and the files that dead processes left."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from coreplex.platform.database import Database
from coreplex.serving.log.writer import InferenceWriter
from tests.factories.served import Served

AWAY = "postgresql://nobody@127.0.0.1:9/nothing"


async def inputs(served: Served) -> list[Any]:
    return [orjson.loads(row[0]) for row in await served.logged()]


async def dead(served: Served, folder: Path, *rows: Any) -> Path:
    """The file of a process that logged rows and was killed before it stored one."""
    before = files(folder)
    writer = InferenceWriter(Database(AWAY), folder)
    for row in rows:
        await served.record(writer, row)
    await writer.stop()
    (path,) = files(folder) - before
    return path


def files(folder: Path) -> set[Path]:
    return set(folder.glob("*.jsonl"))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 nobody tells us
            await asyncio.sleep(0.01)
