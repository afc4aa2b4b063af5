"""Files under keys: rows in the database hold keys, never paths.

`LocalStorage` keeps them on this machine's disk. Keys are made by the server (`projects/<uuid>/…`); nothing from a user becomes
part of one. A file appears under its key whole or not at all: written aside, synced, renamed.
"""

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from coreplex.errors.disk import FULL, is_full
from coreplex.errors.tree import Damaged, Message, StorageFull
from coreplex.platform.identifier import new_id

CHUNK = 1 << 20


class Storage(Protocol):
    """Where files live."""

    async def put(self, key: str, source: Path) -> None:
        """Move the local file `source` under `key`; afterwards `source` is gone."""

    async def path(self, key: str) -> Path:
        """A local path to read the file from. Raises Damaged when there is none: rows name only files that were stored."""

    async def delete(self, key: str) -> None:
        """Remove the file; nothing happens if there is none."""

    async def delete_all(self, prefix: str) -> None:
        """Remove every file whose key begins with the folder `prefix`."""


class LocalStorage:
    """Files below one private folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        make_folder(root)

    async def put(self, key: str, source: Path) -> None:
        await asyncio.to_thread(self._put, key, source)

    def _put(self, key: str, source: Path) -> None:
        target = self._locate(key)
        with disk_errors():
            make_folder(target.parent)
            sync(source)
            try:
                os.replace(source, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                aside = target.with_name(f".{new_id().hex}.part")
                with gone_on_failure(aside):
                    shutil.copyfile(source, aside)
                    sync(aside)
                    os.replace(aside, target)
                source.unlink()
            sync(target.parent)

    async def path(self, key: str) -> Path:
        target = self._locate(key)
        if not target.is_file():
            raise Damaged(
                Message(
                    "stored_file_missing", "The stored file is not there any more; the server's administrator may have a backup."
                )
            )
        return target

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._locate(key).unlink, missing_ok=True)

    async def delete_all(self, prefix: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._locate(prefix), ignore_errors=True)

    def _locate(self, key: str) -> Path:
        """Confine the key below the root: plain segments of safe characters only."""
        parts = key.split("/")
        if not all(part and part[0] != "." and all(c.isalnum() or c in "._-" for c in part) for part in parts):
            raise ValueError(f"not a storage key: {key!r}")
        return self.root.joinpath(*parts)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in _chunks(file):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(file: object) -> Iterator[bytes]:
    return iter(lambda: file.read(CHUNK), b"")  # type: ignore[attr-defined]


def make_folder(folder: Path) -> None:
    """Make a private folder with its parents. Each new name is on the disk then: what is synced in it will be found."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True, mode=0o700)
        sync(folder.parent)


def sync(path: Path) -> None:
    """Have the disk hold a file's bytes, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn a full disk into the error a caller understands."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise StorageFull(FULL) from error
        raise


@contextmanager
def gone_on_failure(path: Path) -> Iterator[None]:
    """A file that is being made: removed when the block fails."""
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise
