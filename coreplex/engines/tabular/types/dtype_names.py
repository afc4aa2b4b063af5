"""The few ways a column is stored, and their names in a schema."""

import polars as pl

_NAMES: dict[type[pl.DataType] | pl.DataType, str] = {
    pl.Boolean: "bool",
    pl.String: "string",
    pl.Date: "date",
}


def dtype_name(dtype: pl.DataType) -> str:
    """`int64`, `float64`, `bool`, `string`, `date`, `datetime` and the narrower numbers."""
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    return _NAMES.get(type(dtype)) or str(dtype).lower()


_GROUP_ROWS = 250_000
_GROUP_BYTES = 16 << 20


def row_group_size(sample: pl.DataFrame) -> int:
    """Rows per Parquet row group, so that the groups being written stay small whatever the rows hold."""
    per_row = sample.estimated_size() / max(sample.height, 1)
    return int(min(_GROUP_ROWS, max(1_000, _GROUP_BYTES / max(per_row, 1.0))))
