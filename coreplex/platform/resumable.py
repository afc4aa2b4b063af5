"""Resumable uploads: a file that grows at its end, however many connections and processes it takes.

All there is to know lies on the disk: the bytes in `<id>.bin`, whose size is the offset, and beside them whose they are and how
long they will be. So a restart loses nothing, and every web process sees the same. A lock of the operating system keeps two
writers apart and ends with its process. A finished upload becomes a staged file of the same id, named to `uploadDataset` by it.
"""

import asyncio
import base64
import binascii
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import orjson

from coreplex.errors.disk import refuse_when_full
from coreplex.errors.tree import BadInput, ChecksumMismatch, Conflict, Locked, Message, NotFound, QuotaExceeded, TooLarge
from coreplex.platform.identifier import new_id, parse_id
from coreplex.platform.staging import PIECE_BYTES, Staging, clean_filename, file_too_large
from coreplex.platform.storage import disk_errors, sha256_of

MOST_UNFINISHED = 20
"""Of one person at a time."""
LOCK_SECS, LOCK_LOOK_SECS = 5.0, 0.1
"""How long a writer waits for another to end: a connection that broke is noticed within that mostly."""
ALGORITHMS = ("sha1", "sha256", "md5")


@dataclass(frozen=True, slots=True)
class Upload:
    """`offset` bytes of `length` are here; with the last one it is a staged file of the same id."""

    id: UUID
    owner_id: UUID
    filename: str
    length: int
    offset: int
    expires_at: float

    @property
    def finished(self) -> bool:
        return self.offset == self.length


class Checksum(NamedTuple):
    """What the bytes of one request must have as their digest."""

    algorithm: str
    digest: bytes

    @classmethod
    def parse(cls, text: str) -> "Checksum":
        """`sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=`. Raises BadInput."""
        algorithm, _, encoded = text.strip().partition(" ")
        try:
            digest = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            digest = b""
        if algorithm not in ALGORITHMS or not digest:
            raise BadInput(
                Message(
                    "upload_checksum_not_readable",
                    "Upload-Checksum must be one of {algorithms}, a blank, and the digest in Base64.",
                    algorithms=ALGORITHMS,
                )
            )
        return cls(algorithm, digest)


