"""From a file to a version: read it in a child, put the files into storage, hand the caller rows to insert.

The files are stored before the rows that name them, so a row never points at nothing; when the rows do not come to be, the
files go again. The caller opens the transaction: `async with from_upload(…) as new: … add_version(session, …)`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import structlog

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact, ArtifactKind
from coreplex.dataset import column_overrides
from coreplex.dataset.inputs import MarkMissing, OverrideColumnTypes, UploadDataset
from coreplex.dataset.table import Dataset, DatasetVersion, VersionSource
from coreplex.dataset.table_tasks import CONTENT_TYPES, Table, TableTasks
from coreplex.dataset.versions import ANY_ROOM, NewVersion, upload_target, version_or_latest
from coreplex.engines.tabular.read.interface import Overrides
from coreplex.engines.tabular.schema import ColumnType, TableSchema
from coreplex.errors.tree import FieldError, Invalid
from coreplex.job.service import enqueue_removal
from coreplex.membership import quota
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.staging import StagedFile
from coreplex.platform.storage import gone_on_failure, sha256_of

log = structlog.get_logger()

CLEANED_AFTER = timedelta(hours=1)
"""How long after it was stored a file without a row is removed: longer than any upload takes."""


@asynccontextmanager
async def from_upload(services: Services, grant: Grant, wanted: UploadDataset) -> AsyncIterator[NewVersion]:
    """A new version from a staged upload, for a new dataset or a further version of one.

    Raises NotFound and Forbidden before the file is read; BadInput and Invalid when it is refused. The staged file is used up
    by a success only.
    """
    async with services.database.read() as session:
        target = await upload_target(session, grant, wanted.project_id, wanted.dataset_id, services.settings)
    dataset = None if target.dataset_id else _new_dataset(grant, target.project_id, wanted.name, wanted.description)
    upload = services.upload(wanted.upload_id, grant.user_id)
    with column_overrides.placed(wanted.columns or []):
        table = await TableTasks.of(services).read(
            upload.path, upload.filename, column_overrides.of_upload(wanted), sheet=wanted.sheet
        )
    with gone_on_failure(table.path):
        column_overrides.check_emptied(wanted.columns or [], table.profile, force=wanted.force)
    dataset_id = dataset.id if dataset else target.dataset_id
    assert dataset_id is not None
    new = NewVersion(_new_version(grant, table, target.project_id, dataset_id, VersionSource.upload, upload.size_bytes), dataset)
    raw = _raw_artifact(new, upload, table)
    new.version.upload_artifact_id = raw.id
    async with _stored(services, grant, new, table, (raw, upload)):
        yield new
    services.staging.discard(upload)


@asynccontextmanager
async def from_overrides(services: Services, grant: Grant, wanted: OverrideColumnTypes) -> AsyncIterator[NewVersion]:
    """A new version of the same file with some columns read otherwise; what a person said earlier of the others stays."""
    parent, origin = await _parent(services, grant, wanted)
    said = column_overrides.of_override(wanted, TableSchema.from_json(parent.table_schema))
    with column_overrides.placed(wanted.columns or []):
        table = await _read_again(services, parent, origin, said)
    with gone_on_failure(table.path):
        column_overrides.check_emptied(wanted.columns or [], table.profile, force=wanted.force)
    async with _from_parent(services, grant, parent, table) as new:
        yield new


@asynccontextmanager
async def from_marks(services: Services, grant: Grant, wanted: MarkMissing) -> AsyncIterator[NewVersion]:
    """A new version of the same file in which more values are missing. Raises Invalid for a value that no cell holds."""
    parent, origin = await _parent(services, grant, wanted)
    marks = column_overrides.offered(parent.quality) if wanted.columns is None else wanted.columns
    said = column_overrides.of_marks(marks, TableSchema.from_json(parent.table_schema), wanted.force)
    with column_overrides.placed(marks):
        table = await _read_again(services, parent, origin, said)
    with gone_on_failure(table.path):
        column_overrides.check_marks(marks, parent.profile, table.profile, force=wanted.force)
    async with _from_parent(services, grant, parent, table) as new:
        yield new


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table that is stored already, and where it is to go: a new dataset of that name, or a further version of one."""

    artifact: Artifact
    source: VersionSource
    schema: Mapping[str, Any] | None
    """Of its columns, or of some of them, whose types and spellings are known."""
    types: Mapping[str, ColumnType]
    """What columns are that would be taken for something else."""
    project_id: UUID
    dataset_id: str | None
    name: str | None
    description: str | None
    left_out: Sequence[str] = ()
    """Columns that stay behind."""


