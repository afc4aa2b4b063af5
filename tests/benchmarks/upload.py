"""Upload of 1,000,000 × 20 over HTTP until it is stored, profiled and answered; writes upload.md.

    python -m tests.benchmarks.upload [ROWS]

Peaks of resident memory are the kernel's own (VmHWM, reset before each upload); what other callers see meanwhile is a read of a
project ten times a second.
"""

import re
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from tests.benchmarks import passes, stack
from tests.benchmarks.tables import generate

ROWS, REPEAT, MB = 1_000_000, 3, 1 << 20
METHOD = """# Upload of {rows:,} × 20, {size:.0f} MB

Measured by `tests/benchmarks/upload.py`. {machine}. From the first byte sent to the answer with the profile's columns; {repeat}
uploads one after another on a server that has taken a small one before. Memory is the kernel's peak of resident memory;
"others" are reads of a project by another caller meanwhile, ten a second.

| upload | seconds | CPU s, web | CPU s, child | web: growth MB | child: peak MB | others: p50 ms | worst ms |
|---|---:|---:|---:|---:|---:|---:|---:|
"""
GOALS = """
Worst of the runs, and the goals: web process grows {web:.0f} MB (≤ 32), profiling process {child:.0f} MB (≤ 700), others wait
{others:.0f} ms (≤ 100).
"""


class Ended(Exception):
    """The process is over; the kernel keeps no memory figures of it."""


class Watch(threading.Thread):
    """Looks at the web process and its children until told to stop."""

    def __init__(self, ours: stack.Stack) -> None:
        super().__init__(daemon=True)
        self.web, self.over = ours.web, threading.Event()
        self.child_peak = self.child_cpu = 0.0
        self.whole = False
        """It looked until it was told to stop: else its figures are of a part only."""

    def run(self) -> None:
        while not self.over.wait(0.02):
            for child in self.web.children():
                try:
                    self.child_peak = max(self.child_peak, peak(child))
                    self.child_cpu = max(self.child_cpu, stack.cpu(child))
                except (psutil.Error, OSError, Ended):
                    continue
        self.whole = True


class Others(threading.Thread):
    """Another caller."""

    def __init__(self, ours: stack.Stack, project: str) -> None:
        super().__init__(daemon=True)
        self.ours, self.project, self.over = ours, project, threading.Event()
        self.seen: list[float] = []

    def run(self) -> None:
        with httpx.Client(base_url=self.ours.url, headers=self.ours.headers, timeout=30) as client:
            while not self.over.wait(0.1):
                began = time.perf_counter()
                client.get(f"/api/projects/{self.project}").raise_for_status()
                self.seen.append((time.perf_counter() - began) * 1000)


def peak(process: psutil.Process) -> float:
    """Peak of resident memory in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    if found is None:
        raise Ended
    return int(found.group(1)) / 1024


def upload(ours: stack.Stack, project: str, file: Path) -> list[float]:
    """Seconds, CPU of web and child, growth, child's peak, what others saw."""
    web, watch, others = ours.web, Watch(ours), Others(ours, project)
    Path(f"/proc/{web.pid}/clear_refs").write_text("5")
    before, used = web.memory_info().rss / MB, stack.cpu(web)
    watch.start()
    others.start()
    began = time.perf_counter()
    with file.open("rb") as content:
        answer = httpx.post(
            f"{ours.url}/api/datasets/upload",
            headers=ours.headers,
            data={"project_id": project, "name": file.stem},
            files={"file": ("table.csv", content, "text/csv")},
            timeout=600,
        )
    seconds = time.perf_counter() - began
    answer.raise_for_status()
    for thread in (watch, others):
        thread.over.set()
        thread.join()
    if not watch.whole:
        raise RuntimeError("the watch on the child ended too early")
    growth, spent = peak(web) - before, stack.cpu(web) - used
    return [seconds, spent, watch.child_cpu, growth, watch.child_peak, statistics.median(others.seen), max(others.seen)]


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    with tempfile.TemporaryDirectory() as temporary, stack.running() as ours:
        small, large = Path(temporary, "small.csv"), Path(temporary, "large.csv")
        generate(small, 1000)
        generate(large, rows)
        project = ours.call("POST", "/api/projects", json={"name": "Uploads"})["project_id"]
        upload(ours, project, small)
        runs = [upload(ours, project, large) for _ in range(REPEAT)]
        size = large.stat().st_size / 1e6
    lines = [METHOD.format(rows=rows, size=size, machine=stack.cores(), repeat=REPEAT).rstrip()]
    for number, run in enumerate(runs, 1):
        seconds, web, child, growth, top, middle, worst = run
        cells = (f"{seconds:.1f}", f"{web:.1f}", f"{child:.1f}", f"{growth:.0f}", f"{top:.0f}", f"{middle:.0f}", f"{worst:.0f}")
        lines.append(f"| {number} | {' | '.join(cells)} |")
    worst_of = [max(run[index] for run in runs) for index in (3, 4, 6)]
    goals = GOALS.format(web=worst_of[0], child=worst_of[1], others=worst_of[2])
    passes.write("upload", "\n".join(lines) + "\n" + goals)


if __name__ == "__main__":
    main()
