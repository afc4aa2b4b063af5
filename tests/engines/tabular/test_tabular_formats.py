"""What a file is, told by its bytes; archives that are whole, broken, locked, or made to fill a disk."""

import bz2
import contextlib
import gzip
import io
import lzma
import random
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from coreplex.errors.tree import BadInput, DomainError, Invalid, TooLarge
from tests.engines.tabular.files import SMALL, bare_book, book, kinds, take, zipped

CSV = b"id,city,day\n1,Rome,2020-01-01\n2,Oslo,2020-01-02\n3,Rome,2020-01-05\n"
TABLE = pl.DataFrame({"id": [1, 2, 3], "city": ["Rome", "Oslo", "Rome"]})
ZSTD = zstandard.ZstdCompressor()


def parquet() -> bytes:
    out = io.BytesIO()
    TABLE.write_parquet(out)
    return out.getvalue()


WHOLE: dict[str, tuple[bytes, str, str]] = {
    "tabs": (CSV.replace(b",", b"\t"), "t.tab", "tsv"),
    "gzip": (gzip.compress(CSV), "t.csv.gz", "csv.gz"),
    "gzip in two streams": (gzip.compress(CSV[:20]) + gzip.compress(CSV[20:]), "t.csv.gz", "csv.gz"),
    "zstd": (ZSTD.compress(CSV), "t.csv.zst", "csv.zst"),
    "zstd in two frames": (ZSTD.compress(CSV[:20]) + ZSTD.compress(CSV[20:]), "t.csv.zst", "csv.zst"),
    "zip": (zipped({"folder/t.csv": CSV}), "t.zip", "csv.zip"),
    "stored zip": (zipped({"t.csv": CSV}, zipfile.ZIP_STORED), "t.zip", "csv.zip"),
    "zip of macOS": (zipped({"t.csv": CSV, "__MACOSX/._t.csv": b"\0\5", ".DS_Store": b"x", "folder/": b""}), "t.zip", "csv.zip"),
    "zip with a readme": (zipped({"t.csv": CSV, "README.md": b"hello"}), "t.zip", "csv.zip"),
    "climbing name": (zipped({"../../../t.csv": CSV}), "t.zip", "csv.zip"),
    "gzip in zip": (zipped({"t.csv.gz": gzip.compress(CSV)}), "t.zip", "csv.gz.zip"),
    "Parquet in zstd": (ZSTD.compress(parquet()), "t.parquet.zst", "parquet.zst"),
    "workbook in gzip": (gzip.compress(book(S=[["id", "city"], [1, "Rome"], [2, "Oslo"], [3, "Rome"]])), "t.xlsx.gz", "xlsx.gz"),
    "JSON in zip": (zipped({"t.json": TABLE.write_json().encode()}), "t.zip", "json.zip"),
}


@pytest.mark.parametrize("what", WHOLE)
def test_whole_files_are_read_whole(what: str, tmp_path: Path) -> None:
    data, name, expected = WHOLE[what]
    reading, frame = take(tmp_path, data, name)
    assert reading.format == expected
    assert frame["id"].to_list() == [1, 2, 3]
    assert frame["city"].to_list() == ["Rome", "Oslo", "Rome"]
    assert "read_by_content" not in kinds(reading)
    assert ("archive_member" in kinds(reading)) == (what == "zip with a readme")


SAME: dict[str, tuple[bytes, set[str]]] = {
    "text": (CSV, {"t", "t.txt"}),
    "gzip": (gzip.compress(CSV), {"t", "t.txt"}),
    "Parquet": (parquet(), {"t.parquet"}),
    "JSON Lines": (TABLE.write_ndjson().encode(), {"t.json"}),
}


