"""Delimited text as a table of texts: every line of the file stays a row, and a line of another shape says so.

Values are not typed here. A cell is read as the same text in a row of JSON would be, so that a file and single predictions
cannot disagree.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from coreplex.engines.tabular.read.delimited import file_head, head_lines
from coreplex.engines.tabular.read.delimited_plan import Plan, parse, pieces
from coreplex.engines.tabular.read.dialect import detect_dialect
from coreplex.engines.tabular.read.file_encoding import detect_encoding
from coreplex.engines.tabular.read.footers import Footers
from coreplex.engines.tabular.read.headers import unique_names
from coreplex.engines.tabular.read.interface import Limits, Overrides, too_many_columns
from coreplex.engines.tabular.read.records import Block, Positions, Records
from coreplex.engines.tabular.types.parse_rule import STRING
from coreplex.errors.tree import DomainError, Invalid, Message

REFUSED = "refused"
"""The column that says why a row cannot be scored; the others are numbered."""
NO_ROWS = Message("no_rows_to_predict", "The file has no rows below its line of column names. Send at least one row.")
_GROUP_ROWS = 50_000


@dataclass(frozen=True)
class MarkedBlock(Block):
    """Records of the right number of cells, and of those that had another one how many they had."""

    cells: dict[int, int] = field(default_factory=dict)


class EveryRecord(Records):
    """Records of which none is left out but blank lines: what is too long is cut, what is too short is filled, both marked."""

    def _repair(self, data: bytes, ends: Positions, commas: Positions) -> Block:
        width = self._dialect.width
        if width == 1:
            return super()._repair(data, ends, commas)
        first = np.searchsorted(commas, np.concatenate(([0], ends[:-1] + 1)))
        cells = np.searchsorted(commas, ends) - first + 1
        odd = np.flatnonzero(cells != width).tolist()
        if not odd:
            return MarkedBlock(data, len(ends), self.line)
        starts = np.concatenate(([0], ends[:-1] + 1))
        parts: list[bytes] = []
        marks: dict[int, int] = {}
        done = blank = 0
        for index in odd:
            start, end = int(starts[index]), int(ends[index]) + 1
            parts.append(data[done:start])
            done = end
            body = data[start:end].rstrip(b"\r\n")
            if not body.strip():
                blank += 1
                continue
            marks[index - blank] = int(cells[index])
            cut = body[: int(commas[first[index] + width - 1]) - start] if cells[index] > width else body
            parts.append(cut + bytes([self._separator]) * max(width - int(cells[index]), 0) + b"\n")
        parts.append(data[done:])
        return MarkedBlock(b"".join(parts), len(ends) - blank, self.line, marks)


def names_of(source: Path, limits: Limits) -> tuple[Plan, list[str]]:
    """How the file is written, and the names of its columns. Raises BadInput and Invalid for what is no such table."""
    encoding = detect_encoding(source)
    blank, head, whole = file_head(encoding, source)
    written = detect_dialect(head_lines(head, whole))
    written = replace(written, skip_lines=written.skip_lines + blank)
    if written.width > limits.columns:
        raise Invalid(too_many_columns(written.width, limits.columns))
    names, _ = unique_names(written.names, written.width, limits)
    if written.only_names and whole:
        raise Invalid(NO_ROWS)
    numbered = [str(index) for index in range(len(names))]
    old_macintosh = b"\r" in head[:-1] and b"\n" not in head
    return Plan(written, encoding, numbered, [STRING] * len(names), Overrides(), Footers(), old_macintosh), names


def write(source: Path, destination: Path, limits: Limits) -> list[str]:
    """Write the file's cells to Parquet as texts, columns by number and `REFUSED`; the names of the columns."""
    plan, names = names_of(source, limits)
    reading = _Reading(plan, source, limits)
    schema = {**dict.fromkeys(plan.names, pl.String()), REFUSED: pl.String()}
    frames = register_io_source(lambda *_: reading.frames(), schema=schema)
    try:
        frames.sink_parquet(destination, compression="lz4", row_group_size=_GROUP_ROWS, engine="streaming")
    except pl.exceptions.PolarsError:
        if reading.error is None:
            raise
    if reading.error is not None:
        raise reading.error
    return names


class _Reading:
    """The frames of one file. A generator inside Polars: a refusal is kept aside, to be raised outside."""

    def __init__(self, plan: Plan, source: Path, limits: Limits) -> None:
        self.plan, self.limits = plan, limits
        self.records = EveryRecord(pieces(plan, source, limits), plan.dialect, limits)
        self.error: DomainError | None = None

    def frames(self) -> Iterator[pl.DataFrame]:
        try:
            for block in self.records:
                yield self._frame(block)
        except DomainError as error:
            self.error = error

    def _frame(self, block: Block) -> pl.DataFrame:
        frame, width = parse(block, self.plan), self.plan.dialect.width
        refused = pl.Series(REFUSED, [None], dtype=pl.String).new_from_index(0, frame.height)
        if isinstance(block, MarkedBlock) and block.cells:
            told = [f"The line has {cells} cells, the table has {width} columns." for cells in block.cells.values()]
            refused = refused.scatter(list(block.cells), told)
        return frame.with_columns(refused)
