"""A version as a file for people: offered in the staging folder, to be fetched by its id within the hour."""

import asyncio
from collections.abc import Mapping
from typing import Any

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.inputs import TableFormat
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.work import TableWork
from coreplex.permissions import Grant
from coreplex.services import Services
from coreplex.staging import StagedFile
from coreplex.storage import sha256_of

CONTENT_TYPES: Mapping[TableFormat, str] = {
    TableFormat.csv: "text/csv; charset=utf-8",
    TableFormat.parquet: "application/vnd.apache.parquet",
    TableFormat.xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


async def offer(
    services: Services,
    grant: Grant,
    dataset: Dataset,
    version: DatasetVersion,
    schema: Mapping[str, Any],
    table: Artifact,
    format: TableFormat,
) -> StagedFile:
    """The version in `format`, called after its dataset. Formula cells are made harmless in csv and xlsx.

    Raises Invalid for a table that does not fit into a sheet.
    """
    stored = await whole(services.storage, table)
    filename = f"{_label(dataset.name)}_v{version.version}.{format}"
    content_type = CONTENT_TYPES[format]
    if format is TableFormat.parquet:
        return await asyncio.to_thread(
            services.staging.offer_copy,
            stored,
            owner_id=grant.user_id,
            filename=filename,
            content_type=content_type,
            sha256=table.sha256,
        )
    path = await TableWork.of(services).write(stored, schema, format)
    digest = await asyncio.to_thread(sha256_of, path)
    return services.staging.offer(path, owner_id=grant.user_id, filename=filename, content_type=content_type, sha256=digest)


def _label(name: str) -> str:
    """A dataset's name as the stem of a file name: nothing a shell, a header or a file system would read as its own."""
    kept = "".join(c if c.isalnum() or c in "-_." else "_" for c in name[:100]).strip("._")
    return kept or "dataset"