@pytest.mark.parametrize("what", SAME)
@pytest.mark.parametrize("name", ["t.parquet", "t.xlsx", "t.json", "t.exe", "t.txt", "t"])
def test_the_content_counts_and_a_wrong_name_is_told(what: str, name: str, tmp_path: Path) -> None:
    data, fitting = SAME[what]
    reading, frame = take(tmp_path, data, name)
    assert frame["id"].to_list() == [1, 2, 3]
    assert ("read_by_content" in kinds(reading)) == (name not in fitting)


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("t.csv")
        member.size = len(CSV)
        archive.addfile(member, io.BytesIO(CSV))
    return out.getvalue()


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
NO_TABLES: dict[str, tuple[bytes, str]] = {
    "old workbook": (OLE + bytes(600), "old Excel workbook"),
    "locked workbook": (OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "password"),
    "binary workbook": (zipped({"xl/workbook.bin": b"x"}), "xlsb"),
    "OpenDocument": (zipped({"mimetype": b"application/vnd.oasis.opendocument.spreadsheet", "content.xml": b""}), "OpenDocument"),
    "document": (zipped({"word/document.xml": b""}), "Word"),
    "page": (b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><table><tr><td>1</td></tr></table></html>", "HTML"),
    "bare table": (b"<table border=1><tr><td>1</td></tr></table>", "HTML"),
    "XML workbook": (b'<?xml version="1.0"?><?mso-application?><Workbook xmlns="urn:x">', "XML"),
    "XML": (b'<?xml version="1.0"?><rows><row/></rows>', "XML"),
    "PDF": (b"%PDF-1.7\n" + bytes(100), "PDF"),
    "SQLite": (b"SQLite format 3\0" + bytes(100), "SQLite"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(100), "image"),
    "RAR": (b"Rar!\x1a\x07\x01\0", "RAR"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1c" + bytes(20), "7-Zip"),
    "XZ": (lzma.compress(CSV), "XZ"),
    "bzip2": (bz2.compress(CSV), "bzip2"),
    "tar": (tarred(), "tar"),
    "tar in gzip": (gzip.compress(tarred()), "tar"),
    "pickle": (b"\x80\x04\x95" + bytes(20), "pickle"),
    "two tables": (zipped({"a.csv": CSV, "b.csv": CSV}), "'a.csv', 'b.csv'"),
    "no table": (zipped({"a.bin": CSV, "b.bin": CSV}), "'a.bin', 'b.bin'"),
    "empty zip": (zipped({}), "empty"),
    "packed three times": (zipped({"t.csv.gz": gzip.compress(gzip.compress(CSV))}), "more than 2 times"),
    "cut gzip": (gzip.compress(CSV * 50)[:-9], "cut off"),
    "cut gzip in its first bytes": (gzip.compress(CSV)[:4], "cut off"),
    "changed gzip": (gzip.compress(CSV)[:-6] + b"abcdef", "damaged"),
    "cut zstd": (ZSTD.compress(CSV * 50)[:-5], "cut off"),
    "cut workbook": (book(S=[["a", "b"], *([i, i] for i in range(50))])[:-30], "The Excel workbook is damaged or cut off"),
    "SQL": (b"-- MySQL dump\n/*!40101 SET NAMES utf8 */;\nSET x = 1;\nDROP TABLE IF EXISTS t;\nCREATE TABLE t (a int);\n", "SQL"),
    "inserts": (b"INSERT INTO t VALUES (1, 2), (3, 4);\n" * 9, "SQL"),
    "ARFF": (b"% flowers\n\n@RELATION iris\n@ATTRIBUTE a REAL\n@DATA\n1\n2\n", "ARFF"),
    "cut zip": (zipped({"t.csv": CSV})[:-30], "cut off"),
}


@pytest.mark.parametrize("what", NO_TABLES)
def test_what_is_no_table_is_named(what: str, tmp_path: Path) -> None:
    data, said = NO_TABLES[what]
    for name in ("t.csv", "t.xls"):
        with pytest.raises(BadInput) as caught:
            take(tmp_path, data, name)
        assert said in caught.value.message, caught.value.message
        assert len(caught.value.message) > len(said) + 20, "and what to do"


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    """With the same field changed in the archive's directory, which is what readers believe."""
    at = data.index(b"PK\x01\x02") + offset
    return data[:at] + value + data[at + len(value) :]


def test_locked_members_and_lying_headers_are_refused(tmp_path: Path) -> None:
    honest = zipped({"t.csv": CSV * 100})
    local = honest.index(b"PK\x03\x04") + 6
    locked = patched(honest, 8, b"\x01\0")
    locked = locked[:local] + b"\x01\0" + locked[local + 2 :]
    with pytest.raises(BadInput, match="password"):
        take(tmp_path, locked, "t.zip")
    for size in (10, len(CSV) * 100 + 7):
        with pytest.raises(BadInput, match="damaged"):
            take(tmp_path, patched(honest, 24, struct.pack("<I", size)), "t.zip")
    with pytest.raises(BadInput, match="method"):
        take(tmp_path, patched(honest, 10, struct.pack("<H", 99)), "t.zip")


def bombs() -> dict[str, bytes]:
    zeros = b"0,0,0\n" * (3 << 20)
    texts = "<sst>" + "<si><t>" + "x" * (8 << 20) + "</t></si></sst>"
    small = zipped({"t.csv": zeros})
    return {
        "gzip": gzip.compress(zeros),
        "zstd": ZSTD.compress(zeros),
        "zip": small,
        "zip that lies": patched(small, 24, struct.pack("<I", 1000)),
        "gzip in zip": zipped({"t.csv.gz": gzip.compress(zeros)}),
        "texts of a workbook": bare_book('<sheetData><row><c t="s"><v>0</v></c></row></sheetData>', texts),
        "blanks of a workbook": bare_book("<sheetData>" + "<row><c/></row>" * 900_000 + "</sheetData>"),
    }


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    for what, data in bombs().items():
        assert len(data) < 300_000, what
        with pytest.raises((TooLarge, BadInput)) as caught:
            take(tmp_path, data, "t.csv", limits=SMALL)
        assert "unpacks to more than" in caught.value.message or what == "zip that lies", what


def test_a_table_that_is_only_large_is_told_so_and_a_dense_one_passes(tmp_path: Path) -> None:
    rows = b"".join(b"%d,%d\n" % (number, number * number % 9_973) for number in range(50_000))
    data = gzip.compress(b"a,b\n" + rows)
    assert take(tmp_path, data, "t.csv.gz", limits=SMALL)[0].row_count == 50_000
    with pytest.raises(TooLarge, match="2 MB"):
        take(tmp_path, gzip.compress(b"a,b\n" + rows * 4), "t.csv.gz", limits=SMALL)


@pytest.mark.parametrize("data", [CSV, b'[{"a": 1}]', parquet()], ids=["text", "JSON", "Parquet"])
def test_a_sheet_of_what_has_none_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="has sheets"):
        take(tmp_path, data, "t", sheet="1")


def test_any_cut_of_any_archive_is_refused_or_whole(tmp_path: Path) -> None:
    for pack in (gzip.compress, ZSTD.compress, lambda data: zipped({"t.csv": data})):
        data: Any = pack(CSV)  # type: ignore[operator]
        for end in range(1, len(data), 7):
            try:
                _, frame = take(tmp_path, data[:end], "t.csv.gz")
            except DomainError:
                continue
            assert frame.height == 3


def test_changed_bytes_are_refused_or_read_and_nothing_else(tmp_path: Path) -> None:
    rng = random.Random(7)
    workbook = book(S=[["a", "b"], [1, "x"], [2, "y"]])
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    whole = [data for data, _, _ in WHOLE.values()]
    for number in range(100):
        if number % 2:
            name = rng.choice(["xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml", "xl/workbook.xml"])
            data = zipped({**parts, name: changed(parts[name], rng)})
        else:
            data = changed(rng.choice(whole), rng)
        with contextlib.suppress(DomainError):
            take(tmp_path, data, "t", limits=SMALL)


def changed(data: bytes, rng: random.Random) -> bytes:
    """With a byte set, a few bytes cut out or put in twice."""
    at, size = rng.randrange(len(data)), rng.randint(1, 9)
    ways = (bytes([rng.randrange(256)]) + data[at + 1 :], data[at + size :], data[at - size : at] + data[at:])
    return data[:at] + rng.choice(ways)
