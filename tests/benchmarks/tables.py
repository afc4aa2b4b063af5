"""How long a table takes from upload to stored, profiled and judged, against a plain Polars stream of the same file.

Run: python tests/benchmarks/tables.py [--rows 1000000] [--repeat 3] [--write]
Each run is a child process of its own, the two kinds taking turns; shown are medians of seconds (wall and CPU) and the
peak memory of the child. `--write` puts the table into tables.md beside this file.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
LARGE_ROWS = 2_600_000


def generate(path: Path, rows: int) -> None:
    """20 mixed columns: numbers, keys, categories, texts, dates, yes and no, missing cells; about 200 bytes a row."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    step = 250_000
    with path.open("wb") as file:
        for start in range(0, rows, step):
            n = min(step, rows - start)
            real = {f"x{i}": rng.normal(size=n).round(6) for i in range(8)}
            whole = {f"k{i}": rng.integers(0, top, n) for i, top in enumerate((10, 1000, 100_000, 10**9))}
            words = {
                "plan": np.array(["alpha", "beta", "gamma", "delta", "epsilon"])[rng.integers(0, 5, n)],
                "city": np.array([f"city_{i}" for i in range(240)])[rng.integers(0, 240, n)],
                "note": np.array([f"some words here {i} and there" for i in range(50_000)])[rng.integers(0, 50_000, n)],
                "late": np.array(["yes", "no"])[rng.integers(0, 2, n)],
            }
            frame = pl.DataFrame({"id": np.arange(start, start + n), **real, **whole, **words})
            seconds, days = pl.Series(rng.integers(0, 10**8, n)), pl.Series(rng.integers(0, 1000, n))
            frame = frame.with_columns(
                (pl.datetime(2020, 1, 1) + pl.duration(seconds=seconds)).dt.strftime("%Y-%m-%d %H:%M:%S").alias("at"),
                (pl.date(2020, 1, 1) + pl.duration(days=days)).alias("day"),
                pl.when(pl.Series(rng.random(n)) < 0.1).then(None).otherwise(pl.col("x7")).alias("x7"),
                (pl.col("x0") + pl.col("x1") > 0).cast(pl.Int64).alias("target"),
            )
            frame.write_csv(file, include_header=start == 0)


def plain(source: Path, folder: Path) -> None:
    import polars as pl

    pl.scan_csv(source, try_parse_dates=True).sink_parquet(folder / "plain.parquet", engine="streaming")


def ingest(source: Path, folder: Path) -> None:
    from coreplex.engines.child import Report
    from coreplex.engines.tabular import tasks

    with (folder / "events").open("wb") as events:
        request = {"source": str(source), "filename": source.name, "destination": str(folder / "ours.parquet")}
        tasks.ingest(request, Report(events))


def export_csv(source: Path, folder: Path) -> None:
    from coreplex.engines.tabular.read.table import read_table
    from coreplex.engines.tabular.write.export import export

    reading = read_table(source, source.name, folder / "exported.parquet")
    export(reading.path, reading.schema, "csv", folder / "exported.csv")


KINDS = {"polars CSV → Parquet": plain, "read, profile, judge": ingest, "read, export CSV": export_csv}


def one(kind: str, source: Path) -> None:
    """The inside of a child process."""
    sys.path.insert(0, str(ROOT))
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        start, cpu = time.perf_counter(), time.process_time()
        KINDS[kind](source, Path(folder))
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps([time.perf_counter() - start, time.process_time() - cpu, used]))


def measure(source: Path, repeat: int) -> dict[str, list[float]]:
    found: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    for _ in range(repeat):
        for kind, runs in found.items():
            command = [sys.executable, __file__, "--one", kind, "--source", str(source)]
            runs.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return {kind: [statistics.median(column) for column in zip(*runs, strict=True)] for kind, runs in found.items()}


def table(rows: int, size: int, found: dict[str, list[float]]) -> str:
    base = found[next(iter(KINDS))]
    lines = [
        f"\n## {rows:,} × 20, {size / 1e6:.0f} MB\n",
        "| what | seconds | CPU seconds | × plain stream | × CPU | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for kind, (wall, cpu, memory) in found.items():
        lines.append(f"| {kind} | {wall:.2f} | {cpu:.2f} | {wall / base[0]:.2f} | {cpu / base[1]:.2f} | {memory:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, LARGE_ROWS])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--one")
    parser.add_argument("--source", type=Path)
    asked = parser.parse_args()
    if asked.one:
        one(asked.one, asked.source)
        return
    parts = [
        f"# Tables\n\nMeasured by `tests/benchmarks/tables.py` (medians of {asked.repeat}, Python {platform.python_version()})."
    ]
    for rows in asked.rows:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "table.csv"
            generate(source, rows)
            parts.append(table(rows, source.stat().st_size, measure(source, asked.repeat)))
    text = "\n".join(parts) + "\n"
    print(text)
    if asked.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
