"""Splits columns that are separated by runs of blanks, as instruments and R's `write.table` write them: `1   20.1 "St
Gallen"`.

A blank also stands within cells, so lines are parted there only where every one has as many fields, and columns of
numbers show that they are columns. The text is given to the readers with tabs in place of the runs.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

_FIELD = re.compile(r'"[^"]*"|\S+')
_EDGES = re.compile(rb"^[ \t]+|[ \t]+(?=\r?$)", re.MULTILINE)
_RUN = re.compile(rb'("[^"\n]*")|[ \t]+')
_GROUPED = re.compile(r"\s*[+-]?\d{1,3}( \d{3})+([.,]\d+)?\s*")
_LEAST_LINES = 5
_NUMBERS = 0.5
"""The share of columns that must hold numbers alone."""


def field_count(lines: Sequence[str], number: re.Pattern[str]) -> int:
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
    numbers = sum(all(map(number.fullmatch, column)) for column in zip(*rows[1:], strict=True))
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
