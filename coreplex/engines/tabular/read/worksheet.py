"""Reads the cells of one sheet as rows of text: dates as ISO 8601, numbers with their own digits, formulas by their
last result.

Error cells (#N/A) are missing, hidden rows are rows, rows without a value are left out. Merged cells hold one value
for all their rows; merged names above the line of names (`2023` over `Q1`, `Q2`) become part of the names.
"""

import datetime as dt
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, pairwise
from operator import itemgetter

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.headers import BETWEEN
from coreplex.engines.tabular.read.intermediate_csv import Cells, IntermediateCsv
from coreplex.engines.tabular.read.regex_rows import RegexRows, Row
from coreplex.engines.tabular.read.workbook import LOCAL, DateStyle, End, Sheet, Start, Workbook, XMLParserType, unescaped
from coreplex.errors.tree import BadInput, Invalid, Message

_BLOCK_CELLS = 100_000
_HEAD_ROWS = 20
_MOST_MERGED = 100_000
_MOST_LAYOUTS = 1_000
_VALUE_OF = itemgetter(3)
_SPAN_FREE, _SPAN_RATIO = 20_000_000, 50
_EPOCH, _EPOCH_1904 = dt.datetime(1899, 12, 30), dt.datetime(1904, 1, 1)  # noqa: DTZ001 sheets know no time zones
_LAST_SERIAL = 2_958_466.0
_MIDNIGHT = " 00:00:00"
OUT_OF_ORDER = Message(
    "workbook_cells_out_of_order",
    "The Excel workbook is damaged: the cells of a row are not in order. Save it again and upload the new file.",
)


@dataclass(frozen=True)
class Merged:
    """A range of merged cells, all ends included, counted from 0."""

    top: int
    left: int
    bottom: int
    right: int


