"""Files that are made to be downloaded: what was made once is offered again while it lives, whoever asks next.

Each who may see the thing gets an entry of their own to the same bytes; they are charged to who asked first.
"""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from weakref import WeakValueDictionary

from coreplex.platform.client_disconnect import while_connected
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.storage import gone_on_failure, sha256_of

_making: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
"""Folders of files that are being made: who wants the same waits for it."""


async def made_once(services: Services, grant: Grant, said: bytes, make: Callable[[], Awaitable[Path]]) -> Path:
    """The file that follows from what was `said`, made now where there is none; its name is its SHA-256.

    `make`: writes it to a `Staging.new_path`. Raises QuotaExceeded, CallerLeft when the client hangs up meanwhile.
    """
    folder = services.staging.root / f"export-{hashlib.sha256(said).hexdigest()}"
    return await while_connected(_made(services, grant, folder, make))


async def _made(services: Services, grant: Grant, folder: Path, make: Callable[[], Awaitable[Path]]) -> Path:
    async with _making.setdefault(folder, asyncio.Lock()):
        found = _kept(folder)
        if found is None:
            path = await make()
            with gone_on_failure(path):
                await asyncio.to_thread(services.staging.charge, path, grant.user_id)
                found = await asyncio.to_thread(_keep, services, path, folder)
        return found


def _kept(folder: Path) -> Path | None:
    """The file in a folder, which lives on for another hour."""
    try:
        os.utime(folder)
        return next(folder.iterdir(), None)
    except FileNotFoundError:
        return None


def _keep(services: Services, path: Path, folder: Path) -> Path:
    """Move a file to where it is looked for, unless another process was quicker."""
    digest = sha256_of(path)
    with services.staging.scratch() as aside:
        path.replace(aside / digest)
        try:
            aside.rename(folder)
        except OSError:
            kept = _kept(folder)
            if kept is None:
                raise
            return kept
    return folder / digest


def label(name: str, otherwise: str) -> str:
    """A name as the stem of a file's: nothing a shell, a header or a file system would read as its own."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in name[:120]).strip("._")
    return kept or otherwise
