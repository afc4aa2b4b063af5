"""Sizes the row groups of the Parquet files that are written."""

import polars as pl

_GROUP_ROWS = 250_000
_GROUP_BYTES = 16 << 20


def row_group_size(sample: pl.DataFrame) -> int:
    """Rows per Parquet row group, judged by first rows of the table: at most 250,000, at least 1,000, about 16 MiB in
    memory.
    """
    per_row = sample.estimated_size() / max(sample.height, 1)
    return int(min(_GROUP_ROWS, max(1_000, _GROUP_BYTES / max(per_row, 1.0))))
