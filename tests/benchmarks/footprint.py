"""What the server weighs: memory of the idle stack, a warm start, the base install; writes footprint.md.

    python -m tests.benchmarks.footprint

Memory is proportional set size (what processes share is counted once). The install is counted from the files that the
distributions named in requirements.lock list.
"""

import re
import statistics
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.benchmarks import passes, stack

ROOT = Path(__file__).parents[2]
NAME = r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?=="
SETTLE_SECS, STARTS, MB = 20, 3, 1 << 20
HEAVY = ("pandas", "sklearn", "scipy", "flaml", "xgboost", "lightgbm", "polars", "pyarrow", "numpy")
KINDS = {"web": r"-m asgi\b", "worker": r"-m workers\b", "supervisor": r"command\.main up", "Valkey": r"valkey"}
METHOD = """# Footprint

Measured by `tests/benchmarks/footprint.py`. {machine}.

Idle memory {idle} s after the start, nothing asked yet but sign-in (proportional set size; goal for the whole ≤ 600 MB):

| process | MB | heavy libraries it has mapped |
|---|---:|---|
"""


def kind(command: str) -> str:
    return next((name for name, words in KINDS.items() if re.search(words, command)), "PostgreSQL")


def idle(ours: stack.Stack) -> list[str]:
    """Lines of the table: a kind of process, its memory, its heavy libraries."""
    found: dict[str, tuple[float, set[str]]] = {}
    for process in ours.processes():
        memory, heavy = found.get(name := kind(" ".join(process.cmdline())), (0.0, set()))
        paths = " ".join(one.path for one in process.memory_maps())
        mapped = {library for library in HEAVY if re.search(rf"/site-packages/_?{library}", paths)}
        found[name] = memory + process.memory_full_info().pss / MB, heavy | mapped
    lines = [f"| {name} | {memory:.0f} | {', '.join(sorted(heavy))} |" for name, (memory, heavy) in sorted(found.items())]
    return [*lines, f"| all | {sum(memory for memory, _ in found.values()):.0f} | |"]


def starts(folder: Path) -> tuple[list[str], list[float]]:
    """The idle table of a first start, and seconds until ready of the starts after it, in the same folder."""
    with stack.running(folder) as ours:
        time.sleep(SETTLE_SECS)
        lines = idle(ours)
    seconds = []
    for _ in range(STARTS):
        began = time.perf_counter()
        with stack.running(folder) as ours:
            seconds.append(ours.ready - began)
    return lines, seconds


def install() -> list[tuple[float, str]]:
    """MB and name of every distribution of the base install, the heaviest first."""
    wanted = {plain(name) for name in re.findall(NAME, (ROOT / "requirements.lock").read_text(), re.MULTILINE)}
    return sorted(((size(one), one.name) for one in metadata.distributions() if plain(one.name) in wanted), reverse=True)


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def size(distribution: metadata.Distribution) -> float:
    paths: list[Any] = [Path(str(file.locate())) for file in distribution.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc") / MB


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="coreplexml-bench-") as temporary:
        lines, seconds = starts(Path(temporary))
    packages = install()
    heaviest = ", ".join(f"{name} {weight:.0f}" for weight, name in packages[:8])
    text = METHOD.format(machine=stack.cores(), idle=SETTLE_SECS) + "\n".join(lines)
    text += f"\n\nWarm start, seconds until `/ready` says yes: {', '.join(f'{one:.1f}' for one in seconds)}"
    text += f" (median {statistics.median(seconds):.1f}, goal ≤ 6).\n\nBase install, without byte code: "
    whole = sum(weight for weight, _ in packages)
    text += f"{whole:,.0f} MB in {len(packages)} distributions (goal ≤ 1,200 MB); the heaviest: {heaviest}."
    passes.write("footprint", text)


if __name__ == "__main__":
    main()
