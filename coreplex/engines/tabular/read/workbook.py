"""Reads the parts of an Excel workbook (.xlsx): its sheets, its texts and its number formats (ECMA-376).

Parts are parsed as they are unpacked, within one allowance for all of them; a document type or an entity, which no
workbook has, is refused, so nothing can be expanded. See docs/decisions/0015.
"""

import posixpath
import re
import xml.parsers.expat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn
from xml.parsers.expat import XMLParserType as XMLParserType

from coreplex.engines.tabular.read.file_formats import DAMAGED_BOOK, refused
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.regex_rows import RegexRows
from coreplex.engines.tabular.read.unpacking import DAMAGE, UnpackBudget, is_of_disk
from coreplex.errors.nearest import hint
from coreplex.errors.tree import BadInput, Invalid, Message, TooLarge

DateStyle = Literal["date", "datetime", "fraction", "time", "elapsed"]
"""What a number format shows: a day, a day and a time, the same with parts of a second, a time of day, a duration."""

_PIECE = 256 << 10
_TEXT_BYTES = 768 << 20
_TEXT_COST = 64
_BUILT_IN: dict[int, DateStyle] = {
    **dict.fromkeys((14, 15, 16, 17, *range(27, 32), 34, 35, 36, *range(50, 59)), "date"),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 45), "time"),
    22: "datetime",
    46: "elapsed",
}
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.')
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_BRACKET = re.compile(r"\[[^\]]*\]")
_AM_PM = re.compile(r"am/pm|a/p", re.IGNORECASE)
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


class _Local(dict[str, str]):
    """Element names without their prefix, remembered."""

    def __missing__(self, name: str) -> str:
        return self.setdefault(name, name.rpartition(":")[2])


