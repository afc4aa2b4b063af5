"""Reading an uploaded table, CSV or Parquet, into the typed Parquet the server keeps.

The one entry is `read`. It refuses what it cannot read with a sentence that says what to do, and reports in notes whatever
it had to decide. It streams: memory does not grow with the file.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from coreplex.engines.tabular import columnar, delimited, kinds
from coreplex.engines.tabular.notes import Limits, Note, Reading
from coreplex.engines.tabular.orders import Orders, unknown
from coreplex.engines.tabular.schema import SET_BY_USER, Column, ColumnType, TableSchema
from coreplex.engines.tabular.storage import dtype_name
from coreplex.errors import BadInput, Invalid

__all__ = ["Limits", "Note", "Reading", "read"]

_FORMATS: dict[str, Literal["csv", "parquet"]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def read(
    source: Path,
    filename: str,
    destination: Path,
    *,
    overrides: Mapping[str, ColumnType] | None = None,
    missing: Mapping[str, Sequence[str]] | None = None,
    everywhere: Sequence[str] = (),
    force: bool = False,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    previous: TableSchema | None = None,
) -> Reading:
    """Reads `source` (uploaded as `filename`) and writes typed Parquet to `destination`.

    `overrides` fixes the type of named columns, `missing` the texts and values that are missing in them (`words.missing`),
    `everywhere` names such of every column. A type that most of a column does not fit is refused unless `force`. `previous`
    is the schema of a stored table that is read again with other types: its spellings and formats are kept. Raises BadInput
    (cannot be understood; names the line where it can) and Invalid (no rows, too large, a column that is not there or would
    be lost).
    """
    written = file_format(source, filename)
    orders = Orders(
        dict(overrides or {}), {name: tuple(said) for name, said in (missing or {}).items()}, tuple(everywhere), force
    )
    if written == "parquet":
        reading = columnar.read(source, destination, orders, limits, previous)
    else:
        reading = _read_delimited(source, destination, orders, limits)
    for name in (*orders.types, *orders.missing):
        if reading.schema.get(name) is None:
            raise Invalid.field(unknown(name, reading.schema.names), "overrides", name, "name")
    return reading


def file_format(source: Path, filename: str) -> Literal["csv", "parquet"]:
    """By extension, then by the first bytes. Raises BadInput for anything that is not CSV or Parquet."""
    with source.open("rb") as file:
        magic = file.read(4)
    suffix = Path(filename.lower()).suffix
    found = _FORMATS.get(suffix)
    if found is None and suffix:
        raise BadInput(f"Files ending in {suffix!r} cannot be read. Upload a CSV (.csv) or Parquet (.parquet) file.")
    if magic == b"PAR1":
        return "parquet"
    return found or "csv"


def _read_delimited(source: Path, destination: Path, orders: Orders, limits: Limits) -> Reading:
    stored, overrides = delimited.read(source, destination, orders, limits), orders.types
    typed = dict(zip(stored.names, stored.rules, strict=True))
    strings = [name for name, rule in typed.items() if rule.is_text]
    integers = [name for name, rule in typed.items() if rule.kind == "integer"]
    decided = kinds.decide(destination, strings, integers, stored.rows)
    columns = tuple(
        Column(
            name=name,
            type=overrides.get(name) or (decided[name][0] if name in decided else ColumnType(rule.kind)),
            dtype=dtype_name(rule.dtype),
            nullable=stored.nulls[index] > 0,
            labels=stored.spellings.labels(index),
            format=rule.format,
            reason=SET_BY_USER if name in overrides else decided.get(name, (None, None))[1],
            original_name=stored.written[index] if stored.written[index] != name else None,
            missing=rule.missing,
        )
        for index, (name, rule) in enumerate(typed.items())
    )
    return Reading(TableSchema(columns), stored.rows, destination.stat().st_size, "csv", stored.notes, destination)
