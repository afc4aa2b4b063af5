"""How often are answers of trained models to fresh rows of the same kind taken for drift?

    python -m tests.benchmarks.answer_drift [SEEDS]

Models of all families are trained on tables drawn from one world, and asked about fresh rows of it, and about rows whose most
important column has moved by half a standard deviation. Windows are judged as `…/drift` judges them; the watch looks after each
100 rows. Prints the table of answer_drift.md.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from tests.engines.runs import run
from tests.engines.test_answer_drift import Served

Draw = np.random.Generator
Target = Callable[[Draw, np.ndarray], np.ndarray]
ASKED = 1_000


def rare(draw: Draw, z: np.ndarray) -> np.ndarray:
    return np.where(draw.random(len(z)) < 1 / (1 + np.exp(7 - 2 * z)), "yes", "no")


def even(draw: Draw, z: np.ndarray) -> np.ndarray:
    return np.where(z + draw.normal(size=len(z)) * 0.8 > 0, "yes", "no")


def five(draw: Draw, z: np.ndarray) -> np.ndarray:
    return np.array(list("abcde"))[np.searchsorted([-1.5, -0.5, 0.5, 1.5], z + draw.normal(size=len(z)) * 0.8)]


def number(draw: Draw, z: np.ndarray) -> np.ndarray:
    return z + draw.normal(size=len(z)) * 0.8


WORLDS: tuple[tuple[str, int, Target], ...] = (
    ("two classes", 60, even),
    ("two classes", 150, even),
    ("two classes", 1_000, even),
    ("two classes, 1 % positive", 1_500, rare),
    ("five classes", 800, five),
    ("a number", 300, number),
)


def rows(draw: Draw, count: int, target: Target, moved: float = 0.0) -> pl.DataFrame:
    a, b, e = draw.normal(size=count) + moved, draw.exponential(size=count), draw.normal(size=count)
    d = draw.choice(list("uvw"), size=count)
    z = 1.2 * a - b + (d == "u") + 0.3 * draw.normal(size=count)
    return pl.DataFrame({"a": a.round(4), "b": b.round(4), "d": d, "e": e.round(4), "y": target(draw, z)})


def world(seed: int, trained: int, target: Target) -> list[tuple[bool, bool, bool, bool]]:
    """Of each model: whether fresh rows are drift, in the window and for the watch, and whether moved ones are."""
    draw = np.random.default_rng(seed)
    table, problem = rows(draw, trained, target), "regression" if target is number else "classification"
    fresh, moved = (rows(draw, ASKED, target, by).drop("y") for by in (0.0, 0.5))
    with tempfile.TemporaryDirectory() as folder:
        _, report = run(table, "y", problem, Path(folder), max_models=8, nfolds=5, max_runtime_secs=60)
        models = [Served(one) for one in (*report.models, *report.baselines)]
    return [(one.drifted(fresh), one.alarmed(fresh), one.drifted(moved), one.alarmed(moved)) for one in models]


def main(seeds: int) -> None:
    print("| models of | rows | models | no shift: window | watch | half a deviation: window | watch |")
    print("|---" * 7 + "|")
    for name, trained, target in WORLDS:
        found = np.array([one for seed in range(seeds) for one in world(seed, trained, target)])
        shares = " | ".join(f"{share:.0%}" for share in found.mean(axis=0))
        print(f"| {name} | {trained:,} | {len(found)} | {shares} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
