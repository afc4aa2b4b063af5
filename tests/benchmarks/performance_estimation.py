"""How right estimates without outcomes are, and whether they are those of NannyML 0.13.1:

    python -m tests.benchmarks.performance_estimation --nannyml PYTHON [--seeds 5] > tests/benchmarks/performance_estimation.md

PYTHON is that of an environment with NannyML (which needs Python < 3.13, pandas < 3 and statsmodels). Both sides are given the
same reference rows with out-of-fold scores and outcomes, few and many, learn from them as they do, and estimate the same chunks,
whose inputs move further away from chunk to chunk. Beside stands what the outcomes of the chunks say, which neither has seen.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from coreplex.engines.drift import layout as layouts
from coreplex.engines.estimation.class_calibration import LEAST_OF_CLASS, ClassCalibration, scarcest
from coreplex.engines.estimation.error_model import ErrorModel
from coreplex.engines.performance.estimated import ByConfidence, ByErrors, Estimates
from coreplex.engines.performance.realised import Figures, Judge, Rows
from coreplex.engines.tabular.schema import Column, ColumnType

Array = NDArray[np.float64]
REFERENCES = (300, 2_000, 20_000)
CHUNK, CHUNKS = 2_000, 10
NAMES = {"roc_auc": "auc"}
"""Metrics that they call otherwise."""


@dataclass
class Case:
    """`rows` reference rows, and chunks, of one seed. `spread`: of the target, in whose unit errors of numbers are told."""

    name: str
    rows: int
    reference: pl.DataFrame
    chunks: pl.DataFrame
    labels: list[int]
    columns: list[str]
    ours: list[Figures]
    realised: list[Figures]
    spread: float = 1.0


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nannyml", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    said = parser.parse_args()
    cases = [case for rows in REFERENCES for seed in range(said.seeds) for case in drawn(seed, rows)]
    print(report(cases, theirs(cases, said.nannyml), said.seeds))


def drawn(seed: int, rows: int) -> Iterator[Case]:
    """The cases of a seed, of so many reference rows; without those that nothing is estimated of, for want of rows of a class."""
    for count, word in ((2, "two"), (4, "four")):
        for boldness, manner in ((1.0, "calibrated"), (2.5, "too sure")):
            if (case := classes(seed, rows, f"{word} classes, {manner}", count, boldness)) is not None:
                yield case
    yield numbers(seed, rows)


def classes(seed: int, reference: int, name: str, count: int, boldness: float) -> Case | None:
    """Classes drawn from probabilities that depend on two columns; answers say these to the power of `boldness`."""
    rng = np.random.default_rng(seed)
    slopes = rng.normal(size=(2, count)) * 1.2

    def rows(n: int, shift: float) -> tuple[Array, Array, NDArray[np.int64]]:
        raw = (rng.normal(size=(n, 2)) + np.array([shift, 0.0])) @ slopes
        q = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
        p = q**boldness / (q**boldness).sum(axis=1, keepdims=True)
        return p, q, (rng.random((n, 1)) >= np.cumsum(q, axis=1)[:, :-1]).sum(axis=1).astype(np.int64)

    p, _, y = rows(reference, 0.0)
    if scarcest(y, count) is not None:
        return None
    calibration = ClassCalibration.fit(y, p)
    found = [rows(CHUNK, 0.15 * chunk) for chunk in range(CHUNKS)]
    judge = Judge.of("classification", [str(one) for one in range(count)])
    ours = [figures(ByConfidence(p, calibration.apply(p), says(p))) for p, _, _ in found]
    realised = [judge.figures(Rows(y, p, says(p), np.arange(CHUNK))) for p, _, y in found]
    chunks = (np.concatenate([one[place] for one in found]) for place in (0, 2))
    return Case(name, reference, _table(p, y), _table(*chunks), list(range(count)), [], ours, realised)


def says(p: Array) -> NDArray[np.int64]:
    """(n,) the class that is answered."""
    return (p[:, 1] >= 0.5).astype(np.int64) if p.shape[1] == 2 else p.argmax(axis=1)


def figures(estimates: Estimates) -> Figures:
    """Of a whole chunk."""
    return estimates.figures(np.arange(CHUNK))


def _table(p: Array, y: NDArray[np.int64]) -> pl.DataFrame:
    return pl.DataFrame({**{f"p{code}": p[:, code] for code in range(p.shape[1])}, "predicted": says(p), "y": y})


def numbers(seed: int, reference: int) -> Case:
    """A number whose noise depends on a column and on a category; chunks come from where it is larger."""
    rng = np.random.default_rng(seed)
    names = [f"x{place}" for place in range(5)]

    def rows(n: int, shift: float) -> tuple[pl.DataFrame, Array, Array]:
        x = rng.normal(size=(n, 5)) + np.array([shift, 0, 0, 0, 0])
        kind = rng.choice(["a", "b", "c"], size=n, p=[0.5, 0.3, 0.2])
        p = 3.0 * x[:, 1] + x[:, 2] ** 2 + 2.0 * (kind == "b")
        noise = 0.5 + 0.5 * np.abs(x[:, 0]) + 0.8 * (kind == "c")
        return pl.DataFrame({**dict(zip(names, x.T, strict=True)), "kind": kind}), p, p + noise * rng.normal(size=n)

    frame, p, y = rows(reference, 0.0)
    types = [*((name, ColumnType.float, "float64") for name in names), ("kind", ColumnType.categorical, "string")]
    features = layouts.of_table(frame, [Column(*one) for one in types])

    def read(frame: pl.DataFrame) -> Array:
        return layouts.table_values(features, frame)

    model = ErrorModel.fit([one.name for one in features], read(frame), p, y, seed=seed)
    found = [rows(CHUNK, 0.15 * chunk) for chunk in range(CHUNKS)]
    judge = Judge.of("regression", [])
    deviations = model.absolute_deviation, model.squared_deviation
    ours = [figures(ByErrors(*model.errors(read(frame), p), *deviations)) for frame, p, _ in found]
    realised = [judge.figures(Rows(y, p[:, None], np.zeros(CHUNK, np.int64), np.arange(CHUNK))) for _, p, y in found]
    tables = [frame.with_columns(p=p, y=y) for frame, p, y in [(frame, p, y), *found]]
    return Case("a number", reference, tables[0], pl.concat(tables[1:]), [], frame.columns, ours, realised, float(y.std()))


def theirs(cases: list[Case], python: str) -> list[dict[str, list[float]]]:
    """What NannyML estimates, by its names."""
    with tempfile.TemporaryDirectory() as folder:
        asked: list[dict[str, Any]] = []
        for number, case in enumerate(cases):
            paths = {name: str(Path(folder) / f"{number}-{name}.csv") for name in ("reference", "chunks")}
            case.reference.write_csv(paths["reference"])
            case.chunks.write_csv(paths["chunks"])
            asked.append({**paths, "labels": case.labels, "columns": case.columns, "size": CHUNK})
        peer = [python, "-W", "ignore", str(Path(__file__).with_name("performance_peer.py"))]
        done = subprocess.run(peer, input=json.dumps(asked), capture_output=True, text=True, check=True)
        found: list[dict[str, list[float]]] = json.loads(done.stdout.splitlines()[-1])  # LightGBM writes before it
        return found


def differences(case: Case, found: dict[str, list[float]]) -> Iterator[tuple[str, Array, Array, Array, Array]]:
    """By metric, over the chunks: (chunks,) ours less theirs, ours less realised, theirs less realised, and our standard error;
    in the unit of the target's spread."""
    for their_name, values in found.items():
        name = NAMES.get(their_name, their_name)
        ours = np.array([chunk[name] for chunk in case.ours], dtype=np.float64)
        realised = np.array([chunk[name].value for chunk in case.realised], dtype=np.float64)
        yield (
            name,
            *(one / case.spread for one in (ours[:, 0] - values, ours[:, 0] - realised, np.array(values) - realised, ours[:, 1])),
        )


