"""The result of a batch: as a file to download, and as a dataset."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coreplex.batch.inputs import SaveBatch
from coreplex.batch.service import open_result
from coreplex.batch.table import PredictionBatch
from coreplex.dataset import export
from coreplex.dataset.ingest import StoredTable, from_stored
from coreplex.dataset.inputs import TableFormat
from coreplex.dataset.table import VersionSource
from coreplex.dataset.versions import NewVersion
from coreplex.engines.scoring.columns import ERROR
from coreplex.engines.tabular.schema import ColumnType
from coreplex.errors.tree import Invalid, Message
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile

SHEET_ROWS = 200_000
"""Of a workbook: a larger one takes minutes to write and a spreadsheet program as long to open."""


async def offer(services: Services, grant: Grant, batch_id: str, format: TableFormat) -> StagedFile:
    """The result in a format, for an hour. Raises Conflict while there is none, Invalid for one that is too long for a sheet."""
    async with services.database.read() as session:
        batch, artifact = await open_result(session, grant, batch_id)
    if format is TableFormat.xlsx and (batch.row_count or 0) > SHEET_ROWS:
        raise Invalid.field(_too_long(batch.row_count or 0), "format")
    return await export.offer(services, grant, batch.result_name, batch.result_schema, artifact, format)


def _too_long(rows: int) -> Message:
    return Message(
        "batch_too_long_for_sheet",
        "the result has {rows:,} rows, and a workbook is written with {most:,} at most; take csv or parquet",
        rows=rows,
        most=SHEET_ROWS,
    )


@asynccontextmanager
async def as_version(services: Services, grant: Grant, wanted: SaveBatch) -> AsyncIterator[NewVersion]:
    """The result as a dataset, or as a further version of one. Raises as `offer`, and as an upload does."""
    async with services.database.read() as session:
        batch, artifact = await open_result(session, grant, wanted.batch_id)
        types = await _types(session, batch)
    table = StoredTable(
        artifact=artifact,
        source=VersionSource.prediction,
        schema=_known(batch),
        types=types,
        project_id=batch.project_id,
        dataset_id=wanted.dataset_id,
        name=wanted.name,
        description=wanted.description,
        left_out=() if batch.refused_row_count else (ERROR,),
    )
    async with from_stored(services, grant, table) as new:
        yield new


def _known(batch: PredictionBatch) -> dict[str, object] | None:
    """The columns whose types a dataset has already settled; of a file they are judged as those of an upload."""
    if not batch.of_dataset:
        return None
    return {"columns": [one for one in batch.result_schema["columns"] if not one["name"].startswith("prediction")]}


async def _types(session: ReadSession, batch: PredictionBatch) -> dict[str, ColumnType]:
    """Times of a file of texts, which the model's own columns tell apart."""
    model = None if batch.of_dataset or batch.model_id is None else await session.get(Model, batch.model_id)
    times = {one["name"] for one in model.features if one.get("type") == ColumnType.datetime} if model else set()
    texts = {one["name"] for one in batch.result_schema["columns"] if one["dtype"] == "string"}
    return dict.fromkeys(times & texts, ColumnType.datetime)
