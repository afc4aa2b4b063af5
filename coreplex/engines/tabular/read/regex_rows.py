"""Takes the rows of a sheet that have the one shape nearly all programs write, by a regular expression instead of an
XML parser.

Expat calls back four times a cell, and that is most of what reading a large sheet costs. A run of plain rows between
two others is cut out and never shown to expat, which parses all that is left: what stands before and after the rows,
and each row that holds anything else (an entity, rich text, a comment, a formula without result, an attribute nobody
writes).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

_TEXT = r"[^<&\x00-\x08\x0b-\x1f]"
_FORMULA = r"<f(?: [^<>]*)?(?:(?<=/)>|>[^<]*</f>)"
_STRING = '<is><t(?: xml:space="preserve")?>'
_ATTRIBUTES = r'<c r="{0}[A-Z]{{1,3}}{1}[0-9]+"(?: (?:s="{0}[0-9]+{1}"|t="{0}[a-zA-Z]+{1}"|[cv]m="[0-9]+"))*+'
_VALUE = f"<v>{_TEXT}*+</v>|{_FORMULA}<v>{_TEXT}++</v>|{_STRING}{_TEXT}*+</t></is>"
_ROW = r'<row r="{0}[0-9]{{1,7}}{1}"[^<>/]*>'
_GAP = r"[ \t\r\n]*+"
_PLAIN_CELL = f"{_ATTRIBUTES.format('', '')}(?:/>|>(?:{_VALUE})?</c>){_GAP}"
_PLAIN_ROWS = re.compile(f"(?:{_ROW.format('', '')}{_GAP}(?:{_PLAIN_CELL})*+</row>{_GAP})++".encode())
# Of plain rows, which need no second proof:
_NUMBER = re.compile(_ROW.format("(", ")"))
_CELLS = re.compile(f"{_ATTRIBUTES.format('(', ')')}(?:/>|>(?:{_FORMULA})?(?:(?:<v>|{_STRING})({_TEXT}*+))?)")
_BEGINS, _ENDS, _ROW_ENDS = b"<sheetData>", b"</sheetData", b"</row>"
_MOST_HELD = 8 << 20
"""A longer row than this is left to expat piece by piece."""

Row = tuple[int, list[tuple[str, str, str, str]]]
"""Number from 1, and its cells: letters of the column, style, type, and what stands in it."""


class Parser(Protocol):
    """What is used of an expat parser."""

    XmlDeclHandler: Any

    def Parse(self, data: bytes, isfinal: bool, /) -> Any: ...


class RegexRows:
    """Stands before an expat parser: `Parse` gives it everything but the plain rows, which go to `take`.

    Whoever handles the elements sets `between` where the rows begin, and at the end of each row.
    """

    def __init__(self, parser: Parser, take: Callable[[Iterator[Row]], None]) -> None:
        self._parser = parser
        self._take = take
        self._held, self._at = b"", 0
        """What no one has been given yet begins at that place."""
        self._step = self._before
        self._utf8 = True
        self.between = False
        parser.XmlDeclHandler = self._declared

    def Parse(self, piece: bytes, final: bool) -> None:
        """Takes the next piece (bytes) of the part; `final`: the last one."""
        self._held, self._at = self._held[self._at :] + piece, 0
        while self._at < len(self._held) and self._step():
            pass
        if final:
            self._pass_on(len(self._held), final=True)

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self._utf8 = encoding is None or encoding.lower() == "utf-8"

    def _pass_on(self, end: int, *, final: bool = False) -> None:
        """Gives expat what is held, up to there."""
        front, self._at = self._held[self._at : end], end
        self._parser.Parse(front, final)

    # Steps: each does something with what is held, and is true if there may be more to do with it.

    def _before(self) -> bool:
        at = self._held.find(_BEGINS, self._at)
        if at < 0:
            self._pass_on(max(self._at, len(self._held) - len(_BEGINS)))
            return False
        self._pass_on(at + len(_BEGINS))
        self._step = self._rows if self._utf8 else self._after
        return True

    def _rows(self) -> bool:
        run = _PLAIN_ROWS.match(self._held, self._at) if self.between else None
        if run:
            return self._taken(run.end())
        if self.between and self._held.startswith(_ENDS, self._at):
            self._step = self._after
            return True
        end = self._held.find(_ROW_ENDS, self._at)
        if end < 0 and len(self._held) - self._at < _MOST_HELD:
            return False
        # A comment may hold the end of a row: only expat knows whether it is one.
        self.between = False
        self._pass_on(end + len(_ROW_ENDS) if end >= 0 else len(self._held))
        return True

    def _taken(self, end: int) -> bool:
        try:
            text = self._held[self._at : end].decode()
        except UnicodeDecodeError:
            self._step = self._after  # expat says so
            return True
        self._at = end
        self._take(_read(text))
        return True

    def _after(self) -> bool:
        self._pass_on(len(self._held))
        return False


def _read(text: str) -> Iterator[Row]:
    for row in text.split("</row>"):
        number = _NUMBER.search(row)
        if number:
            yield int(number[1]), _CELLS.findall(row)
