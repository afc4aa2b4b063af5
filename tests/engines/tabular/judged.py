"""A table read, profiled and judged as an upload is."""

from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.tabular.profile.table_profile import profile_table
from coreplex.engines.tabular.quality.assessment import assess
from coreplex.engines.tabular.read.interface import ReadTable
from coreplex.engines.tabular.read.table import read_table

Data = bytes | str | pl.DataFrame


def take(tmp_path: Path, data: Data, **more: Any) -> tuple[ReadTable, pl.DataFrame]:
    """What was read, and the stored table. A frame is uploaded as Parquet, all else as CSV."""
    source = tmp_path / "upload"
    if isinstance(data, pl.DataFrame):
        data.write_parquet(source)
    else:
        source.write_bytes(data.encode() if isinstance(data, str) else data)
    reading = read_table(source, "t.parquet" if isinstance(data, pl.DataFrame) else "t", tmp_path / "table.parquet", **more)
    return reading, pl.read_parquet(reading.path)


def judge(
    tmp_path: Path, data: Data, **more: Any
) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, str | None], dict[str, Any]]]:
    """(the statistics by column, the issues by kind and column)."""
    reading, _ = take(tmp_path, data, **more)
    found = profile_table(reading.path, reading.schema)
    issues = assess(found, reading.findings)["issues"]
    return {facts["name"]: facts for facts in found["columns"]}, {(issue["kind"], issue["column"]): issue for issue in issues}
