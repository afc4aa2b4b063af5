"""Finds how a delimited file is written: separator, quote, the line of names. Judged once, on the first records.

When it is not clear whether the first line holds names it is kept as data: a generated name is a smaller loss than a
row.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import headers
from coreplex.engines.tabular.read.separator import (
    NO_SEPARATOR,
    SAMPLE_RECORDS,
    field_count,
    find_quote,
    find_separator,
    is_ruler,
    kind_of,
    quotes_after_blanks,
    tabbed,
    unclear_separator,
)
from coreplex.errors.tree import Invalid, Message

_SEP_LINE = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)
EMPTY = Message("file_empty", "The file is empty. Upload a table with a header line and at least one row.")


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written: `width` cells a record, separated by one character, quoted by another.

    `names` as written (None where the file has no names), `skip_lines` physical lines before the first data record.
    """

    separator: str
    quote: str
    width: int
    names: tuple[str, ...] | None
    skip_lines: int
    findings: tuple[Finding, ...] = ()
    only_names: bool = False
    units: tuple[str, ...] = ()
    """The unit of each column where a line below the names says so; empty for those without one."""
    blanks: bool = False
    """Runs of blanks part the cells (`separator.tabbed`); the text is read with tabs in their place."""
    after_blanks: bool = False
    """Blanks may stand between a separator and the quote that opens a cell (`1, "a, b"`)."""
    rows_only: bool = False
    """The format says what its rows are: nothing stands below them that is none."""


class _Record(NamedTuple):
    """Cells, and how many physical lines were read `before` the record and `after` its end."""

    before: int
    after: int
    cells: list[str]


def dialect_of_rows(head: str) -> Dialect:
    """The dialect of CSV we wrote ourselves from the rows of another format: only the line of names is to be found."""
    return _dialect_of(list(islice(_filled(head, ",", '"', 0), SAMPLE_RECORDS)), ",", '"')


def holds_values(head: str) -> bool:
    """True for rows of another format in which some cell is more than blanks."""
    return any(cell.strip() for row in csv.reader(io.StringIO(head)) for cell in row)


def holds_table(head: str) -> bool:
    """True for rows of another format that are surely a table: names, below them columns of one kind each, no list of
    entries.
    """
    filled = list(islice(_filled(head, ",", '"', 0), SAMPLE_RECORDS))
    found = _dialect_of(filled, ",", '"')
    body = [record.cells for record in filled if record.before >= found.skip_lines and len(record.cells) == found.width]
    if found.width < 2 or not body:
        return False
    kinds = [Counter(map(kind_of, column)) for column in zip(*body, strict=True)]
    measured = [max(count["number"], count["date"]) >= 0.8 * len(body) for count in kinds]
    if all(measured) and found.names:
        return True
    if len(body) < _TABLE_ROWS or (found.width == 2 and len(body) <= _LIST_ROWS and not any(measured)):
        return False
    alike = [max(count[kind] for kind in ("number", "date", "text")) + count["empty"] for count in kinds]
    filled_cells = sum(count.total() - count["empty"] for count in kinds)
    return min(alike) >= 0.8 * len(body) and 2 * filled_cells > len(body) * found.width


_TABLE_ROWS, _LIST_ROWS = 3, 20
"""Rows that a table has at least; up to so many of two columns without a number may be entries (`Author`, `Ann`)."""


def detect_dialect(head: str) -> Dialect:
    """The dialect of a file from its first lines (whole lines, at least one). Raises Invalid where none holds anything."""
    declared = _SEP_LINE.match(head)
    first = 1 if declared else 0
    body = head[declared.end() :] if declared else head
    quote = find_quote(body)
    separator = declared.group(1) if declared else find_separator(body, quote)
    after_blanks = quotes_after_blanks(body, separator, quote)
    if not declared and (blanks := _by_blanks(body, separator, quote)):
        return blanks
    records = _filled(body, separator, quote, first, after_blanks=after_blanks)
    found = replace(_dialect_of(list(islice(records, SAMPLE_RECORDS)), separator, quote), after_blanks=after_blanks)
    unclear = unclear_separator(body) if separator == NO_SEPARATOR else None
    return replace(found, findings=(*found.findings, unclear)) if unclear else found


