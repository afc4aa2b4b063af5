"""The few ways a column is stored, and their names in a schema."""

import polars as pl

_NAMES: dict[type[pl.DataType] | pl.DataType, str] = {
    pl.Boolean: "bool",
    pl.String: "string",
    pl.Date: "date",
}
_BY_NAME: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "string": pl.String(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
    **{
        str(dtype).lower(): dtype
        for dtype in (pl.Int8(), pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt8(), pl.UInt16(), pl.UInt32(), pl.UInt64())
    },
    "float32": pl.Float32(),
    "float64": pl.Float64(),
}


def dtype_name(dtype: pl.DataType) -> str:
    """`int64`, `float64`, `bool`, `string`, `date`, `datetime` and the narrower numbers."""
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    return _NAMES.get(type(dtype)) or str(dtype).lower()


def polars_type(name: str) -> pl.DataType:
    """The Polars type behind a schema's dtype name."""
    return _BY_NAME[name]


_GROUP_ROWS = 250_000
_GROUP_BYTES = 32 << 20


def row_group_size(sample: pl.DataFrame) -> int:
    """Rows per Parquet row group, so that the groups being written stay small whatever the rows hold."""
    per_row = sample.estimated_size() / max(sample.height, 1)
    return int(min(_GROUP_ROWS, max(1_000, _GROUP_BYTES / max(per_row, 1.0))))
