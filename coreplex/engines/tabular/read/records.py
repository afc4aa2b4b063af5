"""Cuts bytes of delimited text into whole records of one width; broken records are repaired or left out, each with its
line.

CSV readers refuse a whole file for one stray quote, or fill, cut and merge rows without a word (measured in
docs/decisions/0027). So the structure is checked here first, vectorised over a block: records in order are passed on
untouched.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.damage import Damage
from coreplex.engines.tabular.read.dialect import Dialect
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.separator import is_ruler
from coreplex.errors.tree import BadInput, Message

_NEWLINE, _RETURN = 10, 13
_BLANK = b" \t\r\n\f\v\x1a"
"""What a line of nothing is made of; DOS programs end a file with 1A."""
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Block:
    """Whole records with exactly the right number of cells each, as CSV text."""

    data: bytes
    rows: int
    line: int


class Records:
    """Iterates over the blocks of a file; `damage` is complete at the end."""

    def __init__(self, pieces: Iterable[bytes], dialect: Dialect, limits: Limits) -> None:
        self._pieces = pieces
        self._separator = ord(dialect.separator)
        self._quote = ord(dialect.quote)
        self._dialect = dialect
        self._limits = limits
        first = (dialect.names or ("",))[0].strip() if dialect.width > 1 and not dialect.rows_only else ""
        quote, separator = re.escape(dialect.quote), re.escape(dialect.separator)
        # The whole first cell: where it is `p`, codes such as `p123` are looked at once, and not one by one.
        cell = rf"^{quote}?[ \t]*{re.escape(first)}[ \t]*{quote}?[ \t]*{separator}"
        self._heading = re.compile(cell.encode(), re.MULTILINE) if first else None
        self.line = 1
        """The line after the records that were read."""
        self._blank_before = 0
        self._last_filled = -1
        self._blank_run = 0
        """Blank lines since the last row; at the end of the file they are none of anyone's business."""
        self.damage = Damage()
        self.rows = 0

    def __iter__(self) -> Iterator[Block]:
        carry = b""
        for piece in self._after_names():
            carry += piece
            block, carry = self._cut(carry, last=False)
            if len(carry) > self._limits.line_bytes:
                self._refuse_long(self.line)
            if block.rows:
                self.rows += block.rows
                yield block
        if carry.strip():
            block, _ = self._cut(carry + b"\n", last=True)
            if block.rows:
                self.rows += block.rows
                yield block

    def _after_names(self) -> Iterator[bytes]:
        """The pieces without the lines above the first record; old Macintosh line ends become new ones."""
        left = self._dialect.skip_lines
        self.line += left
        for piece in self._pieces:
            rest = piece
            if left:
                ends = np.flatnonzero(np.frombuffer(piece, dtype=np.uint8) == _NEWLINE)
                rest = piece[ends[left - 1] + 1 :] if len(ends) >= left else b""
                left = max(0, left - len(ends))
            if rest:
                yield rest

    def _cut(self, data: bytes, last: bool) -> tuple[Block, bytes]:
        """(the whole records at the front, the rest)."""
        letters = np.frombuffer(data, dtype=np.uint8)
        ends, commas = np.flatnonzero(letters == _NEWLINE), np.flatnonzero(letters == self._separator)
        if self._quote in data:
            quotes = np.flatnonzero(letters == self._quote)
            if not self._well_quoted(letters, quotes):
                return self._cut_by_parser(data, last)
            ends = ends[(np.searchsorted(quotes, ends) & 1) == 0]
            commas = commas[(np.searchsorted(quotes, commas) & 1) == 0]
            if last and len(quotes) & 1:
                self._refuse_open_quote(data, int(quotes[-1]))
        if not len(ends):
            return Block(b"", 0, self.line), data
        stop = int(ends[-1]) + 1
        block = self._repair(data[:stop], ends, commas)
        self.line += data.count(b"\n", 0, stop)
        return block, data[stop:]

    def _well_quoted(self, letters: npt.NDArray[np.uint8], quotes: Positions) -> bool:
        """True if every quote opens at the start of a cell, closes at its end or is doubled inside it."""
        opening, closing = quotes[0::2], quotes[1::2]
        before = letters[opening - 1]
        before[opening == 0] = _NEWLINE
        after = letters[np.minimum(closing + 1, len(letters) - 1)]
        after[closing == len(letters) - 1] = _NEWLINE
        good_before = (before == self._separator) | (before == _NEWLINE) | (before == self._quote)
        good_after = (after == self._separator) | (after == _NEWLINE) | (after == self._quote) | (after == _RETURN)
        return bool(good_before.all() and good_after.all())

    def _refuse_open_quote(self, data: bytes, position: int) -> None:
        line = self.line + data.count(b"\n", 0, position)
        raise BadInput(
            Message(
                "quote_never_closed",
                "Line {line}: a quote is opened there and never closed. Close it or double it, and upload again.",
                line=line,
            )
        )

    def _refuse_long(self, line: int) -> None:
        raise BadInput(
            Message(
                "record_too_long",
                "The record that starts on line {line} does not end within {megabytes} MB; look for a quote that is "
                "opened there and never closed.",
                line=line,
                megabytes=self._limits.line_bytes >> 20,
            )
        )

    def _repair(self, data: bytes, ends: Positions, commas: Positions) -> Block:
        width = self._dialect.width
        cells = np.diff(np.searchsorted(commas, ends), prepend=0) + 1
        starts = np.concatenate(([0], ends[:-1] + 1))
        odd = (cells != width) | self._may_be_headings(data, starts)
        if width == 1:
            first, length = np.frombuffer(data, dtype=np.uint8)[starts], ends - starts
            odd = odd | (length == 0) | ((length == 1) & (first == _RETURN))
        if not odd.any() and not self._blank_before:
            self._row_follows()
            return self._joined([data], len(ends))
        filled = np.flatnonzero(~odd)
        self._last_filled = int(filled[-1]) if len(filled) else -1
        parts: list[bytes] = []
        kept, done = len(ends), 0
        if width == 1 and len(filled) and self._blank_before:
            parts.append(self._empty_cells(self._blank_before))
            kept += self._blank_before
            self._blank_before = 0
        lines = _line_numbers(data, starts[odd], self.line)
        following = 0
        for index, line in zip(np.flatnonzero(odd).tolist(), lines, strict=True):
            if index > following:
                self._row_follows()
            following = index + 1
            start, end = int(starts[index]), int(ends[index]) + 1
            parts.append(data[done:start])
            record = self._repaired(data[start:end], int(cells[index]), line, index < self._last_filled)
            kept -= not record
            parts.append(record)
            done = end
        if len(ends) > following:
            self._row_follows()
        parts.append(data[done:])
        return self._joined(parts, kept)

    def _may_be_headings(self, data: bytes, starts: Positions) -> npt.NDArray[np.bool_]:
        """Where a record begins as the line of names does."""
        at = [found.start() for found in self._heading.finditer(data)] if self._heading else []
        return np.isin(starts, at) if at else np.zeros(len(starts), dtype=np.bool_)

    def _is_heading(self, body: bytes) -> bool:
        names = self._dialect.names
        if not self._heading or not names or not self._heading.match(body):
            return False
        read = csv.reader([body.decode(errors="replace")], delimiter=self._dialect.separator, quotechar=self._dialect.quote)
        return [cell.strip() for cell in next(read, [])] == [name.strip() for name in names]

    def _row_follows(self) -> None:
        """Blank lines before a row stood inside the table."""
        self.damage.blank += self._blank_run
        self._blank_run = 0

    def _joined(self, parts: list[bytes], rows: int) -> Block:
        return Block(parts[0] if len(parts) == 1 else b"".join(parts), rows, self.line)

    def _empty_cells(self, count: int) -> bytes:
        return bytes([self._quote, self._quote, _NEWLINE]) * count

    def _repaired(self, record: bytes, cells: int, line: int, inside: bool) -> bytes:
        """The record with the right number of cells, or nothing when it is blank or cannot be saved."""
        width, body = self._dialect.width, record.rstrip(b"\r\n")
        if not body.strip(_BLANK):
            # One column: a blank line is a missing cell, unless only blank lines follow.
            if width == 1 and inside:
                return self._empty_cells(1)
            self._blank_before += width == 1
            self._blank_run += width > 1
            return b""
        if cells == width and self._is_heading(body):
            self.damage.headings += 1
            return b""
        if cells != width > 1 and is_ruler(body.decode(errors="replace")):
            self.damage.rulers += 1
            return b""
        self._row_follows()
        separator = bytes([self._separator])
        if cells < width:
            self.damage.too_short(line)
            return body + separator * (width - cells) + b"\n"
        if cells == width:
            return record
        extra = cells - width
        if body.endswith(separator * extra):
            return body[:-extra] + b"\n"
        self.damage.too_long(line, body)
        return b""

    def _cut_by_parser(self, data: bytes, last: bool) -> tuple[Block, bytes]:
        """Misplaced quotes: read by the lenient standard parser, written again by the book."""
        if not self._dialect.after_blanks:
            self.damage.quote_line = self.damage.quote_line or self._first_bad_quote(data)
        clean, done = self._rewritten(data, last)
        block = Block(b"", 0, self.line)
        if clean:
            letters = np.frombuffer(clean, dtype=np.uint8)
            quotes = np.flatnonzero(letters == self._quote)
            ends, commas = np.flatnonzero(letters == _NEWLINE), np.flatnonzero(letters == self._separator)
            outside = (np.searchsorted(quotes, ends) & 1) == 0, (np.searchsorted(quotes, commas) & 1) == 0
            block = self._repair(clean, ends[outside[0]], commas[outside[1]])
        self.line += data.count(b"\n", 0, done)
        return block, data[done:]

    def _rewritten(self, data: bytes, last: bool) -> tuple[bytes, int]:
        """(the whole records at the front by the book, how many bytes they were)."""
        # A line that the end of the piece cuts off would pass for a whole record.
        lines = _Lines(data[: data.rfind(b"\n") + 1])
        written, blanks = self._dialect, self._dialect.after_blanks
        reader = csv.reader(lines, delimiter=written.separator, quotechar=written.quote, skipinitialspace=blanks)
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=self._dialect.separator, quotechar=self._dialect.quote, lineterminator="\n")
        done = 0
        try:
            for cells in reader:
                if lines.ran_out:
                    if last:
                        self._refuse_open_quote(data, data.find(self._dialect.quote.encode(), done))
                    break
                done = lines.position
                if cells:
                    writer.writerow(cells)
                else:
                    out.write("\n")
        except csv.Error:
            self._refuse_long(self.line + data.count(b"\n", 0, done))
        return out.getvalue().encode(), done

    def _first_bad_quote(self, data: bytes) -> int:
        letters = np.frombuffer(data, dtype=np.uint8)
        quotes = np.flatnonzero(letters == self._quote)
        low, high = 1, len(quotes)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._well_quoted(letters, quotes[:middle]) else (low, middle)
        return self.line + data.count(b"\n", 0, int(quotes[low - 1]))

    def findings(self) -> list[Finding]:
        """What to tell the user. Raises BadInput when too many rows do not fit: the file is not this table."""
        return self.damage.findings(self._dialect.width, self.rows)


class _Lines:
    """Lines of text for csv.reader that know how far it has read, in bytes."""

    def __init__(self, data: bytes) -> None:
        # Lines end in LF only: a lone CR belongs to its cell.
        self._rest: Iterator[bytes] = iter(data.splitlines(keepends=True)) if b"\r" not in data else iter(io.BytesIO(data))
        self.position = 0
        self.ran_out = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        try:
            line = next(self._rest)
        except StopIteration:
            self.ran_out = True
            raise
        self.position += len(line)
        return line.decode()


def _line_numbers(data: bytes, starts: Positions, first: int) -> Any:
    """The line on which each record starts (records may hold line ends)."""
    if len(starts) > 10_000:
        ends = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE)
        return (np.searchsorted(ends, starts) + first).tolist()
    numbers, line, position = [], first, 0
    for start in starts.tolist():
        line += data.count(b"\n", position, start)
        position = start
        numbers.append(line)
    return numbers
