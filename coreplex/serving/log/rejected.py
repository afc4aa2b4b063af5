"""Keeps entries of the inference log that the database does not take as they are: one file each, for a person to look at."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

import structlog

from coreplex.platform.storage import make_folder, sync
from coreplex.serving.log.json_lines import id_of

MOST_BYTES = 1 << 30
log = structlog.get_logger()


def folder_in(spool: Path) -> Path:
    return spool / "set-aside"


class RejectedEntries:
    """The folder of such entries. Each is named after its id: set aside twice, it is there once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def keep(self, line: bytes, reason: str, kind: str = "jsonl") -> None:
        """Write a line to a file of its own and tell the log. It is on the disk afterwards; raises OSError when it cannot be."""
        path = await asyncio.to_thread(self._write, line, kind)
        log.error("inference_log_set_aside", path=str(path), bytes=len(line), reason=reason)

    def _write(self, line: bytes, kind: str) -> Path:
        make_folder(self.folder)
        path = self.folder / f"{_name(line)}.{kind}"
        part = path.with_suffix(".part")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        sync(self.folder)
        return path


def sweep(folder: Path, before: datetime | None, most_bytes: int = MOST_BYTES) -> int:
    """Remove what was set aside before a moment: it is kept as long as the log it is missing in. Returns how many files went.

    The oldest go too, and the log is told, while all of it is more than `most_bytes`.
    """
    gone, held, total = 0, sorted(_files(folder), key=lambda file: file[1].st_mtime), 0
    for path, state in reversed(held):
        total += state.st_size
        large, old = total > most_bytes, before is not None and state.st_mtime < before.timestamp()
        if large or old:
            path.unlink(missing_ok=True)
            gone += 1
        if large and not old:
            log.error("inference_log_set_aside_removed", path=str(path), bytes=state.st_size, most_bytes=most_bytes)
    return gone


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # another process sweeps too
            yield path, path.stat()


def _name(line: bytes) -> str:
    try:
        return str(UUID(id_of(line)))
    except (ValueError, TypeError, AttributeError):  # no entry, or one whose id is none
        return hashlib.sha256(line).hexdigest()
