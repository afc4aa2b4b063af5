"""The rows to be scored, whatever they came as: a stored table, a Parquet file, or delimited text made a table of texts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from coreplex.engines.batch import text_table
from coreplex.engines.tabular.read import conversion
from coreplex.engines.tabular.read.file_formats import CALLED, FileFormat
from coreplex.engines.tabular.read.headers import unique_names
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.parquet import UNREADABLE, check_size, type_of
from coreplex.engines.tabular.read.unpacking import unpack
from coreplex.engines.tabular.schema import Column, ColumnType, TableSchema
from coreplex.engines.tabular.types.parse_rule import dtype_name
from coreplex.errors.tree import BadInput, Invalid, Message

REFUSED = "\0refused"
"""Why a row cannot be scored; no column of a file has such a name."""
_WHOLE = r"^(0|-?[1-9][0-9]{0,17})$"
_DECIMAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_SURE_LETTERS = 16
"""Of a decimal number as text: a float keeps all of it; of a longer one, where it is written as the float would be."""
_READABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


@dataclass(frozen=True)
class Source:
    """scan: the columns in the order of the file, and `REFUSED` where rows may be refused. casts: columns of text that are
    stored as numbers with the predictions, because each of their cells is one."""

    scan: pl.LazyFrame
    columns: tuple[Column, ...]
    rows: int
    casts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns as they are stored with the predictions."""
        return tuple(
            Column(one.name, type_of(self.casts[one.name]), dtype_name(self.casts[one.name])) if one.name in self.casts else one
            for one in self.columns
        )

    def chunks(self, start: int, size: int) -> Iterator[pl.DataFrame]:
        """The rows from `start` on, `size` at a time: the same chunks wherever it begins, as long as that is a multiple of it.

        Raises BadInput where not all rows can be read: what panics in a thread of Polars ends the batches without a word.
        """
        held: list[pl.DataFrame] = []
        count, read = 0, start
        rest = self.scan.slice(start) if start else self.scan
        try:
            for frame in rest.collect_batches(chunk_size=size, maintain_order=True, engine="streaming"):
                held.append(frame)
                count, read = count + frame.height, read + frame.height
                while count >= size:
                    whole = pl.concat(held) if len(held) > 1 else held[0]
                    yield whole.head(size).rechunk()
                    held, count = [whole.slice(size)], count - size
            if count:
                yield pl.concat(held).rechunk()
            if read != self.rows:
                raise BadInput(UNREADABLE)
        except _READABLE as error:
            raise BadInput(UNREADABLE) from error


def of_table(path: Path, schema: TableSchema) -> Source:
    """The stored table of a dataset version."""
    scan = pl.scan_parquet(path, glob=False).select(schema.names)
    return Source(scan, schema.columns, scan.select(pl.len()).collect().item())


def of_file(path: Path, filename: str, scratch: Path, limits: Limits) -> Source:
    """An uploaded file. scratch: a folder for what is made of it, which is used again where it is there already.

    Raises BadInput, Invalid and TooLarge for files that are refused.
    """
    table = unpack(path, filename, scratch, limits)
    if table.format == "parquet":
        return _of_parquet(table.path, limits)
    if table.format != "text":
        raise BadInput(_other_format(table.format))
    return _of_text(table.path, scratch / "texts.parquet", limits)


def _other_format(found: FileFormat) -> Message:
    return Message(
        "batch_takes_csv_or_parquet",
        "This is {what}; rows to predict come as CSV or Parquet. Save it as one of these, or upload it as a dataset and name its "
        "version.",
        what=CALLED[found],
    )


def _of_parquet(path: Path, limits: Limits) -> Source:
    try:
        scan = conversion.flattened(pl.scan_parquet(path, glob=False))
        types = scan.collect_schema()
        rows: int = scan.select(pl.len()).collect().item()
        check_size(rows, len(types), limits)
        names, _ = unique_names(list(types), len(types), limits)
        plain = scan.select(
            conversion.plain_type(old, new, dtype) for (old, dtype), new in zip(types.items(), names, strict=True)
        )
        found = plain.collect_schema()
    except _READABLE as error:
        raise BadInput(UNREADABLE) from error
    return Source(plain, tuple(Column(name, type_of(dtype), dtype_name(dtype)) for name, dtype in found.items()), rows)


def _of_text(path: Path, texts: Path, limits: Limits) -> Source:
    aside = texts.with_suffix(".part")
    names = text_table.write(path, aside, limits)
    aside.replace(texts)
    scan = pl.scan_parquet(texts, glob=False)
    rows: int = scan.select(pl.len()).collect().item()
    if not rows:
        raise Invalid(text_table.NO_ROWS)
    scan = scan.rename({str(index): name for index, name in enumerate(names)} | {text_table.REFUSED: REFUSED})
    columns = tuple(Column(name, ColumnType.categorical, "string") for name in names)
    return Source(scan, columns, rows, _numbers(scan, names))


def _sure(texts: pl.Expr) -> pl.Expr:
    """Which texts are decimal numbers of which a float keeps every digit."""
    few = texts.str.len_bytes() <= _SURE_LETTERS
    return texts.str.contains(_DECIMAL) & (few | (texts.cast(pl.Float64, strict=False).cast(pl.String) == texts))


def _numbers(scan: pl.LazyFrame, names: list[str]) -> dict[str, Any]:
    """The columns of text in which every cell that holds anything is a number, plainly written."""
    filled = {name: pl.col(name).filter(pl.col(name).str.strip_chars() != "") for name in names}
    whole = {f"i{index}": filled[name].str.contains(_WHOLE).all() for index, name in enumerate(names)}
    decimal = {f"f{index}": _sure(filled[name]).all() for index, name in enumerate(names)}
    some = {f"n{index}": filled[name].len() > 0 for index, name in enumerate(names)}
    found = scan.select(**whole, **decimal, **some).collect(engine="streaming").row(0, named=True)
    return {
        name: pl.Int64() if found[f"i{index}"] else pl.Float64()
        for index, name in enumerate(names)
        if found[f"n{index}"] and (found[f"i{index}"] or found[f"f{index}"])
    }