LOCAL = _Local()
BROKEN = (*DAMAGE, xml.parsers.expat.ExpatError)
"""What reading a damaged part raises."""
Start = Callable[[str, dict[str, str]], Any]
End = Callable[[str], Any]


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook: its name, the part that holds it, and whether spreadsheet programs hide it."""

    name: str
    part: str
    hidden: bool


class Workbook:
    """An open workbook. Raises BadInput for what is damaged, TooLarge for what unpacks to too much."""

    def __init__(self, archive: zipfile.ZipFile, packed: int, limits: Limits) -> None:
        self._archive = archive
        self._packed = packed
        self._allowance = UnpackBudget(limits)
        self._parts = {info.filename.lower().replace("\\", "/"): info for info in archive.infolist()}
        self._refuse_early(limits)
        self.from_1904 = False
        self.sheets: list[Sheet] = []
        self._read_sheets()
        self._texts: list[str] | None = None
        self._styles: list[DateStyle | None] | None = None

    def _refuse_early(self, limits: Limits) -> None:
        """By what the archive says of itself, before anything is unpacked."""
        if any(info.flag_bits & 0x1 for info in self._parts.values()):
            raise refused("an Excel workbook with a password", "Save it without the password and upload it again.")
        if sum(info.file_size for info in self._parts.values() if info.filename.endswith(".xml")) > limits.unpacked_bytes:
            raise TooLarge(
                Message(
                    "workbook_too_large",
                    "The workbook unpacks to more than {megabytes:,} MB. Upload the table as CSV.",
                    megabytes=limits.unpacked_bytes >> 20,
                )
            )

    @staticmethod
    def parse(start: Start | None = None, end: End | None = None) -> XMLParserType:
        """A parser to be fed by `feed`; names come with their prefix, see LOCAL."""
        parser = xml.parsers.expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.StartDoctypeDeclHandler = _refuse_doctype
        return parser

    def feed(self, part: str, parser: XMLParserType | RegexRows) -> None:
        """Parses a part as it is unpacked."""
        info = self._parts.get(part.lower())
        if info is None:
            raise BadInput(DAMAGED_BOOK)
        size = 0
        with self._archive.open(info) as file:
            while piece := file.read(_PIECE):
                size += len(piece)
                self._allowance.take(len(piece), self._packed)
                parser.Parse(piece, False)
        if size != info.file_size:
            raise BadInput(DAMAGED_BOOK)
        parser.Parse(b"", True)

    def _run(self, part: str, start: Start, end: End | None = None) -> None:
        self.feed(part, self.parse(start, end))

    def _read_sheets(self) -> None:
        named: list[tuple[str, str, bool]] = []
        targets: dict[str, str] = {}

        def of_book(name: str, said: dict[str, str]) -> None:
            if LOCAL[name] == "workbookPr":
                self.from_1904 = said.get("date1904", "0").lower() in ("1", "true", "on")
            elif LOCAL[name] == "sheet":
                link = next((value for key, value in said.items() if LOCAL[key] == "id"), "")
                named.append((said.get("name", ""), link, said.get("state", "visible") != "visible"))

        def of_links(name: str, said: dict[str, str]) -> None:
            if said.get("Type", "").endswith("/worksheet"):
                targets[said.get("Id", "")] = posixpath.normpath(posixpath.join("/xl", said.get("Target", ""))).lstrip("/")

        self._run("xl/workbook.xml", of_book)
        self._run("xl/_rels/workbook.xml.rels", of_links)
        self.sheets = [Sheet(name, targets[link], hidden) for name, link, hidden in named if link in targets]

    def choose(self, wanted: str) -> Sheet:
        """A sheet by name, or by number from 1. Raises Invalid naming the sheets and the nearest."""
        names = {sheet.name: sheet for sheet in self.sheets}
        plain = {sheet.name.strip().casefold(): sheet for sheet in self.sheets}
        found = names.get(wanted) or plain.get(wanted.strip().casefold())
        if found is None and wanted.strip().isdecimal() and 1 <= int(wanted[:9]) <= len(self.sheets):
            found = self.sheets[int(wanted) - 1]
        if found is None:
            told = Message("no_such_sheet", "The workbook has no sheet {sheet!r}.", sheet=wanted[:80])
            known = Message("sheets_of_workbook", "Its sheets are {sheets!r}.", sheets=list(names)[:20])
            raise Invalid.field(told.then(hint(wanted, list(names))).then(known), "sheet")
        return found

    @property
    def texts(self) -> list[str]:
        """The texts that cells name by number."""
        if self._texts is None:
            self._texts = self._read_texts() if "xl/sharedstrings.xml" in self._parts else []
        return self._texts

    def _read_texts(self) -> list[str]:
        texts: list[str] = []
        parts: list[str] = []
        cost, phonetic = 0, False

        def start(name: str, _: dict[str, str]) -> None:
            nonlocal phonetic
            local = LOCAL[name]
            if local == "t" and not phonetic:
                parser.CharacterDataHandler = parts.append
            phonetic = phonetic or local == "rPh"

        def end(name: str) -> None:
            nonlocal cost, phonetic
            local = LOCAL[name]
            if local == "t":
                parser.CharacterDataHandler = None
            elif local == "rPh":
                phonetic = False
            elif local == "si":
                texts.append(unescaped("".join(parts)))
                parts.clear()
                cost += 4 * len(texts[-1]) + _TEXT_COST if not texts[-1].isascii() else len(texts[-1]) + _TEXT_COST
                if cost > _TEXT_BYTES:
                    raise TooLarge(
                        Message(
                            "workbook_too_much_text",
                            "The workbook holds more text than can be read from one. Upload the table as CSV.",
                        )
                    )

        parser = self.parse(start, end)
        self.feed("xl/sharedStrings.xml", parser)
        return texts

    @property
    def styles(self) -> list[DateStyle | None]:
        """For each cell style: what kind of date it shows, if any."""
        if self._styles is None:
            self._styles = self._read_styles() if "xl/styles.xml" in self._parts else []
        return self._styles

    def _read_styles(self) -> list[DateStyle | None]:
        formats: dict[int, str] = {}
        cells: list[int] = []
        inside = False

        def start(name: str, said: Mapping[str, str]) -> None:
            nonlocal inside
            local = LOCAL[name]
            if local == "numFmt":
                formats[_number(said.get("numFmtId"))] = said.get("formatCode", "")
            elif local == "cellXfs":
                inside = True
            elif local == "xf" and inside:
                cells.append(_number(said.get("numFmtId")))

        def end(name: str) -> None:
            nonlocal inside
            inside = inside and LOCAL[name] != "cellXfs"

        self._run("xl/styles.xml", start, end)
        return [shows(formats[cell]) if cell in formats else _BUILT_IN.get(cell) for cell in cells]


@contextmanager
def opened(source: Path, limits: Limits) -> Iterator[Workbook]:
    """The workbook; what its libraries say about damage becomes BadInput."""
    try:
        with zipfile.ZipFile(source) as archive:
            yield Workbook(archive, source.stat().st_size, limits)
    except BROKEN as error:
        if is_of_disk(error):
            raise
        raise BadInput(DAMAGED_BOOK) from error


def shows(code: str) -> DateStyle | None:
    """What kind of date a number format shows; `[h]:mm` is a duration."""
    code = _LITERAL.sub("", code.partition(";")[0])
    if _ELAPSED.search(code):
        return "elapsed"
    code = _BRACKET.sub("", code).lower()
    if "general" in code or "@" in code:
        return None
    clock = _AM_PM.search(code) is not None or "h" in code or "s" in code
    if "y" in code or "d" in code or ("m" in code and not clock):
        return ("fraction" if "s.0" in code or "s,0" in code else "datetime") if clock else "date"
    return "time" if clock else None


def unescaped(text: str) -> str:
    """`_x000D_` is how a workbook writes characters that XML has not."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 10 else 0


def _refuse_doctype(*_: object) -> NoReturn:
    raise refused("a workbook with a document type declaration, which none needs and only attacks have", "Save it again.")
