"""Names of storage types in a schema, by the Polars type of a column."""

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
