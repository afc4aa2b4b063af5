"""Append-only files of inference log entries on their way to the database, so that an answer never waits for it.

A record is in the operating system's hands before the caller has its answer: a killed process loses none. It is on the disk
`SYNC_SECS` later, or two syncs of the disk later where that takes longer: a power cut loses at most those records.

Each file is locked by its process from before it has its name; a file whose lock is free belongs to a process that died, and
whoever finds it stores its records. A file is removed when every byte of it is accounted for.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Self

import structlog

from coreplex.errors.disk import refuse_when_full
from coreplex.platform.identifier import new_id
from coreplex.platform.storage import make_folder, sync

log = structlog.get_logger()

BATCH_BYTES = 1 << 20
ROTATE_BYTES = 32 << 20
SYNC_SECS = 0.1
LOOK_SECS, LOOK_BYTES = 0.2, 4 << 20
"""How often an appending process looks at how full the disk is."""
RESERVE_PART = 0.25
"""The log still grows where uploads do not any more: into three quarters of what they leave free."""


def spool_in(data_dir: Path) -> Path:
    """The folder of the files of all processes."""
    return data_dir / "spool"


class Segment:
    """One file of whole lines, held by this process. Bytes up to `end` are acknowledged, those up to `done` accounted for."""

    def __init__(self, path: Path, file: int, end: int = 0) -> None:
        self.path, self.file = path, file
        self.end, self.done, self.synced = end, 0, 0
        self.broken = False

    @classmethod
    def create(cls, folder: Path) -> Self:
        """A fresh file, locked before others can find it under its name."""
        while True:
            path = folder / f"{new_id()}.jsonl"
            unnamed = path.with_suffix(".new")
            file = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            with suppress(BlockingIOError, FileNotFoundError):  # another process took it for left behind and removes it
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                unnamed.rename(path)
                return cls(path, file)
            os.close(file)

    @classmethod
    def adopt(cls, path: Path) -> Self | None:
        """A file whose process died. None when its process lives, or another one has taken or removed it."""
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            state = os.fstat(file)
            if os.path.samestat(state, path.stat()):  # else whoever held the lock before us has removed it
                return cls(path, file, state.st_size)
        os.close(file)
        return None

    def append(self, lines: bytes) -> None:
        """Add whole lines. Raises OSError when the disk does not take them; none of them is in the file then."""
        try:
            written = os.write(self.file, lines)
            while written < len(lines):  # the disk is nearly full: the next write says why
                written += os.write(self.file, lines[written:])
        except OSError:
            self.broken = True
            os.ftruncate(self.file, self.end)
            self.broken = False
            raise
        self.end += written

    def pending(self) -> bytes:
        """Whole lines not accounted for: as many as a megabyte holds, but one at least. Empty behind the last line end."""
        size = BATCH_BYTES
        while self.done < self.end:
            data = os.pread(self.file, min(size, self.end - self.done), self.done)
            lines = data[: data.rfind(b"\n") + 1]
            if lines or len(data) < size:
                return lines
            size *= 2
        return b""

    def torn(self) -> bytes:
        """What stands behind the last line end: its process was killed within a write, and had not acknowledged it."""
        return os.pread(self.file, self.end - self.done, self.done)

    def account(self, size: int) -> None:
        """The next `size` bytes are stored, or set aside."""
        self.done += size

    def close(self) -> None:
        """Let go of the file; it is removed when all of it is accounted for."""
        if self.done >= self.end:
            self.path.unlink(missing_ok=True)
        os.close(self.file)


class Spool:
    """One process's files: the last one grows, those before it wait for their records to be stored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._segments: list[Segment] = []
        self._look_at, self._look_within = 0.0, 0
        self._syncing = ThreadPoolExecutor(1, "inference-log-sync")
        """A thread of its own: the loop's others may all be at work for seconds."""

    @property
    def waiting(self) -> bool:
        """Whether records are not accounted for yet."""
        return any(segment.done < segment.end for segment in self._segments)

    def append(self, lines: bytes) -> None:
        """Add whole lines. Raises OSError or StorageFull when there is no room; none of them is logged then."""
        self._look_within -= len(lines)
        if self._look_within < 0 or time.monotonic() >= self._look_at:
            self._look()
        self._growing().append(lines)

    def _look(self) -> None:
        make_folder(self.folder)
        refuse_when_full(self.folder, RESERVE_PART)
        self._look_at, self._look_within = time.monotonic() + LOOK_SECS, LOOK_BYTES

    def _growing(self) -> Segment:
        """The file to append to: a fresh one when the last has become long, or cannot be trusted."""
        last = self._segments[-1] if self._segments else None
        if last is not None and not last.broken and last.end < ROTATE_BYTES:
            return last
        try:
            self._segments.append(Segment.create(self.folder))
        except OSError:
            if last is None or last.broken:
                raise
        return self._segments[-1]

    def segments(self) -> Iterator[Segment]:
        """The files in their order; one that is accounted for is removed as the next is asked for, the last when it is long."""
        for segment in list(self._segments):
            yield segment
            if segment.done >= segment.end and (segment is not self._segments[-1] or segment.end >= BATCH_BYTES):
                self._segments.remove(segment)
                segment.close()

    async def sync(self) -> None:
        """Have the disk hold what was appended so far, in a thread; what the database holds already is left out."""
        for segment in list(self._segments):
            end = segment.end
            if end <= max(segment.synced, segment.done):
                continue
            try:
                await self._sync(segment)
            except OSError as error:
                segment.broken = True  # pages that failed once count as clean: the next sync would say nothing of them
                log.error("inference_log_not_synced", error=repr(error), bytes=end - segment.synced)
            segment.synced = end

    async def _sync(self, segment: Segment) -> None:
        file = os.dup(segment.file)  # the segment may be closed meanwhile, and its number given to another file
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._syncing, getattr(os, "fdatasync", os.fsync), file)
            if not segment.synced:
                await loop.run_in_executor(self._syncing, sync, self.folder)
        finally:
            os.close(file)

    def close(self) -> None:
        """Let go of the files; those that are accounted for are removed."""
        for segment in self._segments:
            segment.close()
        self._segments.clear()
        self._syncing.shutdown(wait=False)


def left_behind(folder: Path) -> int:
    """Bytes in files of processes that died, which the next server that runs will store. Takes none of them."""
    total = 0
    for path in folder.glob("*.jsonl"):
        segment = Segment.adopt(path)
        if segment is not None:
            total += segment.end
            os.close(segment.file)
    return total


def orphans(folder: Path) -> Iterator[Segment]:
    """Files of processes that died, each held by us until it is closed."""
    for path in sorted(folder.glob("*.new")):  # its process died before it had written anything
        unnamed = Segment.adopt(path)
        if unnamed is not None:
            unnamed.close()
    for path in sorted(folder.glob("*.jsonl")):
        segment = Segment.adopt(path)
        if segment is not None:
            yield segment
