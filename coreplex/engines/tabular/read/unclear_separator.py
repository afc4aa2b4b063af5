"""Reports a table that was read as one column although something seems to separate several."""

import io
import re
from collections import Counter
from itertools import islice

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.cell_kinds import NUMBER

SAMPLE_RECORDS = 200
"""Records by which the dialect of a file is judged."""
SEPARATORS = (",", ";", "\t", "|", "^", "~", "\x01")
_UNUSUAL = (":", "/", "#", "!", "§", "¦")


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
