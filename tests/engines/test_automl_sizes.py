"""Large tables under the limits of production: the child is ended where it takes more time or memory than it may."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from coreplex.platform.isolation import run_child
from coreplex.training.service import ENGINE, OVERRUN_FACTOR, OVERRUN_SECS

BUDGET_SECS = 60
LIMIT_BYTES = 4 << 30


def numbers(rows: int, columns: int) -> tuple[pl.DataFrame, str]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(rows, columns)).round(4)
    y = np.where(x[:, 0] * x[:, 1] + x[:, 2] + draw.normal(size=rows) > 0, "yes", "no")
    return pl.DataFrame(x, schema=[f"x{i}" for i in range(columns)]).with_columns(y=pl.Series(y)), "classification"


def classes(rows: int = 50_000, count: int = 100) -> tuple[pl.DataFrame, str]:
    draw = np.random.default_rng(1)
    x = draw.normal(size=(rows, 20))
    y = (x @ draw.normal(size=(20, count)) + draw.gumbel(size=(rows, count))).argmax(axis=1)
    names = [f"x{i}" for i in range(20)]
    return pl.DataFrame(x, schema=names).with_columns(y=pl.Series([f"c{c}" for c in y])), "classification"


def levels(rows: int = 100_000) -> tuple[pl.DataFrame, str]:
    draw = np.random.default_rng(2)
    codes, effects = draw.integers(0, 200, (10, rows)), draw.normal(size=(10, 200))
    y = sum(effect[code] for effect, code in zip(effects, codes, strict=True)) + draw.normal(size=rows)
    return pl.DataFrame({**{f"c{i}": [f"v{c}" for c in code] for i, code in enumerate(codes)}, "y": y}), "regression"


def texts(rows: int = 250_000) -> tuple[pl.DataFrame, str]:
    draw = np.random.default_rng(3)
    words, y = np.array([f"w{i}" for i in range(5_000)]), draw.integers(0, 2, rows)
    said = np.where(draw.random(rows) < 0.7, y, 1 - y)
    notes = [f"tone{s} {' '.join(words[row])}" for s, row in zip(said, draw.integers(0, 5_000, (rows, 12)), strict=True)]
    return pl.DataFrame({"note": notes, "x": draw.normal(size=rows), "y": np.where(y == 1, "yes", "no")}), "classification"


TABLES: dict[str, Callable[[], tuple[pl.DataFrame, str]]] = {
    "1,000,000 rows": lambda: numbers(1_000_000, 20),
    "2,000 columns": lambda: numbers(20_000, 2_000),
    "100 classes": classes,
    "200 levels in ten columns": levels,
    "250,000 texts": texts,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
async def test_large_tables_keep_time_and_memory(name: str, tmp_path: Path) -> None:
    table, problem = TABLES[name]()
    table.write_parquet(tmp_path / "table.parquet", row_group_size=50_000)
    kinds = {pl.Float64: "float", pl.String: "categorical"}
    columns = [
        {"name": n, "type": "text" if n == "note" else kinds[type(t)], "dtype": str(t)}  # type: ignore[index]
        for n, t in table.schema.items()
    ]
    request = {
        "table": str(tmp_path / "table.parquet"),
        "schema": {"columns": columns},
        "target": "y",
        "problem_type": problem,
        "config": {"max_runtime_secs": BUDGET_SECS},
        "work_dir": str(tmp_path),
        "threads": 2,
        "memory_bytes": LIMIT_BYTES,
    }
    events: list[dict[str, Any]] = []

    async def hear(event: dict[str, Any]) -> None:
        events.append(event)

    result = await run_child(
        ENGINE,
        request,
        on_event=hear,
        time_limit_secs=BUDGET_SECS * OVERRUN_FACTOR + OVERRUN_SECS,
        memory_bytes=LIMIT_BYTES,
        env_threads=2,
    )
    assert result["models_trained"] >= 2
    assert not result["best"].startswith("Baseline")
    fractions = [event["fraction"] for event in events if event["event"] == "progress"]
    assert fractions == sorted(fractions)
    assert max(later - one for one, later in itertools.pairwise(fractions)) < 0.5
