"""Unpacks tables inside gzip, zip and zstd to disk piece by piece, with a limit on what may come out.

An archive of a few kilobytes can hold terabytes. What comes out is counted while it is written: no more than
`Limits.unpacked_bytes` altogether, and beyond a few megabytes no more than `Limits.unpacked_ratio` times what went
in. A file that ends in the middle is refused: half a table would look like a whole one. Names inside an archive are
labels, never paths.
"""

import errno
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read.file_formats import CALLED, READABLE, SUFFIXES, FileFormat, identify, refused
from coreplex.engines.tabular.read.interface import Limits
from coreplex.errors.disk import refuse_when_full
from coreplex.errors.tree import BadInput, Message, TooLarge

PIECE = 1 << 20
_ZSTD_PIECE = 1 << 10
"""A block of four bytes may stand for 128 KiB: so much input makes at most 32 MB at once."""
_ZSTD_WINDOW = 1 << 27
_LAYERS = 2
_SUFFIX: dict[FileFormat, str] = {"gzip": "gz", "zip": "zip", "zstd": "zst"}
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_TABLES = {suffix for suffix in SUFFIXES if suffix not in (".txt", ".dat", ".data", ".zip")}
DAMAGE = (
    zlib.error,
    EOFError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    zstandard.ZstdError,
    lzma.LZMAError,
    OSError,
    NotImplementedError,
)


class UnpackBudget:
    """Counts what comes out of an archive. `take` raises TooLarge when it is too much, by size or by ratio."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.unpacked = 0

    def take(self, size: int, packed: int) -> None:
        """`size` more bytes came out; `packed` bytes went in by now."""
        self.unpacked += size
        limits = self._limits
        if self.unpacked > limits.unpacked_bytes:
            raise TooLarge(
                Message(
                    "unpacks_to_too_much",
                    "The file unpacks to more than {megabytes:,} MB. Upload a part of the table.",
                    megabytes=limits.unpacked_bytes >> 20,
                )
            )
        if self.unpacked > limits.ratio_free_bytes and self.unpacked > limits.unpacked_ratio * max(packed, 1):
            raise TooLarge(
                Message(
                    "unpacks_suspiciously",
                    "The file unpacks to more than {ratio} times its size, as archives do that are made to fill a disk. "
                    "If the table is sound, upload it without compression.",
                    ratio=limits.unpacked_ratio,
                )
            )


@dataclass(frozen=True)
class Unpacked:
    """The table itself: where it is, what it is called, what it is, and what it was packed in (`gz`, `zip`, `zst`)."""

    path: Path
    filename: str
    format: FileFormat
    packed: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def unpack(source: Path, filename: str, scratch: Path, limits: Limits) -> Unpacked:
    """Takes off up to two layers of compression, into `scratch`. Raises BadInput for what is damaged, encrypted or
    ambiguous.
    """
    found = Unpacked(source, filename, identify(source, filename))
    allowance = UnpackBudget(limits)
    while found.format in _SUFFIX:
        if len(found.packed) == _LAYERS:
            raise BadInput(
                Message(
                    "packed_too_often",
                    "The table is packed more than {layers} times over. Unpack it and upload the table itself.",
                    layers=_LAYERS,
                )
            )
        found = _without_layer(found, scratch / f"unpacked{len(found.packed)}", allowance)
    return found


def _without_layer(outer: Unpacked, target: Path, allowance: UnpackBudget) -> Unpacked:
    findings = outer.findings
    try:
        if outer.format == "zip":
            with zipfile.ZipFile(outer.path) as archive:
                member, left = _member(archive)
                inner, findings = Path(member.filename).name, (*findings, *left)
                _write(_zipped(archive, member), target, allowance)
        else:
            inner = _inner_name(outer.filename, outer.format)
            _write(_gzipped(outer.path) if outer.format == "gzip" else _zstd(outer.path), target, allowance)
    except DAMAGE as error:
        if is_of_disk(error):
            raise
        raise BadInput(
            Message(
                "archive_damaged",
                "This is {archive} that is damaged or cut off. Pack it again and upload the new file.",
                archive=CALLED[outer.format],
            )
        ) from error
    return Unpacked(target, inner, identify(target, inner), (*outer.packed, _SUFFIX[outer.format]), findings)


def is_of_disk(error: Exception) -> bool:
    """True if the machine is to blame, not the archive: one that names a place before its beginning is an invalid
    argument.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)


