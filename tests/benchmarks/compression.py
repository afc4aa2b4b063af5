"""What compressing an answer costs and saves; writes compression.md.

    python -m tests.benchmarks.compression

The layer around an application that answers at once, so that nothing else is measured. CPU of the process, threads included.
"""

import asyncio
import platform
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from edge.compression import LARGE, LEAST, Compression
from edge.request import STATE, Exchange

PAGE = Path(__file__).with_suffix(".md")
ROWS = (10, 50, 500)
CODINGS = ("identity", "gzip", "zstd")
PASSES, REQUESTS = 7, 200


def answer(rows: int) -> bytes:
    """A list of projects as GraphQL answers it."""
    nodes = [
        {
            "id": str(uuid4()),
            "name": f"Project {number}",
            "description": "What this project is about",
            "role": "OWNER",
            "createdAt": f"2026-11-29T14:12:{number % 60:02}.{number * 7919 % 1_000_000:06}Z",
            "updatedAt": f"2026-11-29T15:{number % 60:02}:07.{number * 104729 % 1_000_000:06}Z",
        }
        for number in range(rows)
    ]
    return orjson.dumps({"data": {"projects": {"totalCount": rows, "nodes": nodes}}})


async def measured(body: bytes, coding: str) -> tuple[float, int]:
    """Milliseconds of CPU an answer and the bytes that are sent."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    sizes: list[int] = []

    async def send(message: Any) -> None:
        sizes.append(len(message.get("body", b"")))

    scope: dict[str, Any] = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", coding.encode())], "client": None}
    scope[STATE] = Exchange(scope, "session")
    layer: Any = Compression(app)
    spent = []
    for _ in range(PASSES):
        begin = time.process_time()
        for _ in range(REQUESTS):
            await layer(scope, None, send)
        spent.append((time.process_time() - begin) / REQUESTS)
    return min(spent) * 1000, max(sizes)


async def main() -> None:
    lines = [
        "# Compression\n",
        f"Measured by `tests/benchmarks/compression.py`. A machine that does other work, Python {platform.python_version()};",
        f"least CPU of {PASSES} passes of {REQUESTS} answers, without the rest of a request (a list of 50 costs 7 ms, of 500 28:",
        "[lists.md](lists.md)).",
        f"Answers below {LEAST >> 10} KiB are not compressed, those above {LARGE >> 10} KiB in a thread.\n",
        "| rows | coding | bytes | of plain | CPU ms |",
        "|---:|---|---:|---:|---:|",
    ]
    for rows in ROWS:
        body = answer(rows)
        for coding in CODINGS:
            cost, size = await measured(body, coding)
            lines.append(f"| {rows} | {coding} | {size:,} | {size / len(body):.0%} | {cost:.3f} |")
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
