"""The inference log on its way to the database: an append-only file per process, so that an answer never waits for it.

A record is in the operating system's hands before the caller has its answer: a killed process loses none. The file is
locked by its process; a file whose lock is free belongs to a process that died, and whoever finds it brings its records home.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from coreplex.identifier import new_id

BATCH_BYTES = 1 << 20
ROTATE_BYTES = 32 << 20


class Spool:
    """One process's file. `append` adds whole lines, `pending` gives those not yet stored, `stored` moves on."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._open()

    def _open(self) -> None:
        self.path = self.folder / f"{new_id()}.jsonl"
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.written = 0
        self.done = 0

    def append(self, lines: bytes) -> None:
        """Add whole lines in one write. Raises OSError when the disk is full."""
        count = os.write(self._file, lines)
        self.written += count
        if count != len(lines):
            os.ftruncate(self._file, self.written - count)
            self.written -= count
            raise OSError("the inference log could not be written whole")

    def pending(self) -> bytes:
        """Whole lines that are not stored yet, about a megabyte at most."""
        return whole_lines(os.pread(self._file, min(BATCH_BYTES, self.written - self.done), self.done))

    def stored(self, size: int) -> None:
        self.done += size
        if self.done > ROTATE_BYTES and self.written - self.done <= BATCH_BYTES:
            self._rotate()

    def _rotate(self) -> None:
        """Go on in a fresh file, so that a busy process's does not grow for ever; what is not stored yet comes along.

        A crash in between leaves those records in both files; each has an id and is stored once.
        """
        path, file = self.path, self._file
        rest = os.pread(file, self.written - self.done, self.done)
        self._open()
        os.write(self._file, rest)
        self.written = len(rest)
        path.unlink(missing_ok=True)
        os.close(file)

    def close(self) -> None:
        """Let go of the file; an empty or finished one is removed."""
        if self.done == self.written:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


def whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


class Orphan:
    """A file left by a process that died; held while its records are brought home."""

    def __init__(self, path: Path, file: int) -> None:
        self.path, self._file = path, file

    def batches(self) -> Iterator[bytes]:
        at = 0
        while batch := whole_lines(os.pread(self._file, BATCH_BYTES, at)):
            yield batch
            at += len(batch)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)


def orphans(folder: Path) -> Iterator[Orphan]:
    """Files of dead processes, each locked so that no other process takes it too."""
    for path in sorted(folder.glob("*.jsonl")):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        yield Orphan(path, file)
