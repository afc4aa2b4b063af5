"""Tables in the formats people have, made in memory, and how they are read."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import xlsxwriter

from coreplex.engines.tabular.read.interface import Limits, ReadTable
from coreplex.engines.tabular.read.table import read_table

SMALL = Limits(unpacked_bytes=2 << 20, ratio_free_bytes=1 << 19)
"""Limits that a test reaches at once."""


def take(folder: Path, data: bytes, name: str, **more: Any) -> tuple[ReadTable, pl.DataFrame]:
    """Reads a file; nothing but the table may be left beside it."""
    source, destination = folder / "upload", folder / "table.parquet"
    source.write_bytes(data)
    destination.unlink(missing_ok=True)
    try:
        reading = read_table(source, name, destination, **more)
    finally:
        assert {path.name for path in folder.iterdir()} <= {"upload", "table.parquet"}
    frame = pl.read_parquet(destination)
    assert frame.columns == reading.schema.names
    return reading, frame


def kinds(reading: ReadTable) -> set[str]:
    return {finding.kind for finding in reading.findings}


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def book(**sheets: Iterable[Iterable[Any]]) -> bytes:
    """A workbook with these sheets, dates as dates."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"default_date_format": "yyyy-mm-dd"}) as made:
        for name, rows in sheets.items():
            sheet = made.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return out.getvalue()


SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'


def bare_book(sheet: str, texts: str = "", book: str = "", head: str = "") -> bytes:
    """The smallest workbook around the XML of a sheet: what no program would write can be written."""
    xml = '<?xml version="1.0" encoding="UTF-8"?>' + head
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    names = f'<workbook xmlns="{main}" xmlns:r="{links}">{book}<sheets><sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>'
    link = f'<Relationships><Relationship Id="a" Type="{links}/worksheet" Target="worksheets/s.xml"/></Relationships>'
    members = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.xml": xml + names,
        "xl/_rels/workbook.xml.rels": link,
        "xl/worksheets/s.xml": xml + SHEET.format(sheet),
    }
    if texts:
        members["xl/sharedStrings.xml"] = xml + texts
    return zipped({name: content.encode() for name, content in members.items()})
