"""Holdout scores of the native engine, of FLAML (our adapter, and alone as it comes) and of LightGBM's defaults, at equal
time, one thread, on tables none has seen.

    python tests/benchmarks/automl.py [--secs 60] [--seeds 1] [--tables titanic_raw,mpg] [--engines native,flaml,alone]

Every run is a real training child process; 30 % of the rows are kept away from it and scored through the bundle it
wrote. Wall clock, overrun and peak memory are those of the child. Tables that are not there are left out.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from coreplex.engines.automl.evaluation import metrics  # noqa: E402
from coreplex.engines.scoring.scorer import Scorer  # noqa: E402
from coreplex.engines.tabular import frame as frames  # noqa: E402
from coreplex.engines.tabular.read.table import read_table  # noqa: E402
from coreplex.engines.tabular.schema import TableSchema, spell  # noqa: E402
from coreplex.platform import isolation  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
REAL = {
    "titanic_raw": ("survived", "classification"),
    "telco_churn": ("Churn", "classification"),
    "penguins": ("species", "classification"),
    "mpg": ("mpg", "regression"),
    "diamonds": ("price", "regression"),
}


@dataclass(frozen=True)
class Table:
    name: str
    frame: pl.DataFrame
    schema: TableSchema
    target: str
    problem: str


def generated(draw: np.random.Generator, classification: bool, rows: int = 6_000) -> pl.DataFrame:
    """Numbers, small categories, missing cells and one category of 240 levels that carries a third of the signal."""
    x = draw.normal(size=(rows, 6))
    level = draw.integers(0, 240, rows)
    effect = draw.normal(size=240)[level]
    group = draw.integers(0, 4, rows)
    signal = x[:, 0] * 1.2 + np.abs(x[:, 1]) + x[:, 2] * (group == 2) + 1.3 * effect
    noise = signal + draw.normal(size=rows)
    columns: dict[str, Any] = {f"x{i}": np.where(draw.random(rows) < 0.05, np.nan, x[:, i]) for i in range(6)}
    columns["city"] = [f"city {i:03d}" for i in level]
    columns["group"] = [f"group {i}" for i in group]
    columns["y"] = np.where(noise > np.median(noise), "yes", "no") if classification else noise
    return pl.DataFrame(columns)


def tables(wanted: list[str], folder: Path) -> Iterator[Table]:
    sources = {name: (DATA / f"{name}.csv", *rest) for name, rest in REAL.items()}
    for kind in ("classification", "regression"):
        path = folder / f"gen_{kind[:3]}.csv"
        generated(np.random.default_rng(7), kind == "classification").fill_nan(None).write_csv(path)
        sources[path.stem] = (path, "y", kind)
    for name, (path, target, problem) in sources.items():
        if path.exists() and (not wanted or name in wanted):
            stored = folder / f"{name}.parquet"
            schema = read_table(path, path.name, stored).schema
            yield Table(name, frames.load(stored, schema), schema, target, problem)


def split(table: Table, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    order = np.random.default_rng(seed).permutation(table.frame.height)
    cut = round(0.7 * table.frame.height)
    return table.frame[np.sort(order[:cut])], table.frame[np.sort(order[cut:])]


def engine_run(
    table: Table,
    train: pl.DataFrame,
    engine: str,
    secs: float,
    seed: int,
    folder: Path,
    *,
    threads: int = 1,
    task: str = "coreplex.engines.automl.train:run",
    dependence: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One child process; its best bundle, seconds, CPU seconds, peak memory in MB and number of models."""
    path = folder / "train.parquet"
    train.write_parquet(path)
    request = {
        "table": str(path),
        "schema": table.schema.to_json(),
        "target": table.target,
        "problem_type": table.problem,
        "config": {"max_runtime_secs": math.ceil(secs), "seed": seed, "max_models": 100, "stopping_rounds": 20},
        "engine": engine,
        "work_dir": str(folder),
        "threads": threads,
        "deadline_secs": secs,
        "dependence": dependence,
    }
    environment = {**os.environ, **isolation.environment(threads)}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "coreplex.engines.child", task],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    events = [{**json.loads(line), "at": time.perf_counter() - started} for line in process.stdout]
    _, _, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    last = events[-1]
    if last["event"] != "done":
        raise SystemExit(f"{engine} on {table.name}: {last}")
    models = {e["name"]: e for e in events if e["event"] == "model"}
    best = models[last["result"]["best"]]
    return {
        "bundle": best["bundle"]["path"],
        "oof": best["score"],
        "std": best["cv_metrics"].get(last["result"]["sort_metric"], {}).get("std", 0.0),
        "best": last["result"]["best"],
        "models": len(models),
        "first": next(e["at"] for e in events if e["event"] == "model"),
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "rss": usage.ru_maxrss / 1024,
    }