class Worksheet:
    """Reads a sheet into `table`; afterwards `findings` says what was decided."""

    def __init__(self, book: Workbook, sheet: Sheet, table: IntermediateCsv) -> None:
        self._book = book
        self.sheet = sheet
        self.table = table
        self._day_of = lru_cache(maxsize=65_536)(lambda raw, style: moment(raw, style, book.from_1904))
        self._texts, self._columns = book.texts, _Columns()
        self._dates = {str(index): style for index, style in enumerate(book.styles) if style is not None}
        self._layouts = _Layouts(self._columns, self._dates)
        self._rows: list[Cells] = []
        self._numbers = array("L")
        self._days: set[int] = set()
        self._moments: set[int] = set()
        self._merged: list[Merged] = []
        self._number = -1
        """The row that is read, from 0."""
        self._span = self._cells = self._waiting = 0
        self.errors = self.uncomputed = 0

    def read(self) -> None:
        """Reads all rows into `table`. Raises BadInput for a damaged sheet, Invalid for one that is nearly empty."""
        parser = self._book.parse()
        rows = RegexRows(parser, self._take)
        parser.StartElementHandler, parser.EndElementHandler = self._handlers(parser, rows)
        self._book.feed(self.sheet.part, rows)
        self._flush()
        if self.table.rows:
            self.table.finish(self._edited if self._merged or self._days & self._moments else None)

    def _flush(self) -> None:
        self._cells += sum(len(row) - row.count(None) for row in self._rows)
        self._span += self._waiting
        self._waiting = 0
        self.table.add(self._rows)
        self._rows = []
        if self._span > _SPAN_FREE and self._span > _SPAN_RATIO * self._cells:
            raise Invalid(
                Message(
                    "sheet_nearly_empty",
                    "The sheet {sheet!r} is nearly empty: {values:,} values spread over {cells:,} cells. Delete what "
                    "stands far to the right of the table, or upload the table as CSV.",
                    sheet=self.sheet.name,
                    values=self._cells,
                    cells=self._span,
                )
            )

    def _handlers(self, parser: XMLParserType, rows: RegexRows) -> tuple[Start, End]:
        """What is done at each element. Closures: they are called five times a cell, and attributes cost half as much
        again.
        """
        columns = self._columns
        row: list[str | None] = []
        value: list[str] = []
        column, kind, style = -1, "n", ""
        formula = phonetic = False

        def start(name: str, said: dict[str, str]) -> None:
            nonlocal row, column, kind, style, formula, phonetic
            local = LOCAL[name]
            if local == "c":
                reference = said.get("r")
                column = column + 1 if reference is None else columns[reference.rstrip("0123456789")]
                kind, style = said.get("t", "n"), said.get("s", "")
            elif local == "v" or (local == "t" and not phonetic):
                parser.CharacterDataHandler = value.append
            elif local == "row":
                stated = said.get("r", "")
                self._number = int(stated) - 1 if stated.isdecimal() and len(stated) < 10 else self._number + 1
                row, column = [], -1
            elif local == "f":
                formula = True
            elif local == "rPh":
                phonetic = True
            elif local == "sheetData":
                rows.between = True
            elif local == "mergeCell" and len(self._merged) < _MOST_MERGED:
                self._merged.extend(_range(said.get("ref", ""), columns))

        def end(name: str) -> None:
            nonlocal formula, phonetic
            local = LOCAL[name]
            if local == "v" or local == "t":
                parser.CharacterDataHandler = None
            elif local == "c":
                raw = value[0] if len(value) == 1 else "".join(value)
                value.clear()
                if raw:
                    self._place(row, column, self._text(kind, style, raw, column))
                elif formula:
                    self.uncomputed += 1
                formula = False
            elif local == "row":
                self._ended(row)
                rows.between = True
            elif local == "rPh":
                phonetic = False

        return start, end

    def _take(self, rows: Iterator[Row]) -> None:
        """The same for rows of cells that need no parser."""
        for number, cells in rows:
            self._number = number - 1
            if filled := list(filter(_VALUE_OF, cells)):
                *layout, raws = zip(*filled, strict=True)
                row = self._row(self._layouts[*layout], raws)
                self._ended(row if any(row) else [])

    def _row(self, layout: "_Layout", raws: tuple[str, ...]) -> list[str | None]:
        found: list[str | None] = list(raws)
        for at in layout.shared:
            found[at] = self._shared(raws[at])
        for at, kind, style in layout.special:
            found[at] = self._text(kind, style, raws[at], layout.columns[at])
        if not layout.gaps:
            return found
        row: list[str | None] = [None] * (layout.columns[-1] + 1)
        for column, text in zip(layout.columns, found, strict=True):
            row[column] = text
        return row

    def _ended(self, row: list[str | None]) -> None:
        if row:
            self._rows.append(row)
            self._numbers.append(max(self._number, 0))
            self._waiting += len(row)
            if self._waiting > _BLOCK_CELLS:
                self._flush()

    def _text(self, kind: str, style: str, raw: str, column: int) -> str | None:
        """What stands in a cell, as text."""
        if kind == "n":
            return self._moment(raw, self._dates[style], column) if style in self._dates else raw
        return self._shared(raw) if kind == "s" else self._other(kind, raw)

    def _shared(self, raw: str) -> str:
        if raw.isdecimal() and (number := int(raw)) < len(self._texts):
            return self._texts[number]
        raise BadInput(
            Message(
                "workbook_text_missing",
                "The Excel workbook is damaged: a cell names a text that is not there. Save it again and upload the new file.",
            )
        )

    @staticmethod
    def _place(row: list[str | None], column: int, found: str | None) -> None:
        if found:
            missing = column - len(row)
            if missing:
                if missing < 0:
                    raise BadInput(OUT_OF_ORDER)
                row.extend([None] * missing)
            row.append(found)

    def _other(self, kind: str, raw: str) -> str | None:
        if kind == "b":
            return "true" if raw == "1" else "false"
        if kind == "e":
            self.errors += 1
            return None
        return raw if kind == "d" else unescaped(raw)

    def _moment(self, raw: str, style: DateStyle, column: int) -> str:
        text: str = self._day_of(raw, style)
        if style not in ("time", "elapsed"):
            (self._days if len(text) == 10 else self._moments).add(column)
        return text

    # The rows once more

    def _edited(self, rows: Iterator[list[str]]) -> Iterable[Cells]:
        """Days beside moments get their midnight; merged cells get their value; names above names are joined."""
        mixed = self._days & self._moments
        filled = self._filled(rows)
        head = [list(row) for row in islice(filled, _HEAD_ROWS)]
        yield from self._joined_names(head)
        for row in filled:
            for index in mixed:
                row[index] += _MIDNIGHT if len(row[index]) == 10 and row[index][4:5] == "-" else ""
            yield row

    def _filled(self, rows: Iterator[list[str]]) -> Iterator[list[str]]:
        tall = sorted((m for m in self._merged if m.bottom > m.top), key=lambda m: m.top)
        open_now: list[tuple[Merged, str]] = []
        at = 0
        for number, row in zip(self._numbers, rows, strict=True):
            open_now = [(m, value) for m, value in open_now if m.bottom >= number]
            for merged, value in open_now:
                if merged.left < len(row) and not row[merged.left]:
                    row[merged.left] = value
            while at < len(tall) and tall[at].top <= number:
                if tall[at].top == number and tall[at].left < len(row):
                    open_now.append((tall[at], row[tall[at].left]))
                at += 1
            yield row

    def _joined_names(self, head: list[list[str]]) -> Iterator[list[str]]:
        """Two lines of names, the upper one merged over several of the lower: one line, `2023 / Q1`."""
        numbers = list(self._numbers[: len(head)])
        mixed = self._days & self._moments
        skip = False
        for index, row in enumerate(head):
            wide = [m for m in self._merged if m.top == m.bottom == numbers[index] and m.right > m.left]
            groups = sum(bool(cell) for cell in row)
            below = head[index + 1] if index + 1 < len(head) else []
            if not skip and wide and groups > 1 and below and all(not _is_value(cell) for cell in below):
                head[index + 1] = _joined(row, below, wide)
                skip = True
                continue
            for column in mixed:
                row[column] += _MIDNIGHT if len(row[column]) == 10 and row[column][4:5] == "-" else ""
            yield row

    def findings(self) -> list[Finding]:
        """What was taken as missing: errors, and formulas without a result."""
        found = []
        if self.errors:
            message = f"{self.errors:,} cells hold an error such as #N/A or #DIV/0! and were taken as missing."
            found.append(Finding("error_cells", "low", message, evidence={"cells": self.errors}))
        if self.uncomputed:
            message = (
                f"{self.uncomputed:,} formulas have no stored result and were taken as missing. Open the workbook in a "
                "spreadsheet program, save it and upload it again."
            )
            found.append(Finding("formulas_without_result", "medium", message, evidence={"cells": self.uncomputed}))
        return found


