"""Finds what parts the cells of a delimited text, and how they are quoted, by its first lines.

The cells are judged, not only counted: under the right separator rows have one width and cells look like numbers,
dates or plain words. Runs of blanks may separate, too, as instruments and R's `write.table` write them (`1   20.1 "St
Gallen"`). A blank also stands within cells, so lines are parted there only where every one has as many fields, and
columns of numbers show that they are columns; the text is then given to the readers with tabs in place of the runs.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.types import date_inference, vocabulary

SAMPLE_RECORDS = 200
"""Records by which the dialect of a file is judged."""
SEPARATORS = (",", ";", "\t", "|", "^", "~", "\x01")
# What cells of a one-column file are "separated" by: a control character that no text holds.
NO_SEPARATOR = "\x1f"
_UNUSUAL = (":", "/", "#", "!", "§", "¦")
_MOST_PARTED = 0.6
_SINGLE_QUOTED = re.compile(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n]|$)", re.MULTILINE)
NUMBER = re.compile(r"[(+-]?\s*[$€£¥]?\s*[+-]?\d[\d.,' ]*([eE][+-]?\d+)?\s*[%€$£)]?|[+-]?(inf|nan)", re.IGNORECASE)
_FIELD = re.compile(r'"[^"]*"|\S+')
_EDGES = re.compile(rb"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)
_RUN = re.compile(rb'("[^"\n]*")|[ \t]+')
_GROUPED = re.compile(r"\s*[+-]?\d{1,3}( \d{3})+([.,]\d+)?\s*")
_LEAST_LINES = 5
_NUMBERS = 0.5
"""The share of columns that must hold numbers alone."""


def kind_of(cell: str) -> str:
    """What a cell looks like: `empty`, `number`, `date` (also true and false) or `text`."""
    cell = cell.strip()
    if cell in vocabulary.MISSING:
        return "empty"
    if NUMBER.fullmatch(cell):
        return "number"
    if date_inference.looks_like_date(cell) or cell.lower() in ("true", "false"):
        return "date"
    return "text"


def find_quote(text: str) -> str:
    """The character that quotes cells: the single quote only where nearly all of them open or close a cell."""
    if '"' in text:
        return '"'
    return "'" if 2 * len(_SINGLE_QUOTED.findall(text)) > 0.8 * max(text.count("'"), 1) else '"'


def find_separator(text: str, quote: str) -> str:
    """The separator under which the lines look most like a table, `NO_SEPARATOR` where none does."""
    filled = (line for line in io.StringIO(text) if line.strip())
    lines = list(islice((line for line in filled if not is_ruler(line.strip())), 4 * SAMPLE_RECORDS))
    scores = {separator: _score(lines, separator, quote) for separator in SEPARATORS}
    best = max(scores, key=lambda separator: scores[separator])
    if scores[best] > 0:
        return best
    uneven = {separator: _uneven(lines, separator, quote) for separator in SEPARATORS}
    best = max(uneven, key=lambda separator: uneven[separator])
    return best if uneven[best] > 0 else NO_SEPARATOR


def _uneven(lines: list[str], separator: str, quote: str) -> float:
    """The share of lines that are parted, however unevenly, below a line of several names; 0 where there is none."""
    rows = [row for row in islice(csv.reader(lines, delimiter=separator, quotechar=quote), SAMPLE_RECORDS) if row]
    names = [cell.strip() for cell in rows[0]] if rows else []
    if len(names) < 2 or len(rows) < 2 or any(kind_of(name) != "text" or " " in name for name in names):
        return 0.0
    split = sum(len(row) > 1 for row in rows) / len(rows)
    return split if split >= _MOST_PARTED else 0.0


def _score(lines: list[str], separator: str, quote: str) -> float:
    """Share of rows of the commonest width × share of clean cells; 0 where nothing is separated."""
    rows = [row for row in islice(csv.reader(lines, delimiter=separator, quotechar=quote), SAMPLE_RECORDS) if row]
    if not rows:
        return 0.0
    width, count = Counter(map(len, rows)).most_common(1)[0]
    consistency = count / len(rows)
    if width == 1 or consistency < 0.6:
        return 0.0
    cells = [cell for row in rows[:50] if len(row) == width for cell in row[:200]]
    clean = sum(_is_clean(cell, separator) for cell in cells) / len(cells)
    return consistency**2 * (0.05 + clean) * (1 - 0.5 / width)


def _is_clean(cell: str, separator: str) -> bool:
    cell = cell.strip()
    if not cell or NUMBER.fullmatch(cell):
        return True
    return not any(other in cell for other in SEPARATORS if other != separator)


def is_ruler(line: str) -> bool:
    """True for `+----+----+`, `-----|:---:` and their like, which databases and text formats draw between lines."""
    return not line.strip(" \t\r\n|+:=_-") and any(3 * sign in line for sign in "-=_")


def quotes_after_blanks(text: str, separator: str, quote: str) -> bool:
    """True where cells are quoted behind blanks: read so, the lines have one width more nearly than they have
    otherwise.
    """
    lines = list(islice((line for line in io.StringIO(text) if line.strip()), 4 * SAMPLE_RECORDS))
    if separator == NO_SEPARATOR or not any(re.search(f"{re.escape(separator)} +{quote}", line) for line in lines):
        return False
    skipped, kept = (
        [len(row) for row in csv.reader(lines, delimiter=separator, quotechar=quote, skipinitialspace=skip)]
        for skip in (True, False)
    )
    return skipped.count(skipped[0]) >= kept.count(skipped[0])


def field_count(lines: Sequence[str]) -> int:
    """How many fields blanks split every line into, 0 where they are no separator. The first may lack a name for row
    names.
    """
    rows = [_FIELD.findall(line) for line in lines]
    widths = set(map(len, rows[1:]))
    if len(rows) < _LEAST_LINES or len(widths) > 1 or all(map(_GROUPED.fullmatch, lines[1:])):
        return 0
    found = widths.pop()
    if found < 2 or not (len(rows[0]) == found or 2 < found == len(rows[0]) + 1):
        return 0
    numbers = sum(all(map(NUMBER.fullmatch, column)) for column in zip(*rows[1:], strict=True))
    return found if numbers >= _NUMBERS * found else 0


def tabbed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same text, piece by piece, with a tab for each run of blanks outside quotes and none at the ends of lines."""
    rest = b""
    for piece in pieces:
        rest += piece
        end = rest.rfind(b"\n") + 1
        yield _with_tabs(rest[:end])
        rest = rest[end:]
    yield _with_tabs(rest)


