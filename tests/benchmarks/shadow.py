"""What a shadow costs: predictions with one beside those without, and with one that is slow, hangs or dies; writes shadow.md.

python -m tests.benchmarks.shadow
"""

import asyncio
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]
import uvloop

from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.ensemble import Member
from tests.benchmarks import passes, seed, stack
from tests.benchmarks.load import Connection, Tally, request_bytes

PASSES, FEWER, SECONDS, SETTLE = 7, 1, 4.0, 1.0
IDLE_SECS = 4.0
CONNECTIONS, RATE = 4, 160.0
"""Requests a second of all connections together: the shadow is to score all of them, on a machine that has time for that."""
SLOWER = 100
MOST_P99_MS, MOST_CPU = 2.0, 1.3
METHOD = """# Shadow

Measured by `tests/benchmarks/shadow.py`. {machine}. The model of `serving.md`, one row a request, {rate:.0f} requests
a second on {connections} connections; {passes} passes of {seconds:.0f} s of the first two and {fewer} of the others,
in turn, medians; "above plain" is the median of the differences from the pass beside it. The CPU time is that of the whole server
(web process, the shadow's child, PostgreSQL, Redis, worker) less what it uses without requests, until the log is written. "Hangs"
is a child that is stopped, "dies" one that is killed twice a second, "slower" a model of {slower} times the trees.

Goals: p99 at most {p99:.0f} ms above that without a shadow; CPU at most {cpu} × of two predictions without.
"""
HEAD = """
| predictions | p50 ms | p99 ms | p99 above plain | CPU ms | of two plain | shadow rows scored | other answers |
|---|---:|---:|---:|---:|---:|---:|---:|
"""


class Paced(Connection):
    """One keep-alive connection that asks at fixed times, or as soon as it has the last answer when that came later."""

    next_at = 0.0

    def _answered(self, now: float) -> None:
        loop = asyncio.get_running_loop()
        if self.tally.begins <= self.sent and now <= self.tally.ends:
            self.tally.latencies.append(now - self.sent)
            self.tally.failed += self.buffer[9:10] != b"2"
        if now >= self.tally.ends:
            self.transport.close()
            return
        self.next_at = max(self.next_at + CONNECTIONS / RATE, now) if self.next_at else now + CONNECTIONS / RATE
        loop.call_later(max(0.0, self.next_at - now), self._send)


