"""Many tables, many ways to learn them, the same rows held back: ranks, and differences with an interval.

    python tests/benchmarks/suite.py --out FOLDER [--secs 60] [--seeds 5] [--threads 2] [--tables amounts,parts]
        [--arms native,lightgbm,histgb,flaml] [--python autogluon=/env/bin/python] [--cpu] [--report]

Each run (a table, a seed, an arm) is a process of its own; its predictions of the 30 % held back go to FOLDER and a line to its
runs.csv, so that a run that was made is not made again. `--report` prints the tables of what is there. `--cpu` counts our budget
in CPU seconds, for comparing two states of the engine on a busy machine; no other arm can be held to that. Arms with a suffix
(`native:before`) are kept apart. See `peers.py` for the other arms, `suite_tables.py` for the tables.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from coreplex.engines.automl.evaluation import metrics  # noqa: E402
from coreplex.engines.diagnosis.diagnose import diagnose  # noqa: E402
from coreplex.engines.diagnosis.request import ColumnRoles, DiagnosisRequest  # noqa: E402
from coreplex.engines.scoring.bundle import label_key  # noqa: E402
from coreplex.engines.scoring.scorer import Scorer  # noqa: E402
from coreplex.engines.tabular import frame as frames  # noqa: E402
from coreplex.engines.tabular.read.table import read_table  # noqa: E402
from coreplex.engines.tabular.schema import spell  # noqa: E402
from tests.benchmarks import suite_tables  # noqa: E402
from tests.benchmarks.automl import Table, engine_run  # noqa: E402

ENGINES = ("native", "flaml_adapter")
METRICS = {"binary": "auc", "multiclass": "logloss", "regression": "rmse"}
FIELDS = (
    "table",
    "seed",
    "arm",
    "metric",
    "value",
    "seconds",
    "cpu",
    "rss",
    "secs",
    "threads",
    "models",
    "first",
    "best",
    "load",
)
Array = NDArray[np.float64]


def split(frame: pl.DataFrame, source: suite_tables.Source, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """70 % to train on and 30 % held back, by whole values of `apart`, by order of `after`, or at random."""
    draw, n = np.random.default_rng(seed), frame.height
    if source.after:
        order = frame[source.after].arg_sort().to_numpy()
        # Another seed trains on other nine tenths of the past.
        past, future = order[: round(0.7 * n)], order[round(0.7 * n) :]
        return frame[np.sort(draw.permutation(past)[: round(0.63 * n)])], frame[np.sort(future)]
    if source.apart:
        values = frame[source.apart]
        back = values.unique(maintain_order=True).sample(fraction=0.3, seed=seed).implode()
        return frame.filter(~values.is_in(back)), frame.filter(values.is_in(back))
    order = draw.permutation(n)
    return frame[np.sort(order[: round(0.7 * n)])], frame[np.sort(order[round(0.7 * n) :])]


class Judge:
    """Turns the answers of any arm into predictions with the classes in one order."""

    def __init__(self, table: Table, train: pl.DataFrame, test: pl.DataFrame) -> None:
        column = table.schema.get(table.target)
        assert column is not None
        self.key: Callable[[Any], str] = lambda value: label_key(spell(column, value))
        classification = table.problem == "classification"
        known = train[table.target].unique().drop_nulls().to_list() if classification else []
        self.classes = sorted(map(self.key, known))
        self.kind = "regression" if not classification else "binary" if len(self.classes) == 2 else "multiclass"
        self.spelled = {str(v): self.key(v) for v in known}
        values = test[table.target]
        self.judged = (values.is_in(pl.Series(known).implode()) if known else values.is_not_null()).to_numpy()
        held = values.filter(self.judged)
        places = {name: i for i, name in enumerate(self.classes)}
        self.truth = np.array([places[self.key(v)] for v in held]) if known else held.cast(pl.Float64).to_numpy()

    def ordered(self, found: Array, classes: list[str]) -> Array:
        """`found` with its columns in our order, only the rows that can be judged; a class nobody knew gets nothing."""
        if not self.classes:
            return found[self.judged]
        made = np.full((len(found), len(self.classes)), 1e-9)
        for place, name in enumerate(classes):
            if name in self.classes:
                made[:, self.classes.index(name)] = found[:, place]
        return made[self.judged] / made[self.judged].sum(axis=1, keepdims=True)

    def value(self, predictions: Array, rows: Any = slice(None)) -> float:
        return measure(self.kind, self.truth[rows], predictions[rows])


def measure(kind: str, truth: Array, predictions: Array) -> float:
    found = metrics.function(kind, METRICS[kind])(truth, predictions)  # type: ignore[arg-type]
    return float("nan") if found is None else float(found)


def peer(arm: str, table: Table, judge: Judge, folder: Path, asked: argparse.Namespace, seed: int) -> dict[str, Any]:
    pythons = dict(pair.split("=", 1) for pair in asked.python)
    command = [pythons.get(arm, sys.executable), str(Path(__file__).with_name("peers.py")), arm, str(folder), table.target]
    environment = {**os.environ, "OMP_NUM_THREADS": str(asked.threads), "POLARS_MAX_THREADS": "1"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, judge.kind, str(asked.secs), str(seed), str(asked.threads)], stdout=subprocess.DEVNULL, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"exit status {status}")
    told = json.loads((folder / "classes.json").read_text())
    predictions = judge.ordered(np.load(folder / "predictions.npy"), [judge.spelled.get(c, c) for c in told["classes"]])
    seconds, cpu = time.perf_counter() - started, usage.ru_utime + usage.ru_stime
    return {"predictions": predictions, "best": told["best"], "seconds": seconds, "cpu": cpu, "rss": usage.ru_maxrss / 1024}


def engine(
    name: str, table: Table, judge: Judge, sides: tuple[pl.DataFrame, pl.DataFrame], folder: Path, asked: Any, seed: int
) -> dict[str, Any]:
    task = "tests.benchmarks.cpu_seconds:run" if asked.cpu else "coreplex.engines.automl.train:run"
    started = time.perf_counter()
    found = diagnose(folder / "train.parquet", table.schema, DiagnosisRequest(table.target, table.problem, ColumnRoles.of({})))
    looked = time.perf_counter() - started
    run = engine_run(
        table,
        sides[0],
        name.removesuffix("_adapter"),
        asked.secs - looked,
        seed,
        folder,
        threads=asked.threads,
        task=task,
        dependence=found["dependence"],
    )
    run["seconds"] += looked
    scorer = Scorer.load(run["bundle"])
    found = scorer.ensemble.predict(sides[1].drop(table.target))
    return {**run, "predictions": judge.ordered(found, [label_key(c) for c in scorer.classes])}


def runs(asked: argparse.Namespace, done: set[tuple[str, str, str]]) -> Iterator[dict[str, Any]]:
    packages = suite_tables.unpacked(asked.out / "packages")
    for name in asked.tables or suite_tables.SOURCES:
        wanted = [(s, a) for s in range(1, asked.seeds + 1) for a in asked.arms if (name, str(s), a) not in done]
        if not wanted:
            continue
        source = suite_tables.SOURCES[name]
        with tempfile.TemporaryDirectory() as home:
            path, stored = Path(home) / f"{name}.csv", Path(home) / f"{name}.parquet"
            source.load(packages).write_csv(path)
            schema = read_table(path, path.name, stored).schema
            table = Table(name, frames.load(stored, schema), schema, source.target, source.problem)
        for seed, arm in wanted:
            try:
                yield one(table, source, seed, arm, asked)
            except RuntimeError as error:  # a peer that fails on a table is not made again until its line is taken out
                print(f"{name} {seed} {arm}: {error}", file=sys.stderr, flush=True)


def one(table: Table, source: suite_tables.Source, seed: int, arm: str, asked: argparse.Namespace) -> dict[str, Any]:
    sides = split(table.frame, source, seed)
    judge = Judge(table, *sides)
    which = arm.split(":")[0]
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        for side, frame in zip(("train", "test"), sides, strict=True):
            frame.write_parquet(folder / f"{side}.parquet")
        if which in ENGINES:
            run = engine(which, table, judge, sides, folder, asked, seed)
        else:
            run = peer(which, table, judge, folder, asked, seed)
    np.savez_compressed(asked.out / f"{table.name}-{seed}-{arm}.npz", truth=judge.truth, predictions=run["predictions"])
    facts = {
        "table": table.name,
        "seed": seed,
        "arm": arm,
        "secs": asked.secs,
        "threads": asked.threads,
        "load": os.getloadavg()[0],
    }
    return {**run, **facts, "metric": METRICS[judge.kind], "value": judge.value(run["predictions"])}


def train_all(asked: argparse.Namespace) -> None:
    path = asked.out / "runs.csv"
    done = {(r["table"], r["seed"], r["arm"]) for r in read(path)}
    if not path.exists():
        path.write_text(",".join(FIELDS) + "\n")
    for run in runs(asked, done):
        cells = {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in run.items() if k in FIELDS}
        with path.open("a", newline="") as file:
            csv.DictWriter(file, FIELDS).writerow(cells)
        print(" ".join(f"{k}={cells.get(k, '')}" for k in FIELDS), flush=True)


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def report(asked: argparse.Namespace) -> str:
    """Tables in Markdown: the mean of each arm with its rank, what the first arm is better by than each other, what runs took."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    kinds = {metric: kind for kind, metric in METRICS.items()}
    metric_of: dict[str, str] = {}
    for row in read(asked.out / "runs.csv"):
        if row["arm"] in asked.arms and (not asked.tables or row["table"] in asked.tables):
            found.setdefault(row["table"], {}).setdefault(row["arm"], {})[row["seed"]] = float(row["value"])
            metric_of[row["table"]] = row["metric"]
    lines = [f"| table | metric | seeds | {' | '.join(asked.arms)} |", "|---" * (3 + len(asked.arms)) + "|"]
    compared = [f"| table | {' | '.join(f'against {a}' for a in asked.arms[1:])} |", "|---" * len(asked.arms) + "|"]
    ranks: list[list[float]] = []
    for table, arms in found.items():
        if asked.arms[0] not in arms:
            continue
        seeds = sorted(set.intersection(*(set(values) for values in arms.values())))
        sign = 1.0 if metric_of[table] == "auc" else -1.0
        # An arm that ended without a model on this table comes last.
        means = np.array([np.mean([arms[a][s] for s in seeds]) if a in arms else -sign * np.inf for a in asked.arms])
        ranks.append([float(np.sum(sign * means > sign * mean) + (np.sum(means == mean) + 1) / 2) for mean in means])
        told = [f"{m:.4g}" if np.isfinite(m) else "no model" for m in means]
        cells = [f"**{m}**" if r == min(ranks[-1]) else m for m, r in zip(told, ranks[-1], strict=True)]
        lines.append(f"| {table} | {metric_of[table]} | {len(seeds)} | {' | '.join(cells)} |")
        others = [_difference(asked, table, seeds, a, kinds[metric_of[table]]) if a in arms else "" for a in asked.arms[1:]]
        compared.append(f"| {table} | {' | '.join(others)} |")
    if ranks:
        lines.append(f"| **mean rank** | | | {' | '.join(f'**{r:.2f}**' for r in np.mean(ranks, axis=0))} |")
    return "\n".join([*lines, "", *compared, "", *_spent(asked)])