def _by_blanks(text: str, separator: str, quote: str) -> Dialect | None:
    """The dialect of columns kept apart by blanks; tabs may stand there, too, before the one text of a row."""
    lines = list(islice((line for line in io.StringIO(text) if line.strip()), 10 * SAMPLE_RECORDS))
    if separator not in (NO_SEPARATOR, "\t") or (separator == "\t" and any(line.count("\t") != 1 for line in lines)):
        return None
    width = field_count(lines)
    if width < (4 if separator == "\t" else 2):
        return None
    tabs = b"".join(tabbed([text.encode()])).decode()
    found = _dialect_of(list(islice(_filled(tabs, "\t", quote, 0), SAMPLE_RECORDS)), "\t", quote)
    message = f"Runs of blanks part every line into {width} cells, and were read as the separator."
    return replace(
        found, blanks=True, findings=(*found.findings, Finding("parted_by_blanks", "low", message, evidence={"columns": width}))
    )


def _filled(text: str, separator: str, quote: str, first: int, *, after_blanks: bool = False) -> Iterator[_Record]:
    """The records that hold something: any number of blank lines may stand above the first."""
    # Lines end in LF only, as they do for the scan of records: U+2028 and its like belong to their cell.
    reader = csv.reader(io.StringIO(text), delimiter=separator, quotechar=quote, skipinitialspace=after_blanks)
    before = first
    for cells in reader:
        if len(cells) > 1 or any(cell.strip() for cell in cells):
            yield _Record(before, first + reader.line_num, cells)
        before = first + reader.line_num


def _dialect_of(filled: list[_Record], separator: str, quote: str) -> Dialect:
    if not filled:
        raise Invalid(EMPTY)
    drawn = [record for record in filled if is_ruler(separator.join(record.cells))]
    filled = [record for record in filled if record not in drawn] or filled
    width = Counter(len(record.cells) for record in filled).most_common(1)[0][0]
    findings: list[Finding] = []
    if len(filled) == 2 and len(filled[1].cells) > len(filled[0].cells):
        width = len(filled[0].cells)
    preamble = _preamble(filled, width)
    if preamble:
        lines = [separator.join(record.cells)[:200] for record in filled[:preamble]]
        findings.append(
            Finding(
                "preamble_skipped",
                "low",
                f"{preamble} lines above the table were left out: {lines[0][:80]!r}.",
                evidence={"lines": lines[:10]},
            )
        )
        filled = filled[preamble:]
    (before, line, first), body = filled[0], [record.cells for record in filled[1:] if len(record.cells) == width]
    if not headers.has_names(first, body):
        width = max(width, len(first)) if not body else width
        findings.append(
            Finding(
                "header_missing",
                "medium",
                (
                    "The first line holds data, not names: the columns were named column_1, column_2 and so on. Upload "
                    "the file with a line of names to change that."
                ),
                evidence={"first_line": [cell[:200] for cell in first[:10]]},
            )
        )
        return Dialect(separator, quote, width, None, before, tuple(findings))
    names, width = headers.fit_names(first, body, width)
    said = headers.read_header_lines(names, body) if body and len(body[0]) == width else None
    # Lines are skipped by their count: a record of another width among them is no line of names or units.
    if said and said.lines and all(len(record.cells) == width for record in filled[1 : said.lines + 1]):
        names, line = said.names, filled[said.lines].after
        findings += said.findings
    if drawn and (below := next((record for record in filled[1:] if record.before >= line), None)):
        line = below.before
    return Dialect(
        separator, quote, width, names, line, tuple(findings), not body and len(filled) == 1, said.units if said else ()
    )


def _preamble(filled: list[_Record], width: int) -> int:
    """How many leading records are titles or comments: one filled cell where the table has more, or
    `Exported,2024-01-05,`.
    """
    if width < 2:
        return 0
    titles = 0
    for index, (_, _, cells) in enumerate(filled[:20]):
        values = sum(bool(cell.strip()) for cell in cells)
        # A line of nothing but separators belongs to the titles: a spreadsheet pads them to the width of the table.
        if values < 2 and not (len(cells) == width == 2 and values):
            titles += titles == index
        elif not _is_entry(cells, values, width) and len(cells) <= width < 2 * len(cells):
            return index if index == titles or _names_all(filled[index:], width) else titles
    return 0


def _is_entry(cells: list[str], values: int, width: int) -> bool:
    """True for a line such as `Customer:,ACME,` of the block that some programs write above a table of more columns."""
    first, second = (cell.strip() for cell in cells[:2])
    return values == 2 < width and bool(first and second) and (first.endswith(":") or kind_of(second) in ("number", "date"))


def _names_all(filled: list[_Record], width: int) -> bool:
    """True if the first of these records names every column, which others below show by what they hold."""
    first, body = filled[0].cells, [record.cells for record in filled[1:] if len(record.cells) == width]
    named = len(first) == width and all(kind_of(cell) == "text" for cell in first)
    return named and len(body) >= 3 and headers.over_typed(first, list(zip(*body, strict=True)))
