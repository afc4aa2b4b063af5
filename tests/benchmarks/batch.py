"""Batch scoring beside a bare script (Polars scan, `Booster.predict`, sink); prints the table of batch.md.

    python -m tests.benchmarks.batch [ROWS [TREES]]

Twenty columns (16 numbers, 4 categories), a LightGBM model of 31 leaves a tree. Each way is a process of its own, twice, with
two threads; CPU seconds are those of the process and count what it took to start, the figures are the better ones. The script
knows the codes of the categories; nothing is checked, counted or kept for another attempt.
"""

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import orjson
import polars as pl

from coreplex.engines.encoding.encoder import Encoder
from coreplex.engines.scoring import bundle
from coreplex.engines.scoring.bundle import Manifest
from coreplex.engines.scoring.ensemble import Member
from coreplex.engines.scoring.lightgbm import LightGbm
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema

ROUNDS = 2
LETTERS = list("abcdefgh")
CHUNK = 20_000
THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")


def rows_of(rows: int, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    data: dict[str, Any] = {f"n{i}": rng.normal(size=rows) for i in range(16)}
    return pl.DataFrame(data | {f"c{i}": rng.choice(LETTERS, rows) for i in range(4)})


def prepare(folder: Path, rows: int, trees: int) -> None:
    """The table, the model as a bundle, and the same booster for the script."""
    table = rows_of(20_000, 1)
    rng = np.random.default_rng(1)
    score = table["n0"] + (table["c0"] == "a") + table["n1"] * table["n2"] + rng.normal(size=table.height)
    y = (score > 0.3).to_numpy().astype(int)
    columns = tuple(
        Column(name, ColumnType.float, "float64") if name[0] == "n" else Column(name, ColumnType.categorical, "string")
        for name in table.columns
    )
    encoder, matrix = Encoder.fit_transform(table, columns, y, kind="tree", task="binary")
    parameters = {"objective": "binary", "num_leaves": 31, "verbosity": -1, "num_threads": 2, "seed": 1}
    booster = lgb.train(parameters, lgb.Dataset(matrix, y, categorical_feature=list(encoder.categorical)), trees)
    booster.save_model(folder / "model.txt")
    head = Manifest(task="binary", target="y", classes=("no", "yes"), feature_schema=TableSchema(columns).to_json(), algo="GBM")
    (folder / "model.zip").write_bytes(bundle.dumps(head, [Member(encoder, LightGbm.of(booster))]))
    rows_of(rows).write_parquet(folder / "rows.parquet")


def script(folder: Path) -> None:
    """What one would write: the rows a chunk at a time, their categories by number, predicted, and the columns sunk with it."""
    booster = lgb.Booster(model_file=folder / "model.txt")
    numbers = [f"n{i}" for i in range(16)]
    codes = [pl.col(f"c{i}").cast(pl.Enum(LETTERS)).to_physical().cast(pl.Float64) for i in range(4)]

    def predicted(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(prediction=booster.predict(frame.select(*numbers, *codes).to_numpy()))

    scan = pl.scan_parquet(folder / "rows.parquet")
    schema = {**scan.collect_schema(), "prediction": pl.Float64()}
    scan.map_batches(predicted, schema=schema, streamable=True).sink_parquet(folder / "script.parquet", engine="streaming")


class Quiet:
    def progress(self, fraction: float, message: str = "") -> None: ...

    def log(self, message: str, level: str = "info") -> None: ...


def batch(folder: Path) -> None:
    from coreplex.engines.batch import task

    work = folder / f"work-{os.getpid()}"
    work.mkdir()
    model = folder / "model.zip"
    request = {
        "bundle": str(model),
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "source": str(folder / "rows.parquet"),
        "filename": "rows.parquet",
        "input_sha256": "",
        "folder": str(work),
        "destination": str(folder / "batch.parquet"),
    }
    task.run(request, Quiet())  # type: ignore[arg-type]


WAYS = {"script": script, "batch": batch}


def run(way: str, folder: Path) -> None:
    began = time.perf_counter()
    WAYS[way](folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    found = {"seconds": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss / 1024}
    sys.stdout.write(orjson.dumps(found).decode())


def measured(way: str, folder: Path) -> dict[str, float]:
    """The better of the rounds, each figure for itself."""
    found = []
    for _ in range(ROUNDS):
        command = [sys.executable, "-m", "tests.benchmarks.batch", way, str(folder)]
        answer = subprocess.run(command, env={**os.environ, **dict.fromkeys(THREADS, "2")}, capture_output=True, check=True)
        found.append(orjson.loads(answer.stdout))
    return {key: min(one[key] for one in found) for key in found[0]}


def main(rows: int = 1_000_000, trees: int = 200) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, rows, trees)
        figures = {way: measured(way, folder) for way in WAYS}
        ours, theirs = (pl.read_parquet(folder / f"{way}.parquet") for way in ("batch", "script"))
        assert float((ours["probability_yes"] - theirs["prediction"]).abs().max()) < 1e-6
    print(f"\n## {rows:,} × 20, {trees} trees\n\n| what | seconds | CPU seconds | × CPU | peak MB |\n|---|---:|---:|---:|---:|")
    for way, one in figures.items():
        share = one["cpu"] / figures["script"]["cpu"]
        print(f"| {way} | {one['seconds']:.2f} | {one['cpu']:.2f} | {share:.2f} | {one['peak']:.0f} |")


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] in WAYS:
        run(sys.argv[1], Path(sys.argv[2]))
    else:
        main(*map(int, sys.argv[1:]))
