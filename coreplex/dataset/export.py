"""Writes a stored table as a file to download: offered in the staging folder, to be fetched by its id within the hour.

What was written once is offered again while it lives: the next one who may see the table, whoever that is, gets an entry of
their own to the same bytes.
"""

import asyncio
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import orjson

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.inputs import TableFormat
from coreplex.dataset.table_tasks import CONTENT_TYPES, TableTasks
from coreplex.platform.client_disconnect import while_connected
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile
from coreplex.platform.storage import gone_on_failure, sha256_of

_making: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()
"""Folders of exports that are being written: who wants the same waits for it."""


async def offer(
    services: Services,
    grant: Grant,
    name: str,
    schema: Mapping[str, Any],
    table: Artifact,
    format: TableFormat,
) -> StagedFile:
    """A stored table in `format`, to be called `name`. Formula cells are made harmless in csv and xlsx.

    Raises Invalid for a table that does not fit into a sheet, QuotaExceeded, CallerLeft when the client hangs up meanwhile.
    """
    if format is TableFormat.parquet:
        written, digest = await whole(services.storage, table), table.sha256
    else:
        written = await while_connected(_written(services, grant, schema, table, format))
        digest = written.name
    return await asyncio.to_thread(
        services.staging.offer_copy,
        written,
        owner_id=grant.user_id,
        filename=f"{label(name)}.{format}",
        content_type=CONTENT_TYPES[format.value],
        sha256=digest,
    )


async def _written(services: Services, grant: Grant, schema: Mapping[str, Any], table: Artifact, format: TableFormat) -> Path:
    """The file with these contents, written now where there is none (charged to who asked first); its name is its SHA-256."""
    said = orjson.dumps([table.sha256, format.value, schema])
    folder = services.staging.root / f"export-{hashlib.sha256(said).hexdigest()}"
    async with _making.setdefault(folder, asyncio.Lock()):
        found = _kept(folder)
        if found is None:
            stored = await whole(services.storage, table)
            path = await TableTasks.of(services).write(stored, schema, format)
            with gone_on_failure(path):
                await asyncio.to_thread(services.staging.charge, path, grant.user_id)
                found = await asyncio.to_thread(_keep, services, path, folder)
        return found


def _kept(folder: Path) -> Path | None:
    """The export in a folder, which lives on for another hour."""
    try:
        os.utime(folder)
        return next(folder.iterdir(), None)
    except FileNotFoundError:
        return None


def _keep(services: Services, path: Path, folder: Path) -> Path:
    """Move an export to where it is looked for, unless another process was quicker."""
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


def label(name: str) -> str:
    """A name as the stem of a file name: nothing a shell, a header or a file system would read as its own."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in name[:100]).strip("._")
    return kept or "dataset"
