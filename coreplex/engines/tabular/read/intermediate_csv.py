"""Writes the rows of a format that is no CSV (a sheet, JSON objects) as CSV, for the one reader of text.

So every format gets the same rules for types, missing values and spellings, and none is held in memory. How wide the
table is may be known at the end only (a key that appears late, an empty column): then the file is written once more.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from coreplex.engines.tabular.read.interface import Limits
from coreplex.errors.disk import refuse_when_full
from coreplex.errors.tree import Invalid, Message, TooLarge

_MOST_PADDED = 3
"""Rows are made even where that is at most so many times their cells."""

Cells = Sequence[str | None]
Edit = Callable[[Iterator[list[str]]], Iterable[Cells]]


class IntermediateCsv:
    """A CSV file (UTF-8, LF) that grows block by block; `width` (cells) and `rows` are what it has so far."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._limits = limits
        self._size = 0
        self._widths: set[int] = set()
        self._filled: list[bool] = []
        self.rows = 0
        path.write_bytes(b"")

    @property
    def width(self) -> int:
        """Cells of the widest row so far."""
        return len(self._filled)

    def add(self, rows: Sequence[Cells]) -> None:
        """Append rows; each may be shorter than the table. Raises Invalid and TooLarge beyond the limits."""
        self.rows += len(rows)
        rows = self._even(rows)
        self._widths.update(map(len, rows))
        if sum(self._filled) > self._limits.columns:
            raise Invalid(
                Message(
                    "more_columns_than_usable",
                    "The table has more than {most} columns, which is the most that can be used.",
                    most=self._limits.columns,
                )
            )
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        data = text.getvalue().replace("\0", "�").encode("utf-8", "replace")
        self._size += len(data)
        if self._size > self._limits.unpacked_bytes:
            raise TooLarge(
                Message(
                    "table_too_large_as_text",
                    "The table is larger than {most:,} MB as text. Upload a part of it.",
                    most=self._limits.unpacked_bytes >> 20,
                )
            )
        refuse_when_full(self.path.parent)
        with self.path.open("ab") as file:
            file.write(data)

    def _even(self, rows: Sequence[Cells]) -> Sequence[Cells]:
        """The rows as wide as the table, unless that would be many more cells; remembers which columns hold something."""
        if not rows:
            return rows
        lengths = list(map(len, rows))
        width = max([self.width, *lengths])
        self._filled += [False] * (width - self.width)
        if width * len(rows) > _MOST_PADDED * sum(lengths):
            for row in rows:
                for index, cell in enumerate(row):
                    self._filled[index] = self._filled[index] or bool(cell)
            return rows
        if min(lengths) < width:
            rows = [row if len(row) == width else [*row, *[None] * (width - len(row))] for row in rows]
        self._filled = [filled or any(column) for filled, column in zip(self._filled, zip(*rows, strict=True), strict=True)]
        return rows

    def finish(self, edit: Edit | None = None, *, keep_empty: bool = False) -> Path:
        """Makes the file rectangular, each row passed through `edit`, and returns it; empty columns go, unless
        `keep_empty`.
        """
        kept = [index for index, filled in enumerate(self._filled) if filled or keep_empty]
        if edit is None and len(kept) == self.width and self._widths <= {self.width}:
            return self.path
        even = IntermediateCsv(self.path.with_suffix(".even"), self._limits)
        width = self.width
        with self.path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            padded = (row + [""] * (width - len(row)) for row in rows)
            block: list[Cells] = []
            for row in edit(padded) if edit is not None else padded:
                block.append([row[index] for index in kept])
                if len(block) == 5_000:
                    even.add(block)
                    block = []
            even.add(block)
        self.rows = even.rows
        self._filled, self._widths = [True] * len(kept), {len(kept)}
        even.path.replace(self.path)
        return self.path
