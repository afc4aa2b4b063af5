"""Files on their way in or out, before they belong to anything.

An upload is streamed here and named by an id; the GraphQL mutation that uses it gets only that id. An export is put here and
downloaded by its id. Each has an owner and lives an hour (`STAGED_FILE_HOURS`); `sweep` removes the rest.
"""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import orjson

from coreplex.errors.disk import refuse_when_full
from coreplex.errors.tree import NotFound, TooLarge
from coreplex.platform.identifier import new_id, parse_id
from coreplex.platform.staging_quota import StagingQuota, in_words
from coreplex.platform.storage import disk_errors, gone_on_failure

PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A file that waits: `path` on this machine, `filename` as the user calls it."""

    id: UUID
    owner_id: UUID
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    path: Path


class Staging:
    """The folder of files on their way."""

    def __init__(self, quota: StagingQuota, lifetime_secs: float) -> None:
        self.root = quota.staging
        self.quota = quota
        self.lifetime_secs = lifetime_secs

    def new_path(self) -> Path:
        """A fresh private path for a file that is being made."""
        return self.root / f"{new_id()}.part"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder for the time of the block: whoever writes there may be killed, and nothing is left."""
        folder = self.root / f"{new_id()}.scratch"
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def receive(self, chunks: AsyncIterator[bytes], *, owner_id: UUID, filename: str, limit: int) -> StagedFile:
        """Stream an upload to disk, hashing and counting. Raises TooLarge beyond `limit` bytes, QuotaExceeded; leaves nothing
        then."""
        path, piece = self.quota.part(new_id(), owner_id), bytearray()
        digest, size = hashlib.sha256(), 0
        try:
            with disk_errors(), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise TooLarge(f"The file is larger than the limit of {in_words(limit)}.")
                    piece += chunk
                    if len(piece) >= PIECE_BYTES:
                        await asyncio.to_thread(self._take, file, owner_id, digest, piece)
                        piece = bytearray()
                await asyncio.to_thread(self._take, file, owner_id, digest, piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return self._register(path, owner_id, filename, "application/octet-stream", size, digest.hexdigest())

    def _take(self, file: BinaryIO, owner_id: UUID, digest: "hashlib._Hash", piece: bytearray) -> None:
        """Write and hash, in a thread: a busy disk makes writers wait. The file has its new size before it has the bytes."""
        refuse_when_full(self.root)
        with self.quota.taking(owner_id, len(piece)):
            os.ftruncate(file.fileno(), file.tell() + len(piece))
        file.write(piece)
        file.flush()
        digest.update(piece)

    def charge(self, path: Path, owner_id: UUID) -> None:
        """Count a file made at `new_path()` for as long as staged files live as bytes of the account. Raises QuotaExceeded."""
        with self.quota.taking(owner_id, path.stat().st_size):
            os.link(path, self.quota.part(new_id(), owner_id))

    def offer_copy(
        self, source: Path, *, owner_id: UUID, filename: str, content_type: str, sha256: str, identity: UUID | None = None
    ) -> StagedFile:
        """Offer a stored file without copying its bytes where the file system can link; under a new id if it has none."""
        # A resumable upload was counted until now; what lies in storage, or was charged, is not counted again.
        path = self.quota.part(new_id(), owner_id) if identity else self.new_path()
        with disk_errors():
            try:
                os.link(source, path)
            except OSError:  # another disk, or one that knows no links
                refuse_when_full(self.root)
                with gone_on_failure(path):
                    shutil.copyfile(source, path)
        return self._register(path, owner_id, filename, content_type, path.stat().st_size, sha256, identity)

    def open(self, file_id: str | UUID, owner_id: UUID, noun: str = "File") -> StagedFile:
        """The file, if it is there and the caller's own; NotFound otherwise."""
        identity = parse_id(file_id, noun)
        try:
            facts = orjson.loads((self.root / f"{identity}.json").read_bytes())
            path = self.root / facts["path"]
            if UUID(facts["owner_id"]) != owner_id or not path.is_file():
                raise NotFound.of(noun)
        except (FileNotFoundError, orjson.JSONDecodeError):
            raise NotFound.of(noun) from None
        return StagedFile(
            identity, owner_id, facts["filename"], facts["content_type"], facts["size_bytes"], facts["sha256"], path
        )

    def discard(self, file: StagedFile) -> None:
        (self.root / f"{file.id}.json").unlink(missing_ok=True)
        file.path.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove what nobody fetched or used; returns how many files went."""
        horizon, gone = time.time() - self.lifetime_secs, 0
        for path in self.root.iterdir():
            try:
                if path.stat().st_mtime < horizon:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                    gone += 1
            except FileNotFoundError:
                continue
        return gone

    def _register(
        self,
        path: Path,
        owner_id: UUID,
        filename: str,
        content_type: str,
        size: int,
        sha256: str,
        identity: UUID | None = None,
    ) -> StagedFile:
        os.utime(path)
        file = StagedFile(identity or new_id(), owner_id, clean_filename(filename), content_type, size, sha256, path)
        facts = {"owner_id": str(owner_id), "filename": file.filename, "content_type": content_type}
        facts |= {"size_bytes": size, "sha256": sha256, "path": path.name}  # type: ignore[dict-item]
        sidecar = self.root / f"{file.id}.json"
        with disk_errors(), gone_on_failure(path):
            aside = sidecar.with_suffix(".tmp")
            aside.write_bytes(orjson.dumps(facts))
            aside.replace(sidecar)
        return file


def clean_filename(name: str) -> str:
    """A user's file name as a label, never as a path: last segment, no control characters, the last 200 of its characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[-200:] or "file"
