"""Do promises hold? Trains on four fifths of a table, looks at the last fifth, and counts how often each metric falls inside.

    .venv/bin/python tests/benchmarks/promises.py --seeds 5

Every split of every table is one holdout of a fifth; the promise is for nine in ten. Prints a table in Markdown.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import polars as pl
from sklearn import datasets

from coreplex.engines.automl import train
from coreplex.engines.automl.evaluation import intervals, metrics
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.read.table import read_table
from coreplex.errors.tree import Message


class Report:
    """Keeps the models and says nothing."""

    stopped = False

    def __init__(self) -> None:
        self.models: dict[str, dict[str, Any]] = {}

    def log(self, message: str, level: str = "info") -> None: ...

    def warn(self, message: Message) -> None: ...

    def progress(self, fraction: float, message: str = "") -> None: ...

    def model(self, **manifest: Any) -> None:
        self.models[manifest["name"]] = manifest


def bundled(name: str) -> pl.DataFrame:
    found = getattr(datasets, f"load_{name}")()
    columns = {f"x{i}": column for i, column in enumerate(found.data.T)}
    target = [f"c{v}" for v in found.target] if hasattr(found, "target_names") and name != "diabetes" else found.target
    return pl.DataFrame({**columns, "y": target})


def generated(kind: str, rows: int, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 8))
    signal = x[:, 0] + 0.6 * x[:, 1] * x[:, 2] + 0.4 * np.sin(2 * x[:, 3])
    noise = draw.normal(size=rows)
    columns: dict[str, Any] = {f"x{i}": x[:, i] for i in range(8)}
    if kind == "binary":
        columns["y"] = np.where(signal + noise > 1.0, "yes", "no")
    elif kind == "rare":
        columns["y"] = np.where(signal + 0.7 * noise > 2.6, "yes", "no")
    elif kind == "classes":
        columns["y"] = [f"c{v}" for v in np.digitize(signal + 0.7 * noise, [-1.2, 0.0, 1.0, 2.0])]
    elif kind == "uneven":
        columns["y"] = signal + noise * np.exp(0.7 * x[:, 4])
    else:
        columns["y"] = signal + 0.5 * noise
    if kind == "groups":
        group = draw.integers(0, 60, rows)
        columns["y"] = columns["y"] + draw.normal(size=60)[group]
        columns["group"] = [f"g{v}" for v in group]
    return pl.DataFrame(columns)


TABLES: dict[str, Any] = {
    "breast_cancer": lambda seed: bundled("breast_cancer"),
    "wine": lambda seed: bundled("wine"),
    "iris": lambda seed: bundled("iris"),
    "digits": lambda seed: bundled("digits"),
    "diabetes": lambda seed: bundled("diabetes"),
    "binary": lambda seed: generated("binary", 1_500, seed),
    "rare": lambda seed: generated("rare", 3_000, seed),
    "classes": lambda seed: generated("classes", 1_200, seed),
    "numbers": lambda seed: generated("numbers", 1_500, seed),
    "uneven": lambda seed: generated("uneven", 2_000, seed),
    "large": lambda seed: generated("numbers", 12_000, seed),
    "groups": lambda seed: generated("groups", 1_500, seed),
}


def split(frame: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Four fifths and one fifth; of a table with groups, whole groups."""
    draw = np.random.default_rng(seed + 1_000)
    if "group" not in frame.columns:
        order = draw.permutation(frame.height)
        return frame[order[frame.height // 5 :]], frame[order[: frame.height // 5]]
    names = draw.permutation(frame["group"].unique().sort().to_numpy())
    held = pl.col("group").is_in(list(names[: len(names) // 5]))
    return frame.filter(~held), frame.filter(held)


def trained(frame: pl.DataFrame, folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The manifest of the best model."""
    source = folder / "table.csv"
    frame.write_csv(source)
    schema = read_table(source, "table.csv", folder / "table.parquet").schema.to_json()
    problem = "classification" if frame["y"].dtype == pl.String else "regression"
    request = {"table": str(folder / "table.parquet"), "schema": schema, "target": "y", "problem_type": problem}
    report = Report()
    result = train.run({**request, "config": config, "work_dir": str(folder), "threads": 1}, report)
    return report.models[result["best"]]


def held(model: dict[str, Any], frame: pl.DataFrame) -> tuple[metrics.Metrics, int]:
    scorer = Scorer.load(Path(model["bundle"]["path"]), model["bundle"]["sha256"])
    p = scorer.ensemble.predict(frame)
    if not model["classes"]:
        return metrics.evaluate("regression", frame["y"].to_numpy(), p), frame.height
    y = frame["y"].replace_strict(model["classes"], list(range(len(model["classes"]))), return_dtype=pl.Int64).to_numpy()
    said = metrics.decided(p, (model["threshold"] or {}).get("value", 0.5))
    return metrics.evaluate("binary" if p.shape[1] == 2 else "multiclass", y, p, predicted=said), frame.height


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--models", type=int, default=4)
    options = parser.parse_args()
    inside: dict[str, list[bool]] = defaultdict(list)
    print("| table | rank metric: inside | promised, mean | held, mean | below / above | all metrics: inside |")
    print("|---|---|---|---|---|---|")
    for name in options.tables.split(","):
        rank, every, sides, said, found = [], [], [0, 0], [], []
        for seed in range(options.seeds):
            fit, rest = split(TABLES[name](seed), seed)
            config = {"max_models": options.models, "max_runtime_secs": 60, "seed": seed}
            with tempfile.TemporaryDirectory() as folder:
                config |= {"group_column": "group"} if "group" in fit.columns else {}
                model = trained(fit, Path(folder), config)
                values, rows = held(model, rest)
            for entry in model["metric_intervals"]:
                value = values[entry["metric"]]
                if value is None:
                    continue
                low, high = intervals.scaled(entry, rows)
                every.append(low <= value <= high)
                inside[entry["metric"]].append(every[-1])
                if entry["metric"] == model["sort_metric"]:
                    rank.append(every[-1])
                    said.append(entry["value"])
                    found.append(value)
                    sides[0] += value < low
                    sides[1] += value > high
                    inside["(rank metric)"].append(every[-1])
        print(
            f"| {name} | {sum(rank)} of {len(rank)} | {np.mean(said):.4g} | {np.mean(found):.4g} | {sides[0]} / {sides[1]} "
            f"| {sum(every)} of {len(every)} |",
            flush=True,
        )
    print("\n| metric | inside | share |\n|---|---|---|")
    for metric, hits in sorted(inside.items()):
        print(f"| {metric} | {sum(hits)} of {len(hits)} | {np.mean(hits):.0%} |")


if __name__ == "__main__":
    main()