class Resumable:
    """The folder of unfinished uploads."""

    def __init__(self, staging: Staging, limit: int, unfinished_secs: float) -> None:
        self.quota = staging.quota
        self.root = self.quota.uploads
        self.staging = staging
        self.limit = limit
        self.unfinished_secs = unfinished_secs
        """How long an upload waits for its next byte: a laptop may sleep for a night."""
        self.lock_secs = LOCK_SECS

    def create(self, owner_id: UUID, filename: str, length: int) -> Upload:
        """A place for a file of `length` bytes. Raises TooLarge, StorageFull, and QuotaExceeded, also for too many open ones."""
        if length > self.limit:
            raise file_too_large(self.limit)
        refuse_when_full(self.root)
        identity = new_id()
        with self.quota.taking(owner_id, length):
            if len(self.quota.unfinished(owner_id)) >= MOST_UNFINISHED:
                raise QuotaExceeded(
                    Message(
                        "too_many_unfinished_uploads",
                        "{most} of your uploads are unfinished; finish one or delete it.",
                        most=MOST_UNFINISHED,
                    )
                )
            self.quota.announce(identity, owner_id, length)
        facts = {"owner_id": str(owner_id), "filename": clean_filename(filename), "length": length}
        try:
            with disk_errors():
                os.close(os.open(self._data(identity), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                aside = self.root / f"{identity}.tmp"
                aside.write_bytes(orjson.dumps(facts))
                aside.replace(self._facts(identity))
        except BaseException:
            self._forget(identity)
            raise
        return self.open(identity, owner_id)

    def open(self, upload_id: str | UUID, owner_id: UUID) -> Upload:
        """The upload as it is now, finished or not. Raises NotFound when there is none or it is another's."""
        identity = parse_id(upload_id, "Upload")
        try:
            facts = orjson.loads(self._facts(identity).read_bytes())
            state = self._data(identity).stat()
        except (FileNotFoundError, orjson.JSONDecodeError):
            staged = self.staging.open(identity, owner_id, "Upload")
            expires = staged.path.stat().st_mtime + self.staging.lifetime_secs
            return Upload(identity, owner_id, staged.filename, staged.size_bytes, staged.size_bytes, expires)
        if facts["owner_id"] != str(owner_id):
            raise NotFound.of("Upload")
        expires = state.st_mtime + self.unfinished_secs
        return Upload(identity, owner_id, facts["filename"], facts["length"], state.st_size, expires)

    def refuse_unfinished(self, upload_id: str, owner_id: UUID) -> None:
        """Raises Conflict when bytes of an upload are missing, NotFound when there is none."""
        upload = self.open(upload_id, owner_id)
        if not upload.finished:
            raise Conflict(
                Message(
                    "upload_not_finished",
                    "The upload is not finished: {missing:,} of {length:,} bytes are still missing. Send them first.",
                    missing=upload.length - upload.offset,
                    length=upload.length,
                )
            )

    async def append(self, upload: Upload, offset: int, chunks: AsyncIterator[bytes], checksum: Checksum | None = None) -> Upload:
        """Write what arrives behind the first `offset` bytes; what came before an error or a lost connection stays.

        With a checksum all of it counts or nothing. Raises Conflict at another offset, Locked while another writer is at it,
        TooLarge beyond the announced length, ChecksumMismatch.
        """
        async with self._locked(upload) as file:
            upload = self.open(upload.id, upload.owner_id)
            if offset != upload.offset:
                raise Conflict(
                    Message(
                        "wrong_upload_offset",
                        "Upload-Offset is {offset}, but {expected} bytes of the upload are here.",
                        offset=offset,
                        expected=upload.offset,
                    )
                )
            try:
                digest = await self._write(file, upload, chunks, checksum)
                if checksum is not None and digest != checksum.digest:
                    raise ChecksumMismatch(
                        Message(
                            "upload_checksum_mismatch",
                            "The bytes that arrived are not those of Upload-Checksum. Send them again.",
                        )
                    )
            except BaseException:
                if checksum is not None:
                    file.truncate(offset)
                raise
            return await self._hand_over(self.open(upload.id, upload.owner_id))

    async def _write(self, file: FileIO, upload: Upload, chunks: AsyncIterator[bytes], checksum: Checksum | None) -> bytes:
        hashed = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum is not None else None
        piece, room = bytearray(), upload.length - upload.offset

        def take() -> None:
            with disk_errors():
                refuse_when_full(self.root)
                rest = memoryview(piece)
                while rest:
                    rest = rest[file.write(rest) :]
                rest.release()
            if hashed is not None:
                hashed.update(piece)
            piece.clear()

        try:
            async for chunk in chunks:
                room -= len(chunk)
                if room < 0:
                    raise TooLarge(
                        Message(
                            "more_bytes_than_announced",
                            "More bytes came than the {length} that Upload-Length announced.",
                            length=upload.length,
                        )
                    )
                piece += chunk
                if len(piece) >= PIECE_BYTES:
                    await asyncio.to_thread(take)
        finally:
            take()  # at most a piece: not to be lost with the connection, nor to wait for a loop that ends
        return hashed.digest() if hashed is not None else b""

    async def finish(self, upload: Upload) -> Upload:
        """The upload, staged if it is whole: the process may have died after its last byte."""
        if upload.finished and self._data(upload.id).exists():
            async with self._locked(upload):
                await self._hand_over(upload)
        return upload

    async def _hand_over(self, upload: Upload) -> Upload:
        """Stage a whole upload, with the hash of all its bytes; another is left as it is. Under its lock."""
        data = self._data(upload.id)
        if upload.finished and data.exists():
            digest = await asyncio.to_thread(sha256_of, data)
            self.staging.offer_copy(
                data,
                owner_id=upload.owner_id,
                filename=upload.filename,
                content_type="application/octet-stream",
                sha256=digest,
                identity=upload.id,
            )
            self._forget(upload.id)
        return upload

    def discard(self, upload: Upload) -> None:
        """Remove an upload, finished or not."""
        self._forget(upload.id)
        with suppress(NotFound):
            self.staging.discard(self.staging.open(upload.id, upload.owner_id, "Upload"))

    def sweep(self) -> int:
        """Remove uploads that got no byte for as long as they may wait; returns how many files went."""
        horizon, gone = time.time() - self.unfinished_secs, 0
        for path in self.root.iterdir():
            data = self.root / f"{path.name.partition('.')[0]}.bin"
            try:
                if (data if data.exists() else path).stat().st_mtime < horizon:
                    path.unlink()
                    gone += 1
            except FileNotFoundError:
                continue
        return gone

    @asynccontextmanager
    async def _locked(self, upload: Upload) -> AsyncIterator[FileIO]:
        """The upload's bytes, for nobody else to write to meanwhile."""
        try:
            file = self._data(upload.id).open("ab", buffering=0)
        except FileNotFoundError:
            raise NotFound.of("Upload") from None
        with file:
            until = time.monotonic() + self.lock_secs
            while not _lock(file):
                if time.monotonic() > until:
                    raise Locked(
                        Message(
                            "upload_locked",
                            "Another request is sending bytes of this upload. Ask for its offset again in a moment.",
                        )
                    )
                await asyncio.sleep(LOCK_LOOK_SECS)
            yield file

    def _forget(self, identity: UUID) -> None:
        self._facts(identity).unlink(missing_ok=True)
        self._data(identity).unlink(missing_ok=True)
        self.quota.withdraw(identity)

    def _data(self, identity: UUID) -> Path:
        return self.root / f"{identity}.bin"

    def _facts(self, identity: UUID) -> Path:
        return self.root / f"{identity}.json"


def _lock(file: FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
