"""Datasets at the GraphQL door. Uploads and exports do their table work before, or without, a transaction."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from coreplex.artifact import service as artifact_service
from coreplex.artifact.table import Artifact
from coreplex.dataset import export, ingest, inputs, service
from coreplex.dataset.draft import Draft
from coreplex.dataset.quality import Judged, of_target
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import NotFound
from coreplex.experiment.table import ProblemType
from coreplex.membership.access import open_row
from coreplex.platform.answer_size import AnswerTooLarge
from coreplex.platform.database import WriteSession
from coreplex.platform.identifier import parse_id
from coreplex.platform.paging import Listing, Page, Slice
from coreplex.platform.permissions import Grant
from coreplex.platform.staging import StagedFile
from resolvers.filtered_list import narrowed
from resolvers.guard import Info, allow
from resolvers.once import act, once


async def one(info: Info, id: str) -> Dataset:
    grant = allow(info)
    async with info.context.read() as session:
        return await open_row(session, grant, Dataset, id, "Dataset")


async def one_version(info: Info, id: str) -> DatasetVersion:
    grant = allow(info)
    async with info.context.read() as session:
        return await open_row(session, grant, DatasetVersion, id, "Dataset version")


async def many(info: Info, page: Page, filter: inputs.DatasetFilter | None) -> Slice[Dataset]:
    grant = allow(info)
    return await narrowed(info, grant, service.listing(grant, filter), page, filter)


def of_projects(info: Info, page: Page) -> tuple[Listing, Page]:
    return service.listing(allow(info)), page


def versions(_info: Info, page: Page) -> tuple[Listing, Page]:
    return service.version_listing(), page


async def latest(info: Info, dataset: Dataset) -> DatasetVersion:
    found = await info.context.loaders.latest_dataset_version.load(dataset.id)
    assert found is not None, "a dataset is made together with its first version"
    return found


async def version(info: Info, dataset: Dataset, id: str | None) -> DatasetVersion:
    """A version of this dataset; the latest when none is named."""
    if id is None:
        return await latest(info, dataset)
    found = await info.context.loaders.dataset_version.load(parse_id(id, "Dataset version"))
    if found is None or found.dataset_id != dataset.id:
        raise NotFound.of("Dataset version")
    return found


async def documents(info: Info, version: DatasetVersion) -> service.Documents:
    return known(await info.context.loaders.dataset_documents.load(version.id))


async def quality(info: Info, version: DatasetVersion, target: str | None, problem_type: ProblemType | None) -> Judged:
    """As judged at the upload; with a target, what it means for predicting that."""
    known = await documents(info, version)
    if target is None:
        return Judged(known.quality)
    return await of_target(info.context.services, version.id, known, target, problem_type)


def known(found: service.Documents | None) -> service.Documents:
    """The documents of a version that is still there."""
    if found is None:
        raise NotFound.of("Dataset version")
    return found


async def preview(info: Info, version: DatasetVersion, rows: int) -> list[dict[str, Any]]:
    """The first rows of the stored table, spelled as uploaded, long cells cut."""
    known = await documents(info, version)
    table = await _table(info, version)
    path = await info.context.services.storage.path(table.storage_key)
    try:
        with info.context.size.reading() as counted:
            return await asyncio.to_thread(_first_rows, path, TableSchema.from_json(known.table_schema), rows, counted.add)
    except AnswerTooLarge:
        raise
    except Exception:
        await artifact_service.whole(info.context.services.storage, table)  # says so if the file is to blame
        raise


def _first_rows(path: Path, schema: TableSchema, rows: int, read: Callable[[int], None]) -> list[dict[str, Any]]:
    # Half a second to import, once, for the only view that reads a table in this process.
    from coreplex.engines.tabular import frame

    return frame.preview(path, schema, rows, read)


async def file(info: Info, dataset_id: str, version_id: str | None, format: inputs.TableFormat) -> StagedFile:
    grant = allow(info)
    dataset = await one(info, dataset_id)
    wanted = await version(info, dataset, version_id)
    schema = (await documents(info, wanted)).table_schema
    table = await _table(info, wanted)
    return await export.offer(info.context.services, grant, dataset, wanted, schema, table, format)


async def _table(info: Info, version: DatasetVersion) -> Artifact:
    found = await info.context.loaders.artifact.load(version.artifact_id)
    assert found is not None, "a version without its table cannot exist"
    return found


async def staged(info: Info, id: str) -> StagedFile:
    return info.context.services.staging.open(id, allow(info).user_id)


async def target(info: Info, project_id: str | None, dataset_id: str | None) -> service.Target:
    grant = allow(info)
    async with info.context.read() as session:
        return await service.upload_target(session, grant, project_id, dataset_id, info.context.services.settings)


async def _added(info: Info, grant: Grant, draft: Draft) -> tuple[Dataset, DatasetVersion]:
    async def add(session: WriteSession) -> tuple[Dataset, DatasetVersion]:
        return await service.add_version(session, grant, draft, info.context.services.settings), draft.version

    return await act(info, add)


@once
async def upload(info: Info, input: inputs.UploadDataset) -> tuple[Dataset, DatasetVersion]:
    grant = allow(info)
    async with ingest.from_upload(info.context.services, grant, input) as draft:
        return await _added(info, grant, draft)


@once
async def override(info: Info, input: inputs.OverrideColumnTypes) -> tuple[Dataset, DatasetVersion]:
    grant = allow(info)
    async with ingest.from_overrides(info.context.services, grant, input) as draft:
        return await _added(info, grant, draft)


@once
async def mark(info: Info, input: inputs.MarkMissing) -> tuple[Dataset, DatasetVersion]:
    grant = allow(info)
    async with ingest.from_marks(info.context.services, grant, input) as draft:
        return await _added(info, grant, draft)


@once
async def update(info: Info, input: inputs.UpdateDataset) -> Dataset:
    grant = allow(info)
    return await act(info, lambda session: service.update(session, grant, input))


@once
async def delete(info: Info, id: str) -> UUID:
    grant = allow(info)
    return await act(info, lambda session: service.delete_one(session, grant, id))


async def artifact(info: Info, id: str) -> Artifact:
    grant = allow(info)
    async with info.context.read() as session:
        return await artifact_service.open_artifact(session, grant, id)


async def artifact_file(info: Info, artifact: Artifact) -> StagedFile:
    return await artifact_service.offer(info.context.services, allow(info), artifact)