def _write(pieces: Iterator[tuple[bytes, int]], target: Path, allowance: UnpackBudget) -> None:
    with target.open("wb") as file:
        for piece, packed in pieces:
            allowance.take(len(piece), packed)
            refuse_when_full(target.parent)
            file.write(piece)


def _inner_name(filename: str, kind: FileFormat) -> str:
    name = Path(filename)
    return name.stem if SUFFIXES.get(name.suffix.lower()) == kind else filename


def _gzipped(source: Path) -> Iterator[tuple[bytes, int]]:
    """All streams of a gzip file, one after the other, each with its checksum."""
    with source.open("rb") as raw, gzip.GzipFile(fileobj=raw) as file:
        while piece := file.read(PIECE):
            yield piece, raw.tell()


def _zstd(source: Path) -> Iterator[tuple[bytes, int]]:
    """All frames of a Zstandard file. Raises EOFError when the last one is not whole."""
    opener = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    frame = None
    with source.open("rb") as file:
        while data := file.read(_ZSTD_PIECE):
            while data:
                frame = frame or opener.decompressobj()
                if piece := frame.decompress(data):
                    yield piece, file.tell()
                data = frame.unused_data if frame.eof else b""
                frame = None if frame.eof else frame
    if frame is not None:
        raise EOFError


def _zipped(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[tuple[bytes, int]]:
    """One member, which must be as long as the archive says and have its checksum."""
    size = 0
    with archive.open(member) as file:
        while piece := file.read(PIECE):
            size += len(piece)
            yield piece, member.compress_size
    if size != member.file_size:
        raise EOFError


def _member(archive: zipfile.ZipFile) -> tuple[zipfile.ZipInfo, list[Finding]]:
    """The one table of an archive, and a finding about what was left beside it."""
    members = [info for info in archive.infolist() if not info.is_dir() and not _is_junk(info.filename)]
    tables = [info for info in members if Path(info.filename.lower()).suffix in _TABLES]
    chosen = members if len(members) == 1 else tables
    names = ", ".join(repr(info.filename[-80:]) for info in members[:10]) + (" …" if len(members) > 10 else "")
    if len(chosen) != 1:
        if not members:
            raise BadInput(Message("archive_empty", "The zip archive is empty. Put one table into it and upload it again."))
        raise BadInput(_unclear(len(tables), names))
    member = chosen[0]
    if member.flag_bits & 0x1:
        raise refused("a zip archive with a password", "Pack it without a password and upload it again.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        raise refused("a zip archive packed by an unusual method", "Pack it with the usual one (deflate), or as gzip.")
    others = ", ".join(repr(info.filename[-80:]) for info in members[:10] if info is not member)
    left = f"Of the zip archive, {member.filename[-80:]!r} was read; what is beside it is no table: {others}."
    return member, [Finding("archive_member", "low", left)] if len(members) > 1 else []


def _unclear(tables: int, names: str) -> Message:
    if tables:
        return Message(
            "several_tables_in_archive",
            "The zip archive holds {tables} tables ({names}). Pack the one you want alone, or upload it as it is: {formats}.",
            tables=tables,
            names=names,
            formats=READABLE,
        )
    return Message(
        "no_table_in_archive",
        "The zip archive holds no table by its name ({names}). Pack the one you want alone, or upload it as it is: {formats}.",
        names=names,
        formats=READABLE,
    )


def _is_junk(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return parts[0] == _JUNK[0] or parts[-1] in _JUNK or parts[-1].startswith("._") or not parts[-1]
