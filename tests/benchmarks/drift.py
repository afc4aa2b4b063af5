"""How often drift is found that is there, and that is not, over many seeds: `python -m tests.benchmarks.drift [RUNS]`.

`python -m tests.benchmarks.drift --evidently PYTHON` holds distances and CPU against those of Evidently 0.7.23, in an environment
of its own (with pandas < 3 and pyarrow), whose Python that is.

Windows are judged as `…/drift` judges them, months as the watch does, looking every hour; beside the watch stands what many do:
the Kolmogorov-Smirnov test of the last day with Benjamini-Hochberg, looked at every hour. Prints the tables of drift.md.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import log
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from coreplex.engines.drift import distances
from coreplex.engines.drift import layout as layouts
from coreplex.engines.drift.counting import RowCounter
from coreplex.engines.drift.evidence import ALPHA, Evidence
from coreplex.engines.drift.layout import Counts, Layout
from coreplex.engines.drift.window import compare
from coreplex.engines.tabular.schema import Column, ColumnType

HOURS, MOVED = 720, 120
BESIDE = 60
"""Months that the hourly test is beside: it takes a hundred times as long."""
Alarms = tuple[int | None, int | None]


@dataclass
class World:
    """Draws rows of numbers (correlated, tied to whole ones, or mostly `missing`) and words.

    `baseline`: rows of a window that others are compared with, in place of training.
    """

    seed: int
    numbers: int
    words: Sequence[int] = ()
    correlation: float = 0.0
    tied: bool = False
    missing: float = 0.0
    baseline: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def layout(self, rows: int) -> Layout:
        drawn = self.draw(rows)
        frame = pl.DataFrame(dict(drawn))
        kinds = {pl.String: (ColumnType.categorical, "string"), pl.Float64: (ColumnType.float, "float64")}
        return Layout(layouts.of_table(frame, [Column(name, *kinds[frame[name].dtype]) for name in frame.columns]))  # type: ignore[index]

    def draw(self, rows: int, shift: float = 0.0) -> dict[str, NDArray[np.generic]]:
        common = self.rng.normal(size=(rows, 1)) * self.correlation**0.5
        numbers = common + self.rng.normal(size=(rows, self.numbers)) * (1 - self.correlation) ** 0.5
        numbers[:, 0] += shift
        if self.missing:
            numbers[self.rng.random(numbers.shape) < self.missing] = np.nan
        made: dict[str, NDArray[np.generic]] = {
            f"x{place}": np.round(2 * numbers[:, place]) if self.tied else numbers[:, place] for place in range(self.numbers)
        }
        for place, levels in enumerate(self.words):
            shares = 1 / np.arange(1, levels + 1)
            names = np.array([f"level {number}" for number in range(levels)])
            made[f"w{place}"] = names[self.rng.choice(levels, size=rows, p=shares / shares.sum())]
        return made


def counted(layout: Layout, drawn: dict[str, NDArray[np.generic]]) -> Counts:
    """The rows in the bins of the layout."""
    vector = np.zeros(layout.size, dtype=np.int64)
    for part in layout.parts:
        values = drawn[part.feature.name]
        places = part.feature.bins.place(values if part.feature.kind == "number" else values.tolist())  # type: ignore[arg-type]
        part.of(vector)[:] += np.bincount(places, minlength=part.feature.bins.size)
    return vector


def window(seed: int, trained: int, rows: int, shift: float, world: dict[str, object]) -> tuple[bool, bool]:
    """Whether anything has drifted in a window, and whether the first column has."""
    made = World(seed, **world)  # type: ignore[arg-type]
    layout = made.layout(trained)
    expected = counted(layout, made.draw(made.baseline)) if made.baseline else None
    found = compare(layout, expected, counted(layout, made.draw(rows, shift)))
    drifted = [one.feature.name for one in found.inputs if one.drifted]
    return bool(drifted), "x0" in drifted


def hourly_counts(layout: Layout, made: World, rows: int, shift: float) -> Counts:
    """(HOURS, layout.size) counts of a month of `rows` an hour. The data move on the fifth day."""
    before, after = made.draw(MOVED * rows), made.draw((HOURS - MOVED) * rows, shift)
    found = np.empty((HOURS, layout.size), dtype=np.int64)
    hours = np.repeat(np.arange(HOURS), rows)
    for part in layout.parts:
        values, size = np.concatenate([before[part.feature.name], after[part.feature.name]]), part.feature.bins.size
        places = part.feature.bins.place(values if part.feature.kind == "number" else values.tolist())  # type: ignore[arg-type]
        part.of(found.T)[:] = np.bincount(hours * size + places, minlength=HOURS * size).reshape(HOURS, size).T
    return found


def month(seed: int, beside: bool, trained: int, rows: int, shift: float, world: dict[str, object]) -> Alarms:
    """The hours of the first alarms: of the watch and, `beside` it, of the hourly test."""
    made = World(seed, **world)  # type: ignore[arg-type]
    layout = made.layout(trained)
    found = hourly_counts(layout, made, rows, shift)
    return _watch(layout, found), next(
        (hour for hour in range(HOURS) if _rejects(layout, _day(found, hour))), None
    ) if beside else None


def _watch(layout: Layout, found: Counts) -> int | None:
    evidence = Evidence(layout)
    capital = evidence.begin()
    for hour in range(HOURS):
        capital = evidence.after(capital, found[hour], timedelta(hours=1))
        if evidence.total(capital) >= -log(ALPHA):
            return hour
    return None


def _day(found: Counts, hour: int) -> Counts:
    total: Counts = found[max(hour - 23, 0) : hour + 1].sum(axis=0)
    return total


def _rejects(layout: Layout, found: Counts) -> bool:
    values = []
    for part in layout.parts:
        expected, actual = np.array(part.feature.counts), part.of(found)
        if part.feature.kind == "number":
            test = distances.kolmogorov_smirnov(expected, actual)
        else:
            test = distances.chi_square(distances.joined(expected, actual, np.arange(len(expected)) >= len(expected) - 3))
        values.append(1.0 if test.p_value is None else test.p_value)
    return bool((stats.false_discovery_control(values) <= 0.05).any())


PLAIN: dict[str, object] = {"numbers": 17, "words": (3, 30, 240)}
SPARSE: dict[str, object] = {"numbers": 4, "missing": 0.95}
WIDE: dict[str, object] = {"numbers": 1, "words": (240,)}
WINDOWS = (
    ("no shift, 20 columns", 5_000, 1_000, 0.0, PLAIN),
    ("no shift, few rows on both sides", 300, 100, 0.0, PLAIN),
    ("no shift, correlated at 0.8", 5_000, 1_000, 0.0, {"numbers": 20, "correlation": 0.8}),
    ("no shift, tied to whole numbers", 5_000, 1_000, 0.0, {"numbers": 20, "tied": True}),
    ("no shift, a million rows", 100_000, 1_000_000, 0.0, {"numbers": 5}),
    ("no shift, few rows, numbers 95 % missing", 60, 60, 0.0, SPARSE),
    ("no shift, few rows, 240 levels", 60, 1_000, 0.0, WIDE),
    ("no shift, 240 levels twice", 200, 1_000, 0.0, {"numbers": 1, "words": (240, 240)}),
    ("no shift, a window of 30", 2_000, 30, 0.0, PLAIN),
    ("no shift, beside a window of 100", 2_000, 1_000, 0.0, {**PLAIN, "baseline": 100}),
    ("0.2 σ", 5_000, 1_000, 0.2, PLAIN),
    ("0.2 σ, tied", 5_000, 1_000, 0.2, {"numbers": 20, "tied": True}),
    ("0.15 σ", 5_000, 1_000, 0.15, PLAIN),
    ("0.01 σ, a million rows", 100_000, 1_000_000, 0.01, {"numbers": 5}),
)
MONTHS = (
    ("no shift, trained on 5,000", 5_000, 100, 0.0, PLAIN),
    ("no shift, trained on 500", 500, 300, 0.0, PLAIN),
    ("no shift, correlated at 0.8", 2_000, 100, 0.0, {"numbers": 20, "correlation": 0.8}),
    ("no shift, tied", 5_000, 100, 0.0, {"numbers": 20, "tied": True}),
    ("no shift, one number, trained on 60", 60, 100, 0.0, {"numbers": 1}),
    ("no shift, 95 % missing, trained on 60", 60, 100, 0.0, SPARSE),
    ("no shift, 240 levels, trained on 60", 60, 100, 0.0, WIDE),
    ("no shift, 240 levels, trained on 200", 200, 100, 0.0, WIDE),
    ("0.2 σ, trained on 5,000", 5_000, 100, 0.2, PLAIN),
    ("0.2 σ, trained on 1,000", 1_000, 100, 0.2, PLAIN),
    ("0.5 σ, trained on 5,000", 5_000, 100, 0.5, PLAIN),
)


def beside_evidently(python: str) -> None:
    """The largest differences of distances of the same counts, and the CPU of a look at 100,000 rows of 20 columns."""
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(200):
        shares = rng.dirichlet(np.ones(int(rng.integers(2, 40))) * rng.choice([0.2, 1.0, 5.0]))
        moved = rng.dirichlet(shares * 50 + 1e-3)
        pairs.append([rng.multinomial(int(rng.integers(50, 5_000)), one).tolist() for one in (shares, moved)])
    made = World(0, numbers=14, words=(3, 5, 8, 10, 30, 60))
    tables = [pl.DataFrame(dict(made.draw(100_000))) for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{number}.parquet" for number in range(2)]
        for table, path in zip(tables, paths, strict=True):
            table.write_parquet(path)
        asked = json.dumps({"pairs": pairs, "tables": paths})
        peer = [python, "-W", "ignore", str(Path(__file__).with_name("drift_peer.py"))]
        theirs = json.loads(subprocess.run(peer, input=asked, capture_output=True, text=True, check=True).stdout)
    ours = [[test(*map(np.array, pair)) for test in (distances.psi, distances.jensen_shannon)] for pair in pairs]
    off = np.abs(np.array(ours) - np.array(theirs["distances"])).max(axis=0)
    print(f"Largest difference over {len(pairs)} pairs of counts: PSI {off[0]:.1e}, Jensen-Shannon {off[1]:.1e}\n")
    print("| 100,000 × 20 | CPU seconds | × |\n|---|---|---|")
    kinds = {pl.String: (ColumnType.categorical, "string"), pl.Float64: (ColumnType.float, "float64")}
    columns = [Column(name, *kinds[tables[0][name].dtype]) for name in tables[0].columns]  # type: ignore[index]
    layout = Layout(layouts.of_table(tables[0], columns))
    counter, rows = RowCounter(layout), tables[1].to_dicts()
    their = float(np.median(theirs["seconds"]))
    counting = _cpu(lambda: [counter.count(rows[n : n + 1_000], [None] * 1_000) for n in range(0, 100_000, 1_000)])
    found = counter.count(rows, [None] * 100_000)
    looking = _cpu(lambda: compare(layout, None, found))
    print(f"| Evidently 0.7.23, a report | {their:.2f} | |")
    print(f"| a look at the counts | {looking:.3f} | {their / looking:.0f} |")
    print(f"| the same, with counting all rows once | {looking + counting:.2f} | {their / (looking + counting):.1f} |")


def _cpu(work: Callable[[], object]) -> float:
    """The median of three runs, in seconds."""
    taken = []
    for _ in range(3):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return float(np.median(taken))


def main(runs: int) -> None:
    with ProcessPoolExecutor() as pool:
        print("| window | trained on | rows | anything drifted | the shifted column |\n|---|---|---|---|---|")
        for name, trained, rows, shift, world in WINDOWS:
            seeds = range(min(runs, 40) if rows > 10**5 else 2 * runs)
            judged = list(pool.map(partial(window, trained=trained, rows=rows, shift=shift, world=world), seeds, chunksize=5))
            anything, first = (sum(found) / len(seeds) for found in zip(*judged, strict=True))
            print(f"| {name} | {trained:,} | {rows:,} | {anything:.1%} | {first:.1%} |", flush=True)
        print("\n| month | watch alarms | median rows until | hourly test alarms |\n|---|---|---|---|")
        for name, trained, rows, shift, world in MONTHS:
            asked = partial(month, trained=trained, rows=rows, shift=shift, world=world)
            found = list(pool.map(asked, range(runs), [not shift and seed < BESIDE for seed in range(runs)], chunksize=5))
            _print_month(name, rows, shift, found)


def _print_month(name: str, rows: int, shift: float, found: Sequence[Alarms]) -> None:
    hours = [watch for watch, _ in found if watch is not None]
    early = sum(hour < MOVED for hour in hours) if shift else 0
    late = [(hour - MOVED + 1) * rows for hour in hours if hour >= MOVED]
    until = f"{np.median(late):,.0f}" if shift and late else ""
    wolves = "" if shift else f"{sum(hourly is not None for _, hourly in found[:BESIDE]) / len(found[:BESIDE]):.1%}"
    note = f", {early / len(found):.1%} too early" if early else ""
    print(f"| {name} | {len(hours) / len(found):.1%}{note} | {until} | {wolves} |", flush=True)


if __name__ == "__main__":
    if "--evidently" in sys.argv:
        beside_evidently(sys.argv[-1])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
