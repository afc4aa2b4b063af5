"""Measures what a model of a run takes, for the constants of coreplex/training/forecast.py.

    .venv/bin/python -m tests.benchmarks.forecast [seconds a run may take]

Runs of five models, the baseline apart, five folds, all cores, on generated tables from 150 × 4 to 20,000 × 100, of two
classes and of numbers. `each` is the median of the models' own times, `start` what the run took besides. The forecast
`pace × (cells + offset)` is fitted to the logarithms of `each` (least squares over a grid of offsets).
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from coreplex.engines.automl import train
from tests.engines.runs import Report, request

SIZES = ((150, 4), (1_000, 10), (1_000, 50), (10_000, 20), (50_000, 20), (20_000, 100))
OFFSETS = [int(value) for value in np.geomspace(1e3, 1e6, 61)]
MODELS = 5


def table(rows: int, columns: int, problem: str) -> pl.DataFrame:
    """Numbers and a text column; the target hangs on some of them, with noise."""
    draw = np.random.default_rng(rows + columns)
    x = draw.normal(size=(rows, columns))
    signal = x[:, 0] + x[:, 1] * x[:, 2 % columns] + draw.normal(size=rows)
    target = signal if problem == "regression" else np.where(signal > 0, "yes", "no")
    texts = [f"g{value}" for value in draw.integers(0, 12, rows)]
    return pl.DataFrame({**{f"x{i}": x[:, i].round(4) for i in range(columns - 1)}, "group": texts, "y": target})


def measured(rows: int, columns: int, problem: str, secs: int) -> tuple[int, int, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        asked = request(
            table(rows, columns, problem), "y", problem, Path(folder), max_models=MODELS, nfolds=5, max_runtime_secs=secs
        )
        report, begin = Report(), time.perf_counter()
        train.run({**asked, "threads": os.cpu_count()}, report)
        took = time.perf_counter() - begin
    times = [model["training_time_secs"] for model in report.models]
    return rows * (columns + 1), len(times), statistics.median(times), max(0.0, took - sum(times))


def fit(cells: list[int], each: list[float]) -> tuple[float, int, float]:
    """Seconds per million cells, the offset in cells, and the largest factor by which a table's median differs from the fit."""

    def off(offset: int) -> tuple[float, float, float]:
        ratio = np.log(np.array(each) / (np.array(cells) + offset))
        return float(ratio.var()), float(np.exp(ratio.mean())), float(np.exp(np.abs(ratio - ratio.mean()).max()))

    best = min(OFFSETS, key=lambda offset: off(offset)[0])
    _, pace, factor = off(best)
    return pace * 1e6, best, factor


def main(secs: int = 600) -> None:
    print(f"{os.cpu_count()} cores\n\n| table | problem | models | each, s | start, s |\n|---|---|---:|---:|---:|", flush=True)
    found = []
    for rows, columns in SIZES:
        for problem in ("classification", "regression"):
            cells, models, each, start = measured(rows, columns, problem, secs)
            found.append((cells, each, start))
            print(f"| {rows:,} × {columns} | {problem} | {models} | {each:.2f} | {start:.2f} |", flush=True)
    pace, offset, factor = fit([one[0] for one in found], [one[1] for one in found])
    start = statistics.median(one[2] for one in found)
    print(f"\npace {pace:.2f} s per million cells, offset {offset:,} cells, within a factor of {factor:.2f}; start {start:.2f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
