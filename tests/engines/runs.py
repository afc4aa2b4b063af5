"""Trainings of small tables, and what they report."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from coreplex.engines.automl import train
from coreplex.engines.automl.budget import Clock, Progress
from coreplex.engines.automl.options.engine_registry import BASELINE
from coreplex.engines.tabular.read.table import read_table
from coreplex.errors.tree import Message


class Report:
    """Collects events, the baseline's apart from those of the other models; after `stop_after` of these it asks to stop."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.models: list[dict[str, Any]] = []
        self.baselines: list[dict[str, Any]] = []
        self.logs: list[str] = []
        self.warnings: list[Message] = []
        self.fractions: list[float] = []
        self.stop_after = stop_after
        self.stop_when: Callable[[], bool] = lambda: False

    def log(self, message: str, level: str = "info") -> None:
        self.logs.append(f"{level}: {message}")

    def warn(self, message: Message) -> None:
        self.warnings.append(message)

    def progress(self, fraction: float, message: str = "") -> None:
        self.fractions.append(fraction)

    def model(self, **manifest: Any) -> None:
        models = self.baselines if manifest["algo"] == BASELINE else self.models
        models.append(json.loads(json.dumps(manifest)))

    @property
    def stopped(self) -> bool:
        return self.stop_when() or (self.stop_after is not None and len(self.models) >= self.stop_after)


def table(rows: int = 150, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 2))
    group = draw.integers(0, 3, rows)
    signal = x[:, 0] + (group == 1) + 0.3 * draw.normal(size=rows)
    return pl.DataFrame(
        {
            "x0": x[:, 0].round(3),
            "x1": [None if hole else v for hole, v in zip(draw.random(rows) < 0.1, x[:, 1].round(3), strict=True)],
            "group": [f"g{i}" for i in group],
            "moment": draw.permutation(rows),
            "answer": ["Yes" if s > 0.3 else "No" for s in signal],
            "kind": [("low", "mid", "high")[int(s > 0) + int(s > 1)] for s in signal],
            "amount": np.exp(signal).round(3),
        }
    )


def request(frame: pl.DataFrame, target: str, problem: str, folder: Path, **config: Any) -> dict[str, Any]:
    source, stored = folder / "table.csv", folder / "table.parquet"
    frame.write_csv(source)
    schema = read_table(source, "table.csv", stored).schema.to_json()
    others = ({"answer", "kind", "amount", "moment"} & set(frame.columns)) - {target, config.get("time_column")}
    config = {"max_models": 2, "nfolds": 3, "max_runtime_secs": 600, "ignored_columns": sorted(others), **config}
    return {
        "table": str(stored),
        "schema": schema,
        "target": target,
        "problem_type": problem,
        "config": config,
        "work_dir": str(folder),
        "threads": 1,
    }


def run(frame: pl.DataFrame, target: str, problem: str, folder: Path, **config: Any) -> tuple[dict[str, Any], Report]:
    report = Report()
    return train.run(request(frame, target, problem, folder, **config), report), report


def task_of(rows: int, tmp_path: Path, columns: int = 6, **config: Any) -> Any:
    """The task of a run on a table of two classes, one of them rare."""
    x = np.random.default_rng(rows).normal(size=(rows, columns))
    rare = np.where(np.arange(rows) % 100 == 0, "rare", "common")
    table = pl.DataFrame(x, schema=[f"x{i}" for i in range(columns)]).with_columns(y=pl.Series(rare))
    asked = request(table, "y", "classification", tmp_path, **config)
    config = train.parse_config(asked["config"], "classification")
    clock = Clock(600.0)
    return train.prepare(asked, config, clock, Progress(clock, lambda *_: None), Report()).task
