"""Do estimates come true on real tables, trained and served as the server does?

    python -m tests.benchmarks.estimates_on_tables [--seeds 2] [--secs 20] > tests/benchmarks/estimates_on_tables.md

Trains on 70 % of a table, answers the others through the bundle, and estimates these answers by the file that training made,
from rows in JSON as the inference log has them. Once as the rows are, once of the third that lies highest in the column that
matters most: inputs that moved, of which the truth is known. Tables that are not there are left out.
"""

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from coreplex.engines.automl import train
from coreplex.engines.drift.layout import Feature, Layout
from coreplex.engines.estimation.baseline import Estimation
from coreplex.engines.performance.answers import Logged, Part, summarised
from coreplex.engines.performance.realised import Judge
from coreplex.engines.scoring.scorer import Scorer
from coreplex.engines.tabular.schema import spell
from tests.benchmarks.automl import Table, split, tables
from tests.benchmarks.promises import Report

SHOWN = {"classification": ("accuracy", "auc", "f1", "logloss"), "regression": ("mae", "rmse")}
NAMES = ["telco_churn", "diamonds", "titanic_raw", "gen_cla", "gen_reg"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--secs", type=int, default=20)
    said = parser.parse_args()
    found: dict[tuple[str, str, str], list[tuple[float, ...]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        for table in tables(NAMES, Path(folder)):
            for seed in range(said.seeds):
                for rows, metric, *values in measured(table, seed, said.secs, Path(folder)):
                    found[table.name, rows, metric].append(tuple(values))
    print(report(found, said.seeds, said.secs))


def measured(table: Table, seed: int, secs: int, folder: Path) -> Iterator[Any]:
    """Which rows, which metric; promised, estimated with its standard error, realised; in deviations of the target where it is a
    number."""
    learned, held = split(table, seed)
    held = held.drop_nulls(table.target).sample(min(held.height, 5_000), seed=seed)
    model = trained(table, learned.sample(min(learned.height, 10_000), seed=seed), secs, folder / f"{table.name}-{seed}")
    spread = 1.0 if table.problem == "classification" else float(held[table.target].std())  # type: ignore[arg-type]
    features = orjson.loads(Path(model["inputs"]["path"]).read_bytes())
    layout = Layout(tuple(map(Feature.from_json, features)))
    estimation = Estimation.loads(Path(model["estimation"]["path"]).read_bytes())
    for rows, frame in (("held back", held), ("moved", moved(held, model, layout))):
        part = judged(table, model, estimation, layout, frame)
        for metric in SHOWN[table.problem]:
            estimated, realised = (part.estimated or {})[metric], part.realised[metric].value
            values = estimation.promised[metric], estimated.value, estimated.error, realised
            yield rows, metric, *(float("nan") if one is None else one / spread for one in values)


def trained(table: Table, frame: pl.DataFrame, secs: int, folder: Path) -> dict[str, Any]:
    """The report of the best model."""
    folder.mkdir()
    frame.write_parquet(folder / "train.parquet")
    report = Report()
    request = {"table": str(folder / "train.parquet"), "schema": table.schema.to_json(), "target": table.target}
    config = {"max_models": 3, "max_runtime_secs": secs}
    more = {"problem_type": table.problem, "config": config, "work_dir": str(folder / "work"), "threads": 1}
    return report.models[train.run({**request, **more}, report)["best"]]


def moved(frame: pl.DataFrame, model: dict[str, Any], layout: Layout) -> pl.DataFrame:
    """The third of the rows in which the number that matters most is highest."""
    numbers = [feature.name for feature in layout.inputs if feature.kind == "number"]
    ranked = [one["feature"] for one in json.loads(Path(model["explanation"]["path"]).read_text())["feature_importance"]]
    first = next(name for name in ranked if name in numbers)
    return frame.sort(first, descending=True, nulls_last=True).head(frame.height // 3)


def judged(table: Table, model: dict[str, Any], estimation: Estimation, layout: Layout, frame: pl.DataFrame) -> Part:
    """What is said of the rows, as of those of a deployment."""
    scorer = Scorer.load(model["bundle"]["path"], model["bundle"]["sha256"])
    rows = [orjson.loads(orjson.dumps(row, default=str)) for row in frame.drop(table.target).to_dicts()]
    outputs = [orjson.dumps(one).decode() for one in scorer.predict_rows(rows)[0]]
    column = next(one for one in table.schema if one.name == table.target)
    outcomes = [orjson.dumps(spell(column, one), default=str).decode() for one in frame[table.target].to_list()]
    inputs = [orjson.dumps(row).decode() for row in rows]
    logged = Logged(np.zeros(len(rows), dtype=np.int64), outputs, outcomes, inputs)
    return summarised(Judge.of(table.problem, model["classes"]), estimation, layout, logged, logged).whole


def report(found: dict[tuple[str, str, str], list[tuple[float, ...]]], seeds: int, secs: int) -> str:
    """The table."""
    lines = [
        "# Estimates on real tables",
        "",
        f"Measured by `tests/benchmarks/estimates_on_tables.py --seeds {seeds} --secs {secs}`: trained on 70 % of a table (at",
        "most 10,000 rows), asked for at most 5,000 of the others. *moved*: the third that is highest in the number that",
        "matters most.",
        "Means over the seeds; errors of numbers in standard deviations of the target.",
        "",
        "| table | rows | metric | promised | estimated | realised | estimated − realised | promised − realised |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (name, rows, metric), values in found.items():
        promised, estimated, _, realised = np.mean(values, axis=0)
        lines.append(
            f"| {name} | {rows} | {metric} | {promised:.4f} | {estimated:.4f} | {realised:.4f} "
            f"| {estimated - realised:+.4f} | {promised - realised:+.4f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
