"""Datasets: what is loaded of them; uploads, exports and previews do their table work before, or without, a transaction."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import strawberry

from coreplex.artifact import service as artifact_service
from coreplex.artifact.made_files import label
from coreplex.artifact.table import Artifact
from coreplex.dataset import explore, export, ingest, inputs, versions
from coreplex.dataset.diagnosis import Judged, quality_for_target
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.version_issues import Issue, Judging, issues, judged_for
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import Invalid, NotFound
from coreplex.experiment.table import ProblemType
from coreplex.platform.answer_size import AnswerTooLarge
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.identifier import parse_id
from coreplex.platform.staging import StagedFile
from resolvers import visible
from resolvers.artifact import artifacts
from resolvers.context import Info, act, once
from resolvers.loading import Asking, Batch, Read, Rows

MaybeVersion = Annotated[strawberry.ID | None, strawberry.argument(description="A version; left out, the latest.")]

datasets = Rows(Dataset)
version_counts = Read(versions.version_counts, missing=0)
"""How many versions there are, by dataset id."""
light_versions = Rows(DatasetVersion, versions.DOCUMENTS)
"""Versions without their documents; those come from `version_documents`."""


async def _documents(session: ReadSession, ids: list[UUID], asking: Asking) -> Mapping[UUID, versions.Documents | None]:
    return await versions.documents(session, ids, asking.size().read)


latest_versions = Read(
    versions.latest, lambda rows: {row.dataset_id: row for row in rows}, table=DatasetVersion, without=versions.DOCUMENTS
)
"""The latest version by dataset id."""
version_documents = Batch(_documents)
"""Schema, profile and quality by version id; of all versions of a request no more than an answer may be made from."""


async def version(root: strawberry.Parent[Dataset], info: Info, id: MaybeVersion = None) -> DatasetVersion:
    """A version of this dataset; the latest when none is named."""
    if id is None:
        latest = await info.context.loaders[latest_versions].load(root.id)
        assert latest is not None, "a dataset is made together with its first version"
        return latest
    found = await info.context.loaders[light_versions].load(parse_id(id, "Dataset version"))
    if found is None or found.dataset_id != root.id:
        raise NotFound.of("Dataset version")
    return found


async def documents(info: Info, version: DatasetVersion) -> versions.Documents:
    return known(await info.context.loaders[version_documents].load(version.id))


async def quality(info: Info, version: DatasetVersion, judging: Judging) -> Judged:
    """As judged at the upload; with a target, what it means for predicting that."""
    known = await documents(info, version)
    if judging.target is None:
        return Judged(known.quality)
    return await quality_for_target(info.context.services, version.id, known, judging.target, judging.problem_type)


async def issue(info: Info, identity: str) -> Issue:
    """An issue by its identifier; its version is judged again. Raises NotFound."""
    judging = judged_for(identity)
    version = await info.context.loaders[visible.versions].load(judging.version_id) if judging else None
    if judging is None or version is None or judging.problem_type not in (None, *ProblemType):
        raise NotFound.of("Dataset issue")
    try:
        judged = await quality(info, version, judging)
    except Invalid:
        raise NotFound.of("Dataset issue") from None
    for one in issues(judging, judged.quality["issues"]):
        if one.id == identity:
            return one
    raise NotFound.of("Dataset issue")


def known(found: versions.Documents | None) -> versions.Documents:
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


async def table_of(info: Info, version: DatasetVersion) -> tuple[Artifact, versions.Documents]:
    """The stored table of a version, and what is known of it."""
    return await _table(info, version), await documents(info, version)


async def difference(info: Info, before: DatasetVersion, to: str) -> tuple[DatasetVersion, dict[str, Any]]:
    """Another version that the caller sees, and what has changed from the one to the other."""
    async with info.context.read() as session:
        after = await versions.open_version(session, info.grant, to)
    sides = await table_of(info, before), await table_of(info, after)
    return after, await explore.difference(info.context.services, *sides)


def _first_rows(path: Path, schema: TableSchema, rows: int, read: Callable[[int], None]) -> list[dict[str, Any]]:
    # Half a second to import, once, for the only view that reads a table in this process.
    from coreplex.engines.tabular import frame

    return frame.preview(path, schema, rows, read)


async def file(
    root: strawberry.Parent[DatasetVersion],
    info: Info,
    format: Annotated[inputs.TableFormat, strawberry.argument(description="Wanted format.")] = inputs.TableFormat.csv,
) -> StagedFile:
    dataset = await info.context.loaders[datasets].load(root.dataset_id)
    if dataset is None:
        raise NotFound.of("Dataset")
    schema = (await documents(info, root)).table_schema
    table = await _table(info, root)
    return await export.offer(
        info.context.services, info.grant, f"{label(dataset.name[:100], 'dataset')}_v{root.version}", schema, table, format
    )


async def _table(info: Info, version: DatasetVersion) -> Artifact:
    found = await info.context.loaders[artifacts].load(version.artifact_id)
    assert found is not None, "a version without its table cannot exist"
    return found


async def target(
    info: Info,
    project_id: Annotated[strawberry.ID | None, strawberry.argument(description="Project of a new dataset.")] = None,
    dataset_id: Annotated[strawberry.ID | None, strawberry.argument(description="Dataset to get a version.")] = None,
) -> versions.Target:
    async with info.context.read() as session:
        return await versions.upload_target(session, info.grant, project_id, dataset_id, info.context.services.settings)


async def _added(info: Info, new: versions.NewVersion) -> tuple[Dataset, DatasetVersion]:
    async def add(session: WriteSession) -> tuple[Dataset, DatasetVersion]:
        return await versions.add_version(session, info.grant, new, info.context.services.settings), new.version

    return await act(info, add)


@once
async def upload(info: Info, input: inputs.UploadDataset) -> tuple[Dataset, DatasetVersion]:
    async with ingest.from_upload(info.context.services, info.grant, input) as new:
        return await _added(info, new)


@once
async def override(info: Info, input: inputs.OverrideColumnTypes) -> tuple[Dataset, DatasetVersion]:
    async with ingest.from_overrides(info.context.services, info.grant, input) as new:
        return await _added(info, new)


@once
async def mark(info: Info, input: inputs.MarkMissing) -> tuple[Dataset, DatasetVersion]:
    async with ingest.from_marks(info.context.services, info.grant, input) as new:
        return await _added(info, new)
