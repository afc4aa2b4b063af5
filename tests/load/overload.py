"""Lists a second at 8, 50 and 500 connections: what is left of the peak under overload, and how soon refusals come.

    python -m tests.load.overload ["the commit before"]

Each connection asks for the next list as soon as it has the last one; refused with Retry-After, it waits that long (an
`impatient` one does not). A load generator of its own process; appends a row for each to overload.md.
"""

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import uvloop

from tests.benchmarks import stack
from tests.benchmarks.load import LENGTH, request_bytes

CONNECTIONS = (8, 50, 500)
SECONDS, WARM = 6.0, 4.0
PATH = "/api/projects?limit=50"
HERE = Path(__file__).with_suffix(".md")
HEAD = """# Overload of reads

Measured by `tests/load/overload.py`: lists of 50 projects, one web process, closed loop, {seconds:.0f} s each, both on {machine}.
A connection that is refused waits as Retry-After says; an impatient one asks again at once.
Goal: at 500 connections at least 80 % of the peak, refusals within 50 ms.

The machine does other work too, so CPU time says more than the clock: "web CPU ms" is what the web process used for each list,
refusals included, and its inverse is what a core that has nothing else to do would answer.

| server | connections | lists/s | of the peak | web CPU ms | p50 ms | p99 ms | refused/s | refusals p50 ms | p99 ms | other |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""


@dataclass
class Tally:
    """Latencies of lists and of refusals between the warm-up and the end."""

    begins: float
    ends: float
    all: int = 0
    """Lists, the warm-up included."""
    lists: list[float] = field(default_factory=list)
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
                self.tally.lists.append(now - self.sent)
            elif status == b"503" and b"\r\nretry-after:" in self.buffer[:head].lower():
                self.tally.refusals.append(now - self.sent)
            else:
                self.tally.others += 1
        if status != b"200" and self.patient:
            asyncio.get_running_loop().call_later(1.0, self._send)
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(port: int, connections: int, patient: bool, key: str) -> dict[str, float]:
    request = request_bytes(port, PATH, headers={"Authorization": f"Bearer {key}"})
    loop, now = asyncio.get_running_loop(), time.perf_counter()
    tally = Tally(now + WARM, now + WARM + SECONDS)
    made = [
        await loop.create_connection(lambda: Connection(request, tally, patient), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.wait([protocol.done for _, protocol in made], timeout=WARM + SECONDS + 30)
    found = {"lists": len(tally.lists) / SECONDS, "refused": len(tally.refusals) / SECONDS, "others": float(tally.others)}
    found["all"] = float(tally.all)
    for name, values in (("list", sorted(tally.lists)), ("refusal", sorted(tally.refusals))):
        for part in (50, 99):
            found[f"{name}_{part}"] = values[len(values) * part // 100] * 1000 if values else 0.0
    return found


def measure(**options: Any) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.load.overload", orjson.dumps(options).decode()]
    found: dict[str, float] = orjson.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


def main(name: str) -> None:
    rows = []
    with stack.running() as ours:
        for number in range(100):
            ours.call("POST", "/api/projects", json={"name": f"Project {number}"})
        measure(port=ours.port, connections=8, patient=True, key=ours.key)
        found = {}
        for connections, patient in [*((count, True) for count in CONNECTIONS), (CONNECTIONS[-1], False)]:
            before = stack.cpu(ours.web)
            one = measure(port=ours.port, connections=connections, patient=patient, key=ours.key)
            found[connections, patient] = one | {"cpu": (stack.cpu(ours.web) - before) / max(1.0, one["all"]) * 1000}
    peak = max(one["lists"] for one in found.values())
    for (connections, patient), one in found.items():
        cells = [name, f"{connections}{'' if patient else ' impatient'}", f"{one['lists']:.0f}", f"{one['lists'] / peak:.0%}"]
        cells += [f"{one['cpu']:.1f}", f"{one['list_50']:.0f}", f"{one['list_99']:.0f}", f"{one['refused']:.0f}"]
        cells += [f"{one['refusal_50']:.1f}", f"{one['refusal_99']:.1f}", f"{one['others']:.0f}"]
        rows.append(f"| {' | '.join(cells)} |\n")
    text = HERE.read_text() if HERE.exists() else HEAD.format(seconds=SECONDS, machine=stack.cores())
    HERE.write_text(text + "".join(rows))
    print("".join(rows))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith("{"):
        sys.stdout.write(orjson.dumps(uvloop.run(load(**orjson.loads(sys.argv[1])))).decode())
    else:
        main(sys.argv[1] if len(sys.argv) > 1 else "now")
