"""Counts how many bytes of one account are staged or promised to its resumable uploads, and refuses more than it may have.

There is no book about it that could be wrong: names of files say whose they are, the file system says how large they are.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from coreplex.errors.tree import QuotaExceeded


def in_words(limit: int) -> str:
    """A limit as people say it: 500 MB, 2,000 bytes."""
    return f"{limit / 1024**2:,.0f} MB" if limit >= 1024**2 else f"{limit:,} bytes"


class StagingQuota:
    """Of all accounts, for every process on this machine: `staging` holds `<id>.<owner>.part` files, and `uploads` an empty
    `<id>.<owner>.<length>.room` beside each resumable upload."""

    def __init__(self, staging: Path, uploads: Path, most: int) -> None:
        self.staging, self.uploads, self.most = staging, uploads, most
        for folder in (staging, uploads):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def taking(self, owner: UUID, size: int) -> Iterator[None]:
        """Room for `size` more bytes, which the block makes visible: by a file's size or name. One at a time, so short.

        Raises QuotaExceeded.
        """
        folder = os.open(self.staging, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if (held := self.held(owner)) + size > self.most:
                raise QuotaExceeded(
                    f"Your uploads and exports that wait to be used or fetched hold {held:,} bytes, and this would add {size:,}; "
                    f"MAX_STAGED_BYTES allows {self.most:,}. Use them, or wait until they go by themselves."
                )
            yield
        finally:
            os.close(folder)

    def held(self, owner: UUID) -> int:
        """Bytes on their way."""
        return sum(_size(self.staging / name) for name in _names(self.staging, owner, ".part")) + sum(
            int(name.split(".")[2]) for name in self.unfinished(owner)
        )

    def unfinished(self, owner: UUID) -> list[str]:
        """The names that the account's resumable uploads have here."""
        return _names(self.uploads, owner, ".room")

    def part(self, identity: UUID, owner: UUID) -> Path:
        """Where a staged file of the account is."""
        return self.staging / f"{identity}.{owner}.part"

    def announce(self, identity: UUID, owner: UUID, length: int) -> None:
        """Make a resumable upload visible as the bytes it will have."""
        (self.uploads / f"{identity}.{owner}.{length}.room").touch(0o600)

    def withdraw(self, identity: UUID) -> None:
        for path in self.uploads.glob(f"{identity}.*.room"):
            path.unlink(missing_ok=True)


def _names(folder: Path, owner: UUID, ending: str) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(ending) and f".{owner}." in name]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