def alone(table: Table, train: pl.DataFrame, test: pl.DataFrame, secs: int, seed: int, folder: Path) -> dict[str, Any]:
    """FLAML as it comes, for the same time on the same rows: its predictions of the holdout."""
    train.write_parquet(folder / "train.parquet")
    test.write_parquet(folder / "test.parquet")
    classes = train[table.target].n_unique() if table.problem == "classification" else 0
    kind = "regression" if not classes else "binary" if classes == 2 else "multiclass"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    started = time.perf_counter()
    command = [sys.executable, str(Path(__file__).with_name("peers.py")), "flaml", str(folder), table.target, kind]
    process = subprocess.Popen([*command, str(secs), str(seed)], stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"FLAML alone failed on {table.name}")
    told = json.loads((folder / "classes.json").read_text())
    column = table.schema.get(table.target)
    assert column is not None
    # As the process saw the target: the text of the stored value.
    spelled = {str(v): spell(column, v) for v in train[table.target].unique().to_list()}
    truth = targets(table, test, [spelled[c] for c in told["classes"]])
    return {
        "truth": truth,
        "predictions": np.load(folder / "predictions.npy"),
        "best": told["best"],
        "seconds": time.perf_counter() - started,
        "rss": usage.ru_maxrss / 1024,
    }


def alone_row(table: Table, train: pl.DataFrame, test: pl.DataFrame, secs: int, seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        run = alone(table, train, test, secs, seed, Path(folder))
    name, value, second = shown(table, run["truth"], run["predictions"])
    cells = f"{table.name} | {name} | FLAML alone | {value:.4f} | {second:.4f} | | {run['best']} | | |"
    return f"| {cells} {run['seconds']:.1f} | {run['rss']:.0f} |"


def targets(table: Table, frame: pl.DataFrame, classes: list[object]) -> np.ndarray:
    values = frame[table.target]
    if not classes:
        return values.cast(pl.Float64).to_numpy()
    column = table.schema.get(table.target)
    assert column is not None
    return np.array([classes.index(spell(column, v)) for v in values.to_list()])


def scored(table: Table, test: pl.DataFrame, bundle: str) -> tuple[np.ndarray, np.ndarray]:
    scorer = Scorer.load(bundle)
    classes = list(scorer.classes)
    return targets(table, test, classes), scorer.ensemble.predict(test)


def plain_lightgbm(table: Table, train: pl.DataFrame, test: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """LightGBM with its defaults on ordinal codes: what one gets in three lines."""

    def codes(column: pl.Series, levels: list[Any]) -> np.ndarray:
        places = {v: i for i, v in enumerate(levels)}
        return np.array([places.get(v, np.nan) for v in column.to_list()], dtype=float)

    names = [c for c in train.columns if c != table.target]

    def matrix(frame: pl.DataFrame) -> np.ndarray:
        out = []
        for name in names:
            column = frame[name]
            if column.dtype.is_numeric() or column.dtype == pl.Boolean:
                out.append(column.cast(pl.Float64).fill_null(np.nan).to_numpy())
            else:
                out.append(codes(column, train[name].unique().sort().to_list()))
        return np.column_stack(out)

    classification = table.problem == "classification"
    column = table.schema.get(table.target)
    assert column is not None
    classes = [spell(column, v) for v in train[table.target].unique().sort().to_list()] if classification else []
    y, y_test = targets(table, train, classes), targets(table, test, classes)
    objective = "regression" if not classes else "binary" if len(classes) == 2 else "multiclass"
    settings: dict[str, Any] = {"objective": objective, "verbosity": -1, "num_threads": 1, "seed": 1}
    if objective == "multiclass":
        settings["num_class"] = len(classes)
    p = np.asarray(lgb.train(settings, lgb.Dataset(matrix(train), y)).predict(matrix(test)))
    return y_test, np.column_stack([1 - p, p]) if objective == "binary" else p.reshape(len(test), -1)


def shown(table: Table, y: np.ndarray, p: np.ndarray) -> tuple[str, float, float]:
    """The metric of the comparison, its value, and the second one (logloss or MAE)."""
    kind = "regression" if table.problem == "regression" else "binary" if p.shape[1] == 2 else "multiclass"
    found = metrics.evaluate(kind, y, p)
    name, second = ("rmse", "mae") if kind == "regression" else ("auc", "logloss")
    return name, float(found[name] or 0), float(found[second] or 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--secs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--tables", default="")
    parser.add_argument("--engines", default="native,flaml,alone")
    parser.add_argument("--out", default="")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lines = [
        "| table | metric | engine | holdout | logloss / MAE | out-of-fold ± | best model "
        "| models | first s | wall s | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as home:
        for table in tables([t for t in options.tables.split(",") if t], Path(home)):
            for seed in range(1, options.seeds + 1):
                train, test = split(table, seed)
                name, value, second = shown(table, *plain_lightgbm(table, train, test))
                rows = [f"| {table.name} | {name} | LightGBM as it comes | {value:.4f} | {second:.4f} | | | | | | |"]
                print(rows[0], flush=True)
                for engine in options.engines.split(","):
                    if engine == "alone":
                        rows.append(alone_row(table, train, test, options.secs, seed))
                        print(rows[-1], flush=True)
                        continue
                    with tempfile.TemporaryDirectory() as folder:
                        run = engine_run(table, train, engine, options.secs, seed, Path(folder))
                        _, value, second = shown(table, *scored(table, test, run["bundle"]))
                    oof = f"{run['oof']:.4f} ± {run['std']:.4f}"
                    rows.append(
                        f"| {table.name} | {name} | {engine} | {value:.4f} | {second:.4f} | {oof} | "
                        f"{run['best']} | {run['models']} | {run['first']:.1f} | {run['seconds']:.1f} | {run['rss']:.0f} |"
                    )
                    print(rows[-1], flush=True)
                lines += rows
    if options.out:
        Path(options.out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