def report(cases: list[Case], found: list[dict[str, list[float]]], seeds: int) -> str:
    """The tables."""
    by_metric: dict[tuple[str, int, str], list[tuple[Array, ...]]] = {}
    for case, values in zip(cases, found, strict=True):
        for name, *measured in differences(case, values):
            by_metric.setdefault((case.name, case.rows, name), []).append(tuple(measured))
    lines = [
        "# Estimates without outcomes",
        "",
        f"Measured by `tests/benchmarks/performance_estimation.py --seeds {seeds}` beside NannyML 0.13.1:",
        f"references of {', '.join(f'{rows:,}' for rows in REFERENCES)} rows, {CHUNKS} chunks of {CHUNK:,} rows each,",
        f"the last of which is moved by {0.15 * (CHUNKS - 1):.2f} standard deviations. Errors of numbers are in standard",
        "deviations of the target.",
        f"*cases*: of {seeds}; of the others nothing is estimated, as a class has fewer than {LEAST_OF_CLASS} reference rows.",
        "*inside*: chunks whose realised metric is in our interval of 95 %, which knows the chance of outcomes, not",
        "what a calibration leaves wrong: from few reference rows that is much, and of four classes that are too sure,",
        "each calibrated by itself, more is left the further the inputs move.",
        "",
        "| answers | reference rows | cases | metric | ours − theirs, largest | ours − realised, mean | theirs − realised, mean "
        "| inside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (case_name, rows, name), parts in by_metric.items():
        apart, ours, others, error = (np.concatenate([part[place] for part in parts]) for place in range(4))
        inside = float((np.abs(ours) <= 1.96 * error).mean())
        lines.append(
            f"| {case_name} | {rows:,} | {len(parts)} | {name} | {np.abs(apart).max():.4f} | {np.abs(ours).mean():.4f} "
            f"| {np.abs(others).mean():.4f} | {inside:.0%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
