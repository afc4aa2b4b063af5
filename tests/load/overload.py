"""Answers a second at 8, 50 and 500 connections and at three times the peak: what is left of it, and how soon refusals come.

    python -m tests.load.overload ["the commit before"]

Lists of 50 projects, and predictions of one row. Each connection asks again as soon as it has an answer; refused with
Retry-After, it waits that long (an `impatient` one does not). Three times the peak are so many connections that two thirds of
what they ask cannot be answered. A load generator of its own process; appends a row for each to overload.md.
"""

import asyncio
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop

from tests.benchmarks import passes, seed, stack
from tests.benchmarks.load import LENGTH, request_bytes

CONNECTIONS = (8, 50, 500)
SECONDS, WARM = 6.0, 4.0
OVERLOAD = 3
LISTS: dict[str, Any] = {"path": "/api/projects?limit=50"}
RETRY = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)
HERE = Path(__file__).with_suffix(".md")
HEAD = """# Overload

Measured by `tests/load/overload.py`: lists of 50 projects and predictions of one row, one web process, {seconds:.0f} s each, both
on {machine}. Closed loop: a connection that is refused waits as Retry-After says; an impatient one asks again
at once. "3 × the peak": twice the peak's answers a second of connections more, which wait as long as they are told.
Goal: at 500 connections and at 3 × the peak at least 80 % of the peak, refusals within 50 ms.

The machine does other work too, so CPU time says more than the clock: "CPU ms" is what the web process used for each answer,
refusals included, and its inverse is what a core that has nothing else to do would answer.

| server | asked | connections | answers/s | of peak | CPU ms | p50 ms | p99 ms | refused/s | refusals p50 ms | p99 ms | other |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""


@dataclass
class Tally:
    """Latencies of answers and of refusals between the warm-up and the end."""

    begins: float
    ends: float
    all: int = 0
    """Answers, the warm-up included."""
    answers: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    others: int = 0


class Connection(asyncio.Protocol):
    """One keep-alive connection in a closed loop."""

    def __init__(self, request: bytes, tally: Tally, patient: bool) -> None:
        self.request, self.tally, self.patient = request, tally, patient
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        if time.perf_counter() >= self.tally.ends or self.transport.is_closing():
            self.transport.close()
            return
        self.buffer, self.sent = b"", time.perf_counter()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        length = LENGTH.search(self.buffer[:head]) if head >= 0 else None
        if length is None or len(self.buffer) < head + 4 + int(length.group(1)):
            return
        status, now = self.buffer[9:12], time.perf_counter()
        self.tally.all += status == b"200"
        if self.tally.begins <= now <= self.tally.ends:
            if status == b"200":
                self.tally.answers.append(now - self.sent)
            elif status == b"503" and b"\r\nretry-after:" in self.buffer[:head].lower():
                self.tally.refusals.append(now - self.sent)
            else:
                self.tally.others += 1
        if status != b"200" and self.patient:
            again = RETRY.search(self.buffer[:head])
            asyncio.get_running_loop().call_later(int(again.group(1)) if again else 1, self._send)
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, connections: int, patient: bool, asked: dict[str, Any]) -> dict[str, float]:
    request = request_bytes(port, **asked)
    loop, now = asyncio.get_running_loop(), time.perf_counter()
    tally = Tally(now + WARM, now + WARM + SECONDS)
    made = [
        await loop.create_connection(lambda: Connection(request, tally, patient), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.wait([protocol.done for _, protocol in made], timeout=WARM + SECONDS + 30)
    found = {"answers": len(tally.answers) / SECONDS, "refused": len(tally.refusals) / SECONDS, "others": float(tally.others)}
    found["all"] = float(tally.all)
    for name, values in (("answer", sorted(tally.answers)), ("refusal", sorted(tally.refusals))):
        for part in (50, 99):
            found[f"{name}_{part}"] = values[len(values) * part // 100] * 1000 if values else 0.0
    return found


def measure(**options: Any) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.load.overload", orjson.dumps(options).decode()]
    found: dict[str, float] = orjson.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def measured(ours: stack.Stack, asked: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What was found, by the connections."""
    said: dict[str, Any] = {"port": ours.port, "asked": asked}
    measure(connections=8, patient=True, **said)
    wanted: dict[str, dict[str, Any]] = {str(count): {"connections": count, "patient": True} for count in CONNECTIONS}
    wanted[f"{CONNECTIONS[-1]} impatient"] = {"connections": CONNECTIONS[-1], "patient": False}
    found: dict[str, dict[str, float]] = {}
    for name, options in wanted.items():
        found[name] = _measured(ours, **said, **options)
    more = int((OVERLOAD - 1) * max(one["answers"] for one in found.values()))
    found[f"{OVERLOAD} × the peak"] = _measured(ours, connections=CONNECTIONS[0] + more, patient=True, **said)
    return found


def _measured(ours: stack.Stack, **options: Any) -> dict[str, float]:
    before = stack.cpu(ours.web)
    found = measure(**options)
    return found | {"cpu": (stack.cpu(ours.web) - before) / max(1.0, found["all"]) * 1000}


def rows_of(name: str, what: str, found: dict[str, dict[str, float]]) -> list[str]:
    """Rows of the table."""
    peak, rows = max(one["answers"] for one in found.values()), []
    for connections, one in found.items():
        cells = [name, what, connections, f"{one['answers']:.0f}", f"{one['answers'] / peak:.0%}", f"{one['cpu']:.1f}"]
        cells += [f"{one['answer_50']:.0f}", f"{one['answer_99']:.0f}", f"{one['refused']:.0f}", f"{one['refusal_50']:.1f}"]
        cells += [f"{one['refusal_99']:.1f}", f"{one['others']:.0f}"]
        rows.append(f"| {' | '.join(cells)} |\n")
    return rows


def main(name: str) -> None:
    trained = seed.train()
    with stack.running() as ours:
        for number in range(100):
            ours.call("POST", "/api/projects", json={"name": f"Project {number}"})
        deployment = seed.seed(ours, trained).deployment_id
        asked = {"method": "POST", "path": f"/api/mlops/deployments/{deployment}/predict"}
        predictions = {**asked, "body": passes.dumps({"inputs": trained.row})}
        rows = []
        for what, one in (("lists", LISTS), ("predictions", predictions)):
            rows += rows_of(name, what, measured(ours, {**one, "headers": ours.headers}))
    text = HERE.read_text() if HERE.exists() else HEAD.format(seconds=SECONDS, machine=stack.cores())
    HERE.write_text(text + "".join(rows))
    print("".join(rows))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("{"):
        sys.stdout.write(orjson.dumps(uvloop.run(load(**orjson.loads(sys.argv[1])))).decode())
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "now")
