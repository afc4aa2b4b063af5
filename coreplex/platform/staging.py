"""Files on their way in or out, before they belong to anything, and how many bytes of them one account may have.

An upload is streamed here and named by an id; the GraphQL mutation that uses it gets only that id. An export is put here and
downloaded by its id. Each has an owner and lives an hour (`STAGED_FILE_HOURS`); `sweep` removes the rest. There is no book about
an account's bytes that could be wrong: names of files say whose they are, the file system says how large they are.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import orjson

from coreplex.errors.disk import refuse_when_full
from coreplex.errors.tree import Message, NotFound, QuotaExceeded, TooLarge
from coreplex.platform.identifier import new_id, parse_id
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

    def __init__(self, quota: "StagingQuota", lifetime_secs: float) -> None:
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

    async def receive(
        self,
        chunks: AsyncIterator[bytes],
        *,
        owner_id: UUID,
        filename: str,
        limit: int,
        too_large: Callable[[int], TooLarge] | None = None,
    ) -> StagedFile:
        """Stream an upload to disk, hashing and counting. Raises TooLarge beyond `limit` bytes, QuotaExceeded; leaves nothing
        then."""
        path, piece = self.quota.part(new_id(), owner_id), bytearray()
        digest, size = hashlib.sha256(), 0
        try:
            with disk_errors(), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit:
                        raise (too_large or file_too_large)(limit)
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

    def second_name(self, path: Path) -> Path:
        """Another name for staged bytes, to be moved into storage while the upload stays until the commit. Raises NotFound."""
        name = self.new_path()
        try:
            os.link(path, name)
        except FileNotFoundError:
            raise NotFound.of("Upload") from None
        except OSError:
            return path
        return name

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


class StagingQuota:
    """Counts what each account has on its way, for every process on this machine.

    `staging` holds `<id>.<owner>.part` files, and `uploads` an empty `<id>.<owner>.<length>.room` beside each resumable upload.
    """

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
                    Message(
                        "no_room_for_staged_file",
                        "Your uploads and exports that wait to be used or fetched hold {held:,} bytes, and this would add "
                        "{size:,}; MAX_STAGED_BYTES allows {most:,}. Use them, or wait until they go by themselves.",
                        held=held,
                        size=size,
                        most=self.most,
                    )
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


def clean_filename(name: str) -> str:
    """A user's file name as a label, never as a path: last segment, no control characters, the last 200 of its characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[-200:] or "file"


def file_too_large(limit: int) -> TooLarge:
    return TooLarge(Message("file_too_large", "The file is larger than the limit of {limit}.", limit=_in_words(limit)))


def rows_too_large(limit: int) -> TooLarge:
    """The refusal of a file of rows to predict: there are other ways for more of them."""
    return TooLarge(
        Message(
            "rows_file_too_large",
            "The file is larger than the limit of {limit} for rows to predict. Send it as Parquet, which is a fraction of the "
            "size, or upload it as a dataset and name its version (dataset_version_id).",
            limit=_in_words(limit),
        )
    )


def _in_words(limit: int) -> str:
    """A limit as people say it: 500 MB, 2,000 bytes."""
    return f"{limit / 1024**2:,.0f} MB" if limit >= 1024**2 else f"{limit:,} bytes"
