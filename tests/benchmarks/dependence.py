"""How often rows that depend on each other are found, independent ones accused, and which promise a later holdout keeps.

    python tests/benchmarks/dependence.py rates [--seeds 20] [--clean 200]
    python tests/benchmarks/dependence.py promises [--seeds 3] [--models 4] [--secs 60]

`promises`: models are trained twice, by `validation: random` and by what `auto` takes, on the earlier 70 % of the rows (or of the
groups), and the best one's promise is held against the rest. Tables are those of `tests/factories/dependent.py`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from coreplex.engines.automl import train  # noqa: E402
from coreplex.engines.automl.evaluation import metrics  # noqa: E402
from coreplex.engines.diagnosis.request import CpuDeadline  # noqa: E402
from coreplex.engines.diagnosis.row_dependence import recommendation  # noqa: E402
from coreplex.engines.scoring.scorer import Scorer  # noqa: E402
from coreplex.engines.tabular import frame as frames  # noqa: E402
from coreplex.engines.tabular.read.table import read_table  # noqa: E402
from coreplex.engines.tabular.schema import TableSchema  # noqa: E402
from tests.engines.scoring_samples import predict_frame  # noqa: E402
from tests.factories import dependent  # noqa: E402


def stored(frame: pl.DataFrame, folder: Path) -> tuple[Path, TableSchema]:
    frame.write_csv(folder / "table.csv")
    return folder / "table.parquet", read_table(folder / "table.csv", "table.csv", folder / "table.parquet").schema


def looked(frame: pl.DataFrame) -> dict[str, Any]:
    """What is found, and its CPU seconds."""
    with tempfile.TemporaryDirectory() as name:
        path, schema = stored(frame, Path(name))
        started = time.process_time()
        found = recommendation.recommend_split(
            path, schema, "y", classification=frame["y"].dtype == pl.String, deadline=CpuDeadline(600)
        )
        return {**found, "cpu": time.process_time() - started}


def rates(asked: argparse.Namespace) -> Iterator[str]:
    yield "| planted | right | CPU s | random promises | honest |\n|---|---:|---:|---:|---:|"
    for name, (make, expected) in dependent.PLANTED.items():
        answers = [looked(make(100 + seed)) for seed in range(asked.seeds)]
        right = [a for a in answers if (a["strategy"], a.get("group_column"), a.get("time_column")) == expected]
        shown = [np.median([a[key] for a in right]) if right else np.nan for key in ("random_score", "honest_score")]
        metric = right[0]["metric"] if right else ""
        cpu = np.median([a["cpu"] for a in answers])
        yield f"| {name} | {len(right)}/{asked.seeds} | {cpu:.1f} | {metric} {shown[0]:.3g} | {shown[1]:.3g} |"
    wrong = [seed for seed in range(asked.clean) if looked(dependent.independent(1_000 + seed))["strategy"] is not None]
    yield f"\nIndependent tables accused: {len(wrong)} of {asked.clean}."


def later(frame: pl.DataFrame, found: dict[str, Any]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows to train on, and those that come later, or of other groups, as the table's own structure has it."""
    if found["strategy"] == "group":
        names = frame[found["group_column"]].unique(maintain_order=True)
        kept = frame[found["group_column"]].is_in(names.head(round(0.7 * len(names))).implode())
        return frame.filter(kept), frame.filter(~kept)
    cut = round(0.7 * frame.height)
    return frame.head(cut), frame.tail(frame.height - cut)


class Silent:
    """Keeps the models of a run."""

    stopped = False

    def __init__(self) -> None:
        self.models: list[dict[str, Any]] = []

    def model(self, **manifest: Any) -> None:
        self.models.append(json.loads(json.dumps(manifest)))

    def log(self, *_: Any) -> None: ...

    warn = progress = log


def promise(table: pl.DataFrame, holdout: pl.DataFrame, validation: str, asked: argparse.Namespace, seed: int) -> tuple[Any, ...]:
    """Metric, strategy, what the best model promises and what it gets."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, schema = stored(table, folder)
        problem = "classification" if table["y"].dtype == pl.String else "regression"
        request = {
            "table": str(path),
            "schema": schema.to_json(),
            "target": "y",
            "problem_type": problem,
            "config": {"max_runtime_secs": asked.secs, "max_models": asked.models, "validation": validation, "seed": seed},
            "dependence": recommendation.recommend_split(
                path, schema, "y", classification=problem == "classification", deadline=CpuDeadline(600)
            ),
            "work_dir": str(folder),
            "threads": 1,
        }
        report = Silent()
        best = train.run(request, report)["best"]
        model = next(m for m in report.models if m["name"] == best)
        scorer = Scorer.load(model["bundle"]["path"], model["bundle"]["sha256"])
        (folder / "held").mkdir()
        held = frames.load(stored(holdout, folder / "held")[0], schema)
        return model["sort_metric"], model["score"], got(model["sort_metric"], holdout["y"], predict_frame(scorer, held))


def got(metric: str, truth: pl.Series, answer: pl.DataFrame) -> float:
    """The metric on the holdout; of two classes the second is `yes`."""
    if metric == "rmse":
        predicted = answer["prediction"].to_numpy()[:, None]
        return float(metrics.function("regression", "rmse")(truth.to_numpy(), predicted) or np.nan)
    sure = answer["probability_yes"].to_numpy()
    y = (truth == "yes").to_numpy().astype(np.int64)
    return float(metrics.function("binary", metric)(y, np.column_stack([1 - sure, sure])) or np.nan)


def promises(asked: argparse.Namespace) -> Iterator[str]:
    yield "| table | auto takes | metric | random promises | holdout | honest promises | holdout |"
    yield "|---|---|---|---:|---:|---:|---:|"
    for name in asked.tables.split(";") if asked.tables else dependent.PLANTED:
        rows = []
        for seed in range(asked.seeds):
            frame = dependent.PLANTED[name][0](200 + seed)
            found = looked(frame)
            table, holdout = later(frame, found)
            rows.append([x for way in ("random", "auto") for x in promise(table, holdout, way, asked, seed)[1:]])
        metric = "auc" if frame["y"].dtype == pl.String else "rmse"
        shown = " | ".join(f"{value:.3g}" for value in np.mean(rows, axis=0))
        yield f"| {name} | {found['strategy']} | {metric} | {shown} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rates", "promises"])
    for option, default in (("--seeds", 3), ("--clean", 200), ("--models", 4), ("--secs", 60)):
        parser.add_argument(option, type=int, default=default)
    parser.add_argument("--tables", default="")
    asked = parser.parse_args()
    for line in (rates if asked.what == "rates" else promises)(asked):
        print(line, flush=True)


if __name__ == "__main__":
    main()