async def load(port: int, seconds: float, **request: Any) -> dict[str, float]:
    loop, content = asyncio.get_running_loop(), request_bytes(port, **request)
    tally = Tally(time.perf_counter() + 0.3, time.perf_counter() + 0.3 + seconds)
    made = []
    for _ in range(CONNECTIONS):
        made.append(await loop.create_connection(lambda: Paced(content, tally), "127.0.0.1", port))
        await asyncio.sleep(1 / RATE)
    await asyncio.gather(*(protocol.done for _, protocol in made))
    times = sorted(tally.latencies)
    found = {"p50": times[len(times) // 2] * 1000, "p99": times[len(times) * 99 // 100] * 1000}
    return {**found, "requests": len(times), "failed": tally.failed}


@dataclass
class Case:
    """A deployment that is asked, with or without a challenger in its shadow."""

    name: str
    deployment: str
    shadowed: bool = True
    trouble: Callable[[stack.Stack], Any] | None = None
    """Makes the challenger's process suffer while the block lasts."""
    seen: list[dict[str, float]] = field(default_factory=list)

    def median(self, what: str) -> float:
        return statistics.median(one[what] for one in self.seen)


def child_of(ours: stack.Stack) -> psutil.Process | None:
    """The process that scores for shadows."""
    found = [one for one in ours.web.children(recursive=True) if "coreplex.engines.scoring.shadow:run" in one.cmdline()]
    return found[0] if found else None


@contextmanager
def hanging(ours: stack.Stack) -> Iterator[None]:
    child = child_of(ours)
    assert child is not None
    child.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            child.resume()


@contextmanager
def dying(ours: stack.Stack) -> Iterator[None]:
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(0.5):
            with suppress(psutil.NoSuchProcess):
                if (child := child_of(ours)) is not None:
                    child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


class Meter:
    """CPU seconds of the whole server, of processes that have ended meanwhile too as far as they were seen."""

    def __init__(self, ours: stack.Stack) -> None:
        self._ours = ours
        self._seen: dict[int, float] = {}
        self._idle: list[float] = []

    def rest(self) -> None:
        """See what is used without requests, for a moment."""
        before = self.read()
        time.sleep(IDLE_SECS)
        self._idle.append((self.read() - before) / IDLE_SECS)

    @property
    def idle(self) -> float:
        """CPU seconds a second without requests."""
        return statistics.median(self._idle)

    def read(self) -> float:
        for process in self._ours.processes():
            with suppress(psutil.NoSuchProcess):
                self._seen[process.pid] = stack.cpu(process)
        return sum(self._seen.values())


def ask(ours: stack.Stack, deployment: str, row: dict[str, Any]) -> Any:
    return ours.call("POST", f"/api/mlops/deployments/{deployment}/predict", json={"inputs": row})["predictions"]


def counted(ours: stack.Stack, case: Case) -> int:
    if not case.shadowed:
        return 0
    found = ours.call("GET", f"/api/mlops/deployments/{case.deployment}/shadow")["shadow"]
    return int(found["candidate_row_count"] - found["candidate_error_count"])


def run(ours: stack.Stack, case: Case, meter: Meter, row: dict[str, Any], expected: Any) -> None:
    """One pass."""
    path = f"/api/mlops/deployments/{case.deployment}/predict"
    options = {"port": ours.port, "seconds": SECONDS, "path": path, "method": "POST", "headers": ours.headers}
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.shadow",
        orjson.dumps({**options, "body": passes.dumps({"inputs": row})}).decode(),
    ]
    assert ask(ours, case.deployment, row) == expected
    time.sleep(0.5)
    before, began, scored = meter.read(), time.monotonic(), counted(ours, case)
    with case.trouble(ours) if case.trouble else nullcontext():
        found = orjson.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        found["other"] = found["failed"] + (ask(ours, case.deployment, row) != expected)
    time.sleep(SETTLE)
    found["used"], found["took"] = meter.read() - before, time.monotonic() - began
    found["all"] = found["requests"] * (SECONDS + 0.3) / SECONDS
    found["scored"] = (counted(ours, case) - scored) / found["all"]
    case.seen.append(found)


def made(ours: stack.Stack, trained: seed.Trained, name: str, challenger: bytes | None, trouble: Any = None) -> Case:
    """A project with the model in production and, in its shadow, a challenger of this file."""
    place = seed.seed(ours, trained)
    if challenger is None:
        return Case(name, place.deployment_id, shadowed=False)
    other = seed.add_model(ours, challenger, place.project_id, place.version_id, minor=1)
    body = {"model_id": other, "name": "challenger", "stage": "staging"}
    deployment = ours.call("POST", f"/api/mlops/projects/{place.project_id}/deployments", json=body)["deployment_id"]
    path = f"/api/mlops/deployments/{place.deployment_id}/shadow"
    ours.call("POST", path, json={"candidate_deployment_id": deployment})
    return Case(name, place.deployment_id, trouble=trouble)


def slower(trained: seed.Trained) -> bytes:
    """The same model as an ensemble of so many of itself."""
    read = bundle.read(trained.bundle)
    (one,) = read.ensemble.members
    return bundle.dumps(read.manifest, [Member(one.encoder, one.predictor, 1 / SLOWER) for _ in range(SLOWER)])


def above(case: Case, plain: Case) -> float:
    """By how much p99 is higher than in the pass without a shadow beside it: the median of the differences."""
    return statistics.median(one["p99"] - other["p99"] for one, other in zip(case.seen, plain.seen, strict=False))


def table(cases: list[Case]) -> str:
    plain, lines = cases[0], []
    for case in cases:
        cells = [
            case.name,
            f"{case.median('p50'):.2f}",
            f"{case.median('p99'):.2f}",
            f"{above(case, plain):+.2f}",
        ]
        cells += [f"{case.median('cpu'):.2f}", f"{case.median('cpu') / plain.median('cpu') / 2:.2f} ×"]
        cells += [f"{case.median('scored'):.0%}" if case.shadowed else "", f"{sum(one['other'] for one in case.seen):.0f}"]
        lines.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(lines)


def main() -> None:
    trained = seed.train()
    with stack.running() as ours:
        cases = [
            made(ours, trained, "plain", None),
            made(ours, trained, "with a shadow", trained.bundle),
            made(ours, trained, f"with one {SLOWER} × slower", slower(trained)),
            made(ours, trained, "with one that hangs", trained.bundle, hanging),
            made(ours, trained, "with one that dies", trained.bundle, dying),
        ]
        expected = ask(ours, cases[0].deployment, trained.row)
        meter = Meter(ours)
        for case in cases:
            ask(ours, case.deployment, trained.row)
        time.sleep(5)
        for number in range(PASSES):
            meter.rest()
            for case in cases if number < FEWER else cases[:2]:
                run(ours, case, meter, trained.row, expected)
    for one in (found for case in cases for found in case.seen):
        one["cpu"] = (one["used"] - meter.idle * one["took"]) / one["all"] * 1000
    said = {"rate": RATE, "connections": CONNECTIONS, "passes": PASSES, "fewer": FEWER, "seconds": SECONDS, "slower": SLOWER}
    text = METHOD.format(machine=stack.cores(), p99=MOST_P99_MS, cpu=MOST_CPU, **said)
    passes.write("shadow", text + table(cases))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.stdout.write(orjson.dumps(uvloop.run(load(**orjson.loads(sys.argv[1])))).decode())
    else:
        main()
