"""Identifies the format of a file by its bytes; its name only says what was expected.

`identify` answers with one of the formats that can be read, or refuses with the name of what it found and what to do
instead.
"""

import re
import zipfile
from pathlib import Path
from typing import Literal

from coreplex.engines.tabular.read.file_encoding import decoded_head
from coreplex.errors.tree import BadInput, Invalid, Message

FileFormat = Literal["gzip", "zip", "zstd", "parquet", "xlsx", "json", "text"]

READABLE = "CSV, TSV, JSON, JSON Lines, Parquet or Excel (.xlsx), plain or in gzip, zip or zstd"
SUFFIXES: dict[str, FileFormat] = {
    ".csv": "text",
    ".tsv": "text",
    ".tab": "text",
    ".txt": "text",
    ".dat": "text",
    ".data": "text",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".geojson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".gz": "gzip",
    ".zip": "zip",
    ".zst": "zstd",
    ".zstd": "zstd",
}
CALLED: dict[FileFormat, str] = {
    "gzip": "a gzip archive",
    "zip": "a zip archive",
    "zstd": "a Zstandard archive",
    "parquet": "a Parquet table",
    "xlsx": "an Excel workbook",
    "json": "JSON",
    "text": "delimited text",
}
_MAGIC: dict[bytes, FileFormat] = {
    b"PAR1": "parquet",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
DAMAGED_BOOK = Message("workbook_damaged", "The Excel workbook is damaged or cut off. Save it again and upload the new file.")
DAMAGED_ZIP = Message("zip_damaged", "The zip archive is damaged or cut off. Pack it again and upload it.")
_EXPORT = "Export the table as CSV, Parquet or Excel (.xlsx) and upload that."
_UNPACK = "Unpack it and upload the table itself, or pack it as gzip, zip or zstd."
_RESAVE = "Open it in a spreadsheet program, save it as an Excel workbook (.xlsx) or CSV and upload that."
_OTHERS: dict[bytes, tuple[str, str]] = {
    b"%PDF": ("a PDF document", _EXPORT),
    b"SQLite format 3": ("a SQLite database", _EXPORT),
    b"\x89HDF": ("an HDF5 file", _EXPORT),
    b"ARROW1": ("an Arrow file", "Write it as Parquet and upload that."),
    b"FEA1": ("a Feather file", "Write it as Parquet and upload that."),
    b"Obj\x01": ("an Avro file", "Write it as Parquet and upload that."),
    b"\x93NUMPY": ("a NumPy array", _EXPORT),
    b"$FL2": ("an SPSS file", _EXPORT),
    b"<stata_dta>": ("a Stata file", _EXPORT),
    b"RDX2\n": ("an R data file", _EXPORT),
    b"RDX3\n": ("an R data file", _EXPORT),
    b"\x80\x04\x95": ("a Python pickle, which is never opened", _EXPORT),
    b"\x89PNG": ("an image", _EXPORT),
    b"\xff\xd8\xff": ("an image", _EXPORT),
    b"GIF8": ("an image", _EXPORT),
    b"II*\0": ("an image", _EXPORT),
    b"\x7fELF": ("a program", _EXPORT),
    b"Rar!\x1a": ("a RAR archive", _UNPACK),
    b"7z\xbc\xaf": ("a 7-Zip archive", _UNPACK),
    b"\xfd7zXZ": ("an XZ archive", _UNPACK),
    b"BZh": ("a bzip2 archive", _UNPACK),
    b"\x04\x22\x4d\x18": ("an LZ4 archive", _UNPACK),
}
_IN_ZIP: dict[str, tuple[str, str]] = {
    "xl/workbook.bin": ("a binary Excel workbook (.xlsb)", _RESAVE),
    "word/document.xml": ("a Word document", _EXPORT),
    "ppt/presentation.xml": ("a PowerPoint presentation", _EXPORT),
    "META-INF/MANIFEST.MF": ("a Java archive", _EXPORT),
}
# Possessive and atomic: a row of comments must not be tried in every way there is.
_MARKUP = re.compile(r"(?:(?><!--.*?-->)|<\?[^>]*>|<!doctype[^>]*>|\s)*+<\s*([\w:]+)", re.IGNORECASE | re.DOTALL)
_JSON = re.compile(r"\{\s*[\"}]|\[\s*[\[{\]]")
_JSON_VALUE = re.compile(r'(null|true|false|-?\d[\d.eE+-]*|"[^"]*")\s*')
_SQL = re.compile(
    r"(?:--[^\n]*\n|/\*.*?\*/|[\s;]|\b(?:SET|USE|BEGIN|START|PRAGMA|LOCK)\b[^;\n]*;)*+"
    r"(CREATE\s+(TEMP\w*\s+)?(TABLE|DATABASE|SCHEMA)|INSERT\s+(IGNORE\s+)?INTO|DROP\s+(TABLE|DATABASE)|ALTER\s+TABLE)\s",
    re.IGNORECASE | re.DOTALL,
)
_ARFF = re.compile(r"(?:%[^\n]*\n|\s)*+@relation\s", re.IGNORECASE)
_WORKBOOK = ".xlsx", ".xlsm"
_JSON_NAMED = re.compile(r"[\[{]")


def identify(source: Path, filename: str) -> FileFormat:
    """The format of a file. Raises BadInput, naming what it is, for one that is no table we can read."""
    with source.open("rb") as file:
        head = file.read(1 << 16)
    found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    if found == "zip":
        return _inside_zip(source, filename)
    if found is not None:
        return found
    if head.startswith(_OLE):
        _refuse_ole(source)
    for magic, (what, advice) in _OTHERS.items():
        if head.startswith(magic):
            raise refused(what, advice)
    if head[257:262] == b"ustar":
        raise refused("a tar archive", _UNPACK)
    letters = decoded_head(head)
    text = letters.lstrip()
    if letters and not text and head.strip():
        raise BadInput(
            Message(
                "no_readable_character",
                "The file holds no character that can be read. Upload a table as {formats}.",
                formats=READABLE,
            )
        )
    return _text_or_json(text, filename)


def refused(what: str, advice: str = "") -> BadInput:
    """The error for a file that is known to be something else: what it is, and what to upload instead."""
    return BadInput(
        Message("not_a_table", "This is {what}, which cannot be read as a table. {advice}", what=what, advice=advice or _EXPORT)
    )


def _text_or_json(text: str, filename: str) -> FileFormat:
    markup = _MARKUP.match(text)
    if markup is not None:
        tag = markup[1].lower().rpartition(":")[2]
        if tag in ("html", "head", "body", "table", "meta"):
            raise refused("an HTML page (some programs give it the ending .xls)", _RESAVE)
        if tag == "workbook":
            raise refused("an XML spreadsheet of 2003", _RESAVE)
        if text.startswith("<?xml") or "</" in text:
            raise refused("an XML document")
    if _SQL.match(text):
        raise refused("a dump of a database (SQL)", "Export the table itself as CSV or Parquet and upload that.")
    if _ARFF.match(text):
        raise refused("an ARFF file (Weka)", "Save it as CSV and upload that.")
    if expected(filename) == "json" and (value := _JSON_VALUE.fullmatch(text)):
        raise Invalid(
            Message(
                "json_single_value",
                "The JSON is a single value ({value}). A table is a list of objects, one for each row.",
                value=value[1][:20],
            )
        )
    pattern = _JSON_NAMED if expected(filename) == "json" else _JSON
    return "json" if pattern.match(text) else "text"


def _inside_zip(source: Path, filename: str) -> FileFormat:
    """An Excel workbook is a zip archive with certain members; so are many things that are no table."""
    try:
        with zipfile.ZipFile(source) as archive:
            names = {name.replace("\\", "/") for name in archive.namelist()}
            if "xl/workbook.xml" in map(str.lower, names):
                return "xlsx"
            for member, (what, advice) in _IN_ZIP.items():
                if member in names:
                    raise refused(what, advice)
            if "mimetype" in names and b"opendocument" in archive.open("mimetype").read(100):
                raise refused("an OpenDocument file (.ods)", _RESAVE)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        with source.open("rb") as file:
            book = filename.lower().endswith(_WORKBOOK) or b"[Content_Types].xml" in file.read(1 << 16)
        raise BadInput(DAMAGED_BOOK if book else DAMAGED_ZIP) from error
    return "zip"


def _refuse_ole(source: Path) -> None:
    """Old Excel workbooks and encrypted new ones are wrapped alike."""
    with source.open("rb") as file:
        rest = b""
        while piece := file.read(1 << 20):
            if _ENCRYPTED in rest + piece:
                raise refused("an Excel workbook with a password", "Save it without the password and upload it again.")
            rest = piece[-len(_ENCRYPTED) :]
    raise refused("an old Excel workbook (.xls) or another document of that time", _RESAVE)


def expected(filename: str) -> FileFormat | None:
    """The format a file's name promises; None when it promises none we know."""
    return SUFFIXES.get(Path(filename.lower()).suffix)