def moment(raw: str, style: DateStyle, from_1904: bool = False) -> str:
    """A serial date (days since 1899-12-30, or 1904-01-01) as ISO 8601, a duration as `h:mm:ss`; itself where no date
    has it.
    """
    try:
        days = float(raw)
    except ValueError:
        return raw
    if style == "elapsed":
        return _elapsed(days) or raw
    if not 0 <= days < _LAST_SERIAL:
        return raw
    if style == "time" and days < 1:
        return str(dt.timedelta(seconds=min(round(days * 86_400), 86_399))).rjust(8, "0")
    if not from_1904 and days < 60:
        days += 1  # 1900 was no leap year; the numbers before its 29 February are one off
    exact = dt.timedelta(milliseconds=round(days * 86_400_000))
    try:
        found = (_EPOCH_1904 if from_1904 else _EPOCH) + exact
    except OverflowError:
        return raw
    if style == "fraction":
        return found.isoformat(" ", "milliseconds")
    found += dt.timedelta(milliseconds=500)
    found = found.replace(microsecond=0)
    return (
        found.date().isoformat() if style == "date" and not (found.hour or found.minute or found.second) else found.isoformat(" ")
    )


def _elapsed(days: float) -> str | None:
    """`30:05:00` for a number of days; None where it is longer than such texts say."""
    seconds = round(abs(days) * 86_400, 3)
    if not seconds < 10_000 * 3_600:
        return None
    whole, part = divmod(seconds, 1)
    minutes, second = divmod(int(whole), 60)
    after = f"{part:.3f}"[1:] if round(part, 3) else ""
    return f"{'-' if days < 0 and seconds else ''}{minutes // 60:02}:{minutes % 60:02}:{second:02}{after}"


