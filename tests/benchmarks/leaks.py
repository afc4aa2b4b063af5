"""Leaks that are found, and alarms that are false: planted leaks of thirteen kinds, clean tables, and tables that packages carry.

Run: python tests/benchmarks/leaks.py [--seeds 20] [--packages FOLDER] [--write]
Every table is written as CSV and read as an upload is. A leak is found when a high one names a planted column; an alarm is false
when a high one names another. With `--packages` (a folder, filled by pip when empty) the tables of `suite.py` are asked too: as
they are there, without the columns known to say the target, and whole. `--write` puts the tables into leaks.md beside this file.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2]))

from coreplex.engines.diagnosis.diagnose import examine
from coreplex.engines.diagnosis.request import CpuDeadline, DiagnosisRequest
from coreplex.engines.tabular.read.table import read_table
from tests.benchmarks.suite_tables import SOURCES, unpacked
from tests.factories.leaks import KINDS, TARGET, clean, planted

SECONDS = 60.0
"""So that a busy machine ends nothing; on a server it is eight."""


class Asked:
    """Tables and what was said of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seconds: list[float] = []

    def ask(self, frame: pl.DataFrame, target: str, problem: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """(the high leaks, the diagnosis)."""
        frame.write_csv(self.folder / "t.csv")
        reading = read_table(self.folder / "t.csv", "t.csv", self.folder / "t.parquet")
        started = time.process_time()
        found = examine(reading.path, reading.schema, DiagnosisRequest(target, problem), deadline=CpuDeadline(SECONDS))
        self.seconds.append(time.process_time() - started)
        return [leak for leak in found["leaks"] if leak["severity"] == "high"], found


def recall(asked: Asked, seeds: int) -> Iterator[str]:
    yield "| kind of leak | classes found | numbers found | others accused |"
    yield "|---|---|---|---|"
    totals = [0, 0, 0]
    for kind in KINDS:
        found, false = {True: 0, False: 0}, 0
        for classes in (True, False):
            for seed in range(seeds):
                made = planted(kind, seed, classes=classes)
                named = {name for leak in asked.ask(made.frame, TARGET, made.problem)[0] for name in leak["columns"]}
                found[classes] += bool(named & made.leaks)
                false += bool(named - made.leaks)
        totals = [totals[0] + found[True], totals[1] + found[False], totals[2] + false]
        yield f"| {kind} | {found[True]} of {seeds} | {found[False]} of {seeds} | {false} |"
    whole = seeds * len(KINDS)
    shares = [f"{100 * total / whole:.1f} %" for total in totals[:2]]
    yield f"| **all** | **{shares[0]}** | **{shares[1]}** | **{100 * totals[2] / (2 * whole):.1f} % of tables** |"


def alarms(asked: Asked, seeds: int) -> Iterator[str]:
    names, false = 0, []
    for name, frame, target, problem in clean(range(seeds)):
        names += 1
        false += [f"{name}: {leak['kind']} {', '.join(leak['columns'])}" for leak in asked.ask(frame, target, problem)[0]]
    yield f"{len({line.split(':')[0] for line in false})} of {names} clean tables raised an alarm."
    yield from (f"- {line}" for line in false)


def packaged(asked: Asked, folder: Path) -> Iterator[str]:
    yield "| table | rows × columns | told of it | of the whole table |"
    yield "|---|---|---|---|"
    for name, source in SOURCES.items():
        frame = source.load(unpacked(folder))
        said = [_told(asked.ask(frame, source.target, source.problem)[0])]
        whole = source.read(folder).drop_nulls(source.target)
        more = whole.width > frame.width
        said.append(_told(asked.ask(whole.head(source.rows), source.target, source.problem)[0]) if more else "")
        yield f"| {name} | {frame.height} × {frame.width} | {said[0]} | {said[1]} |"


def _told(leaks: list[dict[str, Any]]) -> str:
    return "; ".join(f"{leak['kind']}: {', '.join(leak['columns'])}" for leak in leaks) or "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--packages", type=Path)
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asked = Asked(Path(folder))
        lines = ["# Leaks", "", f"Measured by `tests/benchmarks/leaks.py`, {wanted.seeds} seeds of each kind.", ""]
        lines += ["## Planted", "", *recall(asked, wanted.seeds), ""]
        lines += ["## Clean, generated and of scikit-learn", "", *alarms(asked, min(wanted.seeds, 6)), ""]
        if wanted.packages is not None:
            lines += ["## Carried by packages", "", *packaged(asked, wanted.packages), ""]
        seconds = sorted(asked.seconds)
        lines += [f"{len(seconds)} diagnoses: median {seconds[len(seconds) // 2]:.2f} s of CPU, longest {seconds[-1]:.2f} s."]
    text = "\n".join(lines) + "\n"
    print(text)
    if wanted.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
