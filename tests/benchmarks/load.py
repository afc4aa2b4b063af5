"""A small load generator: so many connections, each sending its next request when it has its answer.

    python -m tests.benchmarks.load '{"port": 8888, "path": "/health", "concurrency": 8, "seconds": 4}'

In a process of its own, so that its work is not counted as the server's. Answers must carry Content-Length. Prints one JSON
object: requests a second, percentiles in milliseconds, how many answers were not 2xx, and the generator's own CPU seconds.
"""

import asyncio
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Tally:
    """What the connections saw between the warm-up and the end."""

    begins: float
    ends: float
    latencies: list[float] = field(default_factory=list)
    failed: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection in a closed loop."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self.request, self.tally = request, tally
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.buffer, self.missing = b"", -1
        self.sent = time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.missing < 0:
            head = self.buffer.find(b"\r\n\r\n")
            found = LENGTH.search(self.buffer[:head]) if head >= 0 else None
            if found is None:
                return
            self.missing = head + 4 + int(found.group(1))
        if len(self.buffer) >= self.missing:
            self._answered(time.perf_counter())

    def _answered(self, now: float) -> None:
        if self.tally.begins <= self.sent and now <= self.tally.ends:
            self.tally.latencies.append(now - self.sent)
            self.tally.failed += self.buffer[9:10] != b"2"
        if now < self.tally.ends:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def request_bytes(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None, body: str = "") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


async def run(port: int, concurrency: int, seconds: float, warm: float = 0.3, **request: Any) -> dict[str, float]:
    loop, content = asyncio.get_running_loop(), request_bytes(port, **request)
    tally = Tally(time.perf_counter() + warm, time.perf_counter() + warm + seconds)
    made = [await loop.create_connection(lambda: Connection(content, tally), "127.0.0.1", port) for _ in range(concurrency)]
    await asyncio.gather(*(protocol.done for _, protocol in made))
    times = sorted(tally.latencies)
    return {
        "rps": len(times) / seconds,
        "p50": times[len(times) // 2] * 1000 if times else float("nan"),
        "p99": times[int(len(times) * 0.99)] * 1000 if times else float("nan"),
        "requests": len(times),
        "failed": tally.failed,
        "cpu": time.process_time(),
    }


def measure(**options: Any) -> dict[str, float]:
    """The same, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.load", orjson.dumps(options).decode()]
    found: dict[str, float] = orjson.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(uvloop.run(run(**orjson.loads(sys.argv[1])))).decode())