@asynccontextmanager
async def from_stored(services: Services, grant: Grant, wanted: StoredTable) -> AsyncIterator[NewVersion]:
    """A new version from a table that another concept made. Raises as `from_upload`."""
    async with services.database.read() as session:
        target = await upload_target(session, grant, str(wanted.project_id), wanted.dataset_id, services.settings)
    new_one = None if target.dataset_id else _new_dataset(grant, target.project_id, wanted.name, wanted.description)
    said = Overrides(types=wanted.types, force=True, left_out=tuple(wanted.left_out))
    source = await whole(services.storage, wanted.artifact)
    table = await TableTasks.of(services).read(source, wanted.artifact.filename, said, wanted.schema)
    dataset_id = new_one.id if new_one else target.dataset_id
    assert dataset_id is not None
    size = wanted.artifact.size_bytes
    new = NewVersion(_new_version(grant, table, target.project_id, dataset_id, wanted.source, size), new_one)
    async with _stored(services, grant, new, table):
        yield new


@asynccontextmanager
async def from_outcomes(
    services: Services, grant: Grant, version_id: UUID, rows: Path, target: str
) -> AsyncIterator[tuple[NewVersion, int]]:
    """A new version: a former one with rows appended that a deployment was asked, and how many there are.

    rows: JSON lines, as `TableTasks.append` takes them. Raises Invalid, Damaged, QuotaExceeded.
    """
    async with services.database.read() as session:
        parent = await version_or_latest(session, grant, str(version_id), None)
        await quota.require_room(session, services.settings, parent.project_id, ANY_ROOM)
        artifact = await session.get_one(Artifact, parent.artifact_id)
    tasks = TableTasks.of(services)
    longer, appended, _ = await tasks.append(await whole(services.storage, artifact), parent.table_schema, rows, target)
    with gone_on_failure(longer):
        table = await tasks.read(longer, artifact.filename, Overrides(force=True), parent.table_schema)
    longer.unlink(missing_ok=True)
    size = table.path.stat().st_size
    new = NewVersion(_new_version(grant, table, parent.project_id, parent.dataset_id, VersionSource.outcomes, size))
    new.version.parent_version_id = parent.id
    async with _stored(services, grant, new, table):
        yield new, appended


async def _parent(services: Services, grant: Grant, wanted: OverrideColumnTypes | MarkMissing) -> tuple[DatasetVersion, Artifact]:
    """The version to read again, and the file it was read from."""
    async with services.database.read() as session:
        parent = await version_or_latest(session, grant, wanted.version_id, wanted.dataset_id)
        await quota.require_room(session, services.settings, parent.project_id, ANY_ROOM)
        return parent, await session.get_one(Artifact, parent.upload_artifact_id or parent.artifact_id)


async def _read_again(services: Services, parent: DatasetVersion, origin: Artifact, said: Overrides) -> Table:
    source = await whole(services.storage, origin)
    schema = None if parent.upload_artifact_id else parent.table_schema
    sheet = parent.read_options.get("sheet") if parent.upload_artifact_id else None
    return await TableTasks.of(services).read(source, origin.filename, said, schema, sheet)


@asynccontextmanager
async def _from_parent(services: Services, grant: Grant, parent: DatasetVersion, table: Table) -> AsyncIterator[NewVersion]:
    version = _new_version(grant, table, parent.project_id, parent.dataset_id, VersionSource.override, parent.size_bytes)
    version.file_format = parent.file_format
    version.read_options = parent.read_options
    version.upload_artifact_id = parent.upload_artifact_id
    version.parent_version_id = parent.id
    new = NewVersion(version)
    async with _stored(services, grant, new, table):
        yield new