def _with_tabs(text: bytes) -> bytes:
    return _RUN.sub(lambda run: run[1] or b"\t", _EDGES.sub(b"", text))


def unclear_separator(text: str) -> Finding | None:
    """The finding about a file read as one column, where a separator stands in most lines, the first among them.

    `text`: the first lines of the file. None where nothing hints at more columns.
    """
    lines = list(islice((line for line in io.StringIO(text) if line.strip()), SAMPLE_RECORDS))
    for separator in SEPARATORS:
        held = sum(separator in line for line in lines)
        if lines and separator in lines[0] and held > 0.5 * len(lines) and len(lines) > 1:
            message = (
                f"The table was read as one column: {separator!r} stands in most of its lines, but parts them unevenly. If it "
                "should part them, give every line the same number of cells."
            )
            return Finding("separator_unclear", "high", message, evidence={"separator": separator, "lines": held})
    for separator in _UNUSUAL:
        often = {line.count(separator) for line in lines}
        if len(lines) > 1 and len(often) == 1 and min(often) > 1:
            message = (
                f"The table was read as one column, but {separator!r} stands {min(often)} times in every line. If it parts "
                "them, save the table with commas, semicolons or tabs."
            )
            return Finding("separator_unclear", "high", message, evidence={"separator": separator, "lines": len(lines)})
    return _nearly_by_blanks(lines[1:]) or _of_fixed_width(lines)


def _nearly_by_blanks(lines: list[str]) -> Finding | None:
    """The same for columns of numbers that blanks keep apart in most lines, not all: then they are not split."""
    rows = [line.split() for line in lines]
    width, count = Counter(map(len, rows)).most_common(1)[0] if rows else (0, 0)
    cells = [cell for row in rows if len(row) == width for cell in row]
    if width < 2 or count < 0.9 * len(rows) or sum(NUMBER.fullmatch(cell) is not None for cell in cells) < 0.5 * len(cells):
        return None
    message = (
        f"The table was read as one column: blanks part most of its lines, but not all, into {width} values. "
        "Save it with commas, semicolons or tabs between the values."
    )
    return Finding("separator_unclear", "high", message, evidence={"separator": " ", "lines": count})


def _of_fixed_width(lines: list[str]) -> Finding | None:
    """The same for columns of one width each: gaps of several blanks in the line of names and in most others."""
    gaps = [len(re.findall(r"\S(?: {2,}| *\t+ *)(?=\S)", line)) for line in lines]
    if len(lines) < 3 or not gaps[0] or sum(map(bool, gaps)) < 0.8 * len(lines):
        return None
    message = (
        "The table was read as one column, but blanks keep several columns apart, each of one width. Save it with commas, "
        "semicolons or tabs between the values."
    )
    return Finding("separator_unclear", "high", message, evidence={"separator": " ", "lines": len(lines)})