def _joined(upper: list[str], lower: list[str], wide: list[Merged]) -> list[str]:
    over = list(upper)
    for merged in wide:
        for column in range(merged.left, min(merged.right + 1, len(over))):
            over[column] = upper[merged.left]
    return [
        above if above == below else BETWEEN.join(filter(None, (above, below))) for above, below in zip(over, lower, strict=True)
    ]


def _is_value(cell: str) -> bool:
    return bool(cell) and not any(map(str.isalpha, cell))


@dataclass(frozen=True)
class _Layout:
    """Where the cells of a row stand. Most rows of a sheet have one layout, so what it takes to read them is found
    once.
    """

    columns: list[int]
    gaps: bool
    """True where a column before the last has no cell."""
    shared: list[int]
    """Positions of the cells that name a text of the workbook."""
    special: list[tuple[int, str, str]]
    """Position, type and style of each other cell that is not just its own text."""


class _Layouts(dict[tuple[tuple[str, ...], ...], _Layout]):
    """Layouts by the letters, styles and types of all cells of a row."""

    def __init__(self, columns: "_Columns", dates: Mapping[str, DateStyle]) -> None:
        self._columns = columns
        self._dates = dates

    def __missing__(self, cells: tuple[tuple[str, ...], ...]) -> _Layout:
        letters, styles, kinds = cells
        columns = [self._columns[one] for one in letters]
        if any(after <= before for before, after in pairwise(columns)):
            raise BadInput(OUT_OF_ORDER)
        marked = list(zip(range(len(columns)), kinds, styles, strict=True))
        shared = [at for at, kind, _ in marked if kind == "s"]
        others = [one for one in marked if one[1] != "s"]
        special = [(at, kind or "n", style) for at, kind, style in others if kind not in ("", "n") or style in self._dates]
        if len(self) > _MOST_LAYOUTS:
            self.clear()
        return self.setdefault(cells, _Layout(columns, columns[-1] + 1 > len(columns), shared, special))


class _Columns(dict[str, int]):
    """Columns by their letters, counted from 0: `A` is 0, `AA` is 26."""

    def __missing__(self, letters: str) -> int:
        if not letters.isascii() or not letters.isalpha() or len(letters) > 3:
            raise BadInput(
                Message(
                    "workbook_cell_without_column",
                    "The Excel workbook is damaged: a cell has no column. Save it again and upload the new file.",
                )
            )
        number = 0
        for letter in letters.upper():
            number = 26 * number + ord(letter) - 64
        return self.setdefault(letters, number - 1)


def _range(reference: str, columns: _Columns) -> list[Merged]:
    """`A1:C2` as a range; nothing for what is none."""
    ends = [(end.rstrip("0123456789"), end[len(end.rstrip("0123456789")) :]) for end in reference.split(":")]
    if len(ends) != 2 or not all(letters and row and len(row) < 10 for letters, row in ends):
        return []
    (left, top), (right, bottom) = ends
    return [Merged(int(top) - 1, columns[left], int(bottom) - 1, columns[right])]