def _new_dataset(grant: Grant, project_id: UUID, name: str | None, description: str | None) -> Dataset:
    if name is None:
        raise Invalid.fields([FieldError.missing("name")])
    return Dataset(project_id=project_id, name=name, description=description or "", created_by=grant.user_id)


def _new_version(
    grant: Grant, table: Table, project_id: UUID, dataset_id: UUID, source: VersionSource, size_bytes: int
) -> DatasetVersion:
    version = DatasetVersion(
        project_id=project_id,
        dataset_id=dataset_id,
        version=0,  # numbered when it is inserted
        row_count=table.row_count,
        column_count=table.column_count,
        size_bytes=size_bytes,
        file_format=table.format,
        source=source,
        quality_score=table.quality["overall_score"],
        table_schema=table.schema,
        profile=table.profile,
        quality=table.quality,
        read_options={"sheet": table.sheet} if table.sheet is not None else {},
        created_by=grant.user_id,
    )
    column_overrides.attach_calls(version)
    return version


def _raw_artifact(new: NewVersion, upload: StagedFile, table: Table) -> Artifact:
    """The file as uploaded. Its id follows from the upload's, so that the database lets no upload become two versions."""
    return Artifact(
        id=uuid5(upload.id, "artifact"),
        project_id=new.version.project_id,
        kind=ArtifactKind.upload,
        storage_key=f"{new.folder}/upload.{table.format}",
        filename=upload.filename,
        content_type=CONTENT_TYPES[table.format.rpartition(".")[2]],  # the outermost layer counts: csv.gz is gzip
        sha256=upload.sha256,
        size_bytes=upload.size_bytes,
    )


@asynccontextmanager
async def _stored(
    services: Services, grant: Grant, new: NewVersion, table: Table, raw: tuple[Artifact, StagedFile] | None = None
) -> AsyncIterator[None]:
    """The version's files in storage while the block inserts its rows; gone again when it fails."""
    with gone_on_failure(table.path):
        await _insure(services, grant, new)
        try:
            if raw is not None:
                artifact, upload = raw
                await _put(services, new, artifact, services.staging.second_name(upload.path))
            await _put(services, new, await _table_artifact(new, table), table.path)
            yield
        except BaseException:
            await _take_back(services, new)
            raise


async def _insure(services: Services, grant: Grant, new: NewVersion) -> None:
    """Queue the removal of the files for later; the transaction that makes the version takes it back."""
    async with services.database.transaction() as session:
        cleaning = await enqueue_removal(
            session,
            "dataset_version",
            new.version.id,
            prefix=new.folder,
            created_by=grant.user_id,
            delay=CLEANED_AFTER,
        )
        new.cleaning = cleaning.id


async def _table_artifact(new: NewVersion, table: Table) -> Artifact:
    artifact = Artifact(
        project_id=new.version.project_id,
        kind=ArtifactKind.table,
        storage_key=f"{new.folder}/table.parquet",
        filename="table.parquet",
        content_type=CONTENT_TYPES["parquet"],
        sha256=await asyncio.to_thread(sha256_of, table.path),
        size_bytes=table.path.stat().st_size,
    )
    new.version.artifact_id = artifact.id
    return artifact


async def _put(services: Services, new: NewVersion, artifact: Artifact, path: Path) -> None:
    new.artifacts.append(artifact)
    with gone_on_failure(path):
        await services.storage.put(artifact.storage_key, path)


async def _take_back(services: Services, new: NewVersion) -> None:
    """Remove the files of a new version, unless its rows are there after all (a connection lost while it committed)."""
    try:
        async with services.database.read() as session:
            if await session.get(DatasetVersion, new.version.id) is not None:
                return
        await services.storage.delete_all(new.folder)
    except Exception as error:
        # A file without a row is waste; a row without its file is loss.
        log.warning("dataset_files_left", dataset_id=str(new.version.dataset_id), error=repr(error))
