"""Interleaved passes of a load over several servers, and the table of their medians."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil  # type: ignore[import-untyped]

from tests.benchmarks.load import measure
from tests.benchmarks.stack import cpu


@dataclass
class Contestant:
    """A request to a server, and the processes whose CPU time is the server's."""

    name: str
    port: int
    request: Mapping[str, Any]
    processes: Sequence[psutil.Process]
    seen: list[dict[str, float]] = field(default_factory=list)

    def run(self, concurrency: int, seconds: float) -> None:
        before = sum(cpu(process) for process in self.processes)
        found = measure(port=self.port, concurrency=concurrency, seconds=seconds, **self.request)
        used = sum(cpu(process) for process in self.processes) - before
        # The warm-up is served too, and is in the CPU time but not in the count.
        found["cpu_ms"] = used / max(found["rps"] * (seconds + 0.3), 1) * 1000
        self.seen.append(found)

    def median(self, what: str) -> float:
        return statistics.median(one[what] for one in self.seen)

    def spread(self, what: str) -> str:
        values = [one[what] for one in self.seen]
        return f"{min(values):,.0f}-{max(values):,.0f}"


def interleaved(contestants: Sequence[Contestant], passes: int, concurrency: int, seconds: float = 4.0) -> str:
    """Each in turn, so that a busy machine is busy for all; a Markdown table of medians. The first is what ratios are of."""
    for contestant in contestants:
        contestant.seen.clear()
    for _ in range(passes):
        for contestant in contestants:
            contestant.run(concurrency, seconds)
    base = contestants[0]
    lines = ["| server | requests/s (least-most) | × | p50 ms | p99 ms | server CPU ms | × less CPU | not 2xx |"]
    lines += ["|---|---|---:|---:|---:|---:|---:|---:|"]
    for one in contestants:
        ratio, lighter = one.median("rps") / base.median("rps"), base.median("cpu_ms") / one.median("cpu_ms")
        lines.append(
            f"| {one.name} | {one.median('rps'):,.0f} ({one.spread('rps')}) | {ratio:.2f} | {one.median('p50'):.2f} | "
            f"{one.median('p99'):.2f} | {one.median('cpu_ms'):.3f} | {lighter:.2f} | {sum(s['failed'] for s in one.seen):.0f} |"
        )
    return "\n".join(lines)


@contextmanager
def server(command: Sequence[str], port: int, path: str, environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """A server of another kind, until it answers on `path`; ended with its children."""
    child = subprocess.Popen(command, env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(child, f"http://127.0.0.1:{port}{path}")
        yield psutil.Process(child.pid)
    finally:
        for process in [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]:
            process.terminate()
        child.wait(30)


def _wait(child: "subprocess.Popen[bytes]", url: str) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and child.poll() is None:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} does not answer")


def dumps(body: Any) -> str:
    """A JSON body as the load generator takes it."""
    return orjson.dumps(body).decode()


def post(path: str, body: Any, **headers: str) -> dict[str, Any]:
    """A request as a contestant has it."""
    return {"method": "POST", "path": path, "headers": headers, "body": dumps(body)}


def write(name: str, text: str) -> None:
    """Show the tables and put them beside the script."""
    sys.stdout.write(text + "\n")
    Path(__file__).with_name(f"{name}.md").write_text(text + "\n")
