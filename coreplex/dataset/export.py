"""Writes a stored table as a file to download: offered in the staging folder, to be fetched by its id within the hour."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from coreplex.artifact.made_files import label, made_once
from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.inputs import TableFormat
from coreplex.dataset.table_tasks import CONTENT_TYPES, TableTasks
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile


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
        written = await _written(services, grant, schema, table, format)
        digest = written.name
    return await asyncio.to_thread(
        services.staging.offer_copy,
        written,
        owner_id=grant.user_id,
        filename=f"{label(name, 'dataset')}.{format}",
        content_type=CONTENT_TYPES[format.value],
        sha256=digest,
    )


async def _written(services: Services, grant: Grant, schema: Mapping[str, Any], table: Artifact, format: TableFormat) -> Path:
    async def make() -> Path:
        return await TableTasks.of(services).write(await whole(services.storage, table), schema, format)

    return await made_once(services, grant, orjson.dumps([table.sha256, format.value, schema]), make)