def _spent(asked: argparse.Namespace) -> list[str]:
    """What the runs of each arm took. Java's memory is not that of the process that waits for it."""
    lines = ["| arm | runs | seconds, median and most | CPU seconds, median and most | peak memory, MB |", "|---" * 5 + "|"]
    for arm in asked.arms:
        rows = [row for row in read(asked.out / "runs.csv") if row["arm"] == arm]
        taken = [[float(row[key]) for row in rows] for key in ("seconds", "cpu", "rss")]
        if rows:
            seconds, cpu, memory = taken
            told = [f"{np.median(one):.0f}, {max(one):.0f}" for one in (seconds, cpu)]
            lines.append(f"| {arm} | {len(rows)} | {' | '.join(told)} | {max(memory):.0f} |")
    return lines


def _difference(asked: argparse.Namespace, table: str, seeds: list[str], other: str, kind: str) -> str:
    """By how much the first arm is better (more is better), 95 % of 300 paired bootstraps over the rows of the holdouts."""
    draw, sign = np.random.default_rng(0), 1.0 if kind == "binary" else -1.0
    totals = np.zeros(301)
    for seed in seeds:
        sides = [np.load(asked.out / f"{table}-{seed}-{arm}.npz") for arm in (asked.arms[0], other)]
        truth, (ours, theirs) = sides[0]["truth"], [side["predictions"] for side in sides]
        for i in range(301):
            rows = np.arange(len(truth)) if i == 0 else draw.integers(0, len(truth), len(truth))
            totals[i] += sign * (measure(kind, truth[rows], ours[rows]) - measure(kind, truth[rows], theirs[rows])) / len(seeds)
    low, high = np.nanquantile(totals[1:], [0.025, 0.975])
    mark = " **worse**" if high < 0 else " better" if low > 0 else ""
    return f"{totals[0]:+.4g} ({low:+.3g} … {high:+.3g}){mark}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--secs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tables", type=lambda text: text.split(","), default=[])
    parser.add_argument("--arms", type=lambda text: text.split(","), default=["native", "lightgbm", "histgb", "flaml"])
    parser.add_argument("--python", action="append", default=[], metavar="ARM=PYTHON")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.report:
        print(report(asked))
    else:
        train_all(asked)


if __name__ == "__main__":
    main()
