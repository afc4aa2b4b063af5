"""What can be done with datasets and their versions. Nothing here commits, and nothing here reads a file: see `ingest`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.dataset import quota
from coreplex.dataset.inputs import DatasetFilter, UpdateDataset
from coreplex.dataset.new_version import NewVersion, storage_prefix
from coreplex.dataset.table import Dataset, DatasetVersion, VersionSource
from coreplex.errors.tree import Conflict, FieldError, Invalid, NotFound
from coreplex.event import service as event
from coreplex.job.cleaning import enqueue_removal
from coreplex.job.table import Job
from coreplex.membership.access import open_project, open_row, visible_projects
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.dependents import refuse_in_use, remove_dependents
from coreplex.platform.document import read_together
from coreplex.platform.identifier import parse_id
from coreplex.platform.inputs import Delete
from coreplex.platform.paging import Listing, Order
from coreplex.platform.permissions import Grant
from coreplex.platform.settings import Settings

UNIQUE_VIOLATION = "23505"
DOCUMENTS = ("table_schema", "profile", "quality")
FEW = 4
"""Versions whose documents are read together whatever their size."""
LIGHT = tuple(defer(getattr(DatasetVersion, name), raiseload=True) for name in DOCUMENTS)
"""Load versions without their documents: a profile of 1,500 columns is a megabyte, and a list shows none of it."""


@dataclass(frozen=True, slots=True)
class Documents:
    """The large parts of a version, loaded when somebody looks at them."""

    table_schema: dict[str, Any]
    profile: dict[str, Any]
    quality: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes: a project, and the dataset that gets a further version."""

    project_id: UUID
    dataset_id: UUID | None


def _latest(column: Any) -> ColumnElement[Any]:
    """A value of each dataset's latest version."""
    query = select(column).where(col(DatasetVersion.dataset_id) == col(Dataset.id))
    return query.order_by(col(DatasetVersion.version).desc()).limit(1).correlate(Dataset).scalar_subquery()


ORDER = Order(
    {
        "created_at": col(Dataset.created_at),
        "updated_at": col(Dataset.updated_at),
        "name": func.lower(col(Dataset.name)),
        "version_count": _latest(col(DatasetVersion.version)),
        **{
            name: _latest(col(getattr(DatasetVersion, name)))
            for name in ("row_count", "column_count", "size_bytes", "quality_score")
        },
    }
)


def listing(grant: Grant, wanted: DatasetFilter | None = None) -> Listing:
    """Datasets of the caller's projects."""
    query = select(Dataset).where(col(Dataset.project_id).in_(visible_projects(grant)))
    if wanted is not None and wanted.project_id is not None:
        query = query.where(col(Dataset.project_id) == parse_id(wanted.project_id, "Project"))
    return Listing(
        query=query,
        identity=col(Dataset.id),
        order=ORDER,
        searchable=(col(Dataset.name), col(Dataset.description)),
        parent=col(Dataset.project_id),
    )


VERSIONS = Listing(
    query=select(DatasetVersion),
    identity=col(DatasetVersion.id),
    order=Order(
        {
            "version": col(DatasetVersion.version),
            "created_at": col(DatasetVersion.created_at),
            "row_count": col(DatasetVersion.row_count),
            "quality_score": col(DatasetVersion.quality_score),
        },
        field="version",
    ),
    parent=col(DatasetVersion.dataset_id),
    options=LIGHT,
)
"""Versions of datasets the caller may see, newest first, without their documents."""


async def latest(session: ReadSession, dataset_ids: Sequence[UUID]) -> Sequence[DatasetVersion]:
    """The latest version of each dataset, without documents: one query."""
    query = select(DatasetVersion).where(col(DatasetVersion.dataset_id).in_(dataset_ids)).options(*LIGHT)
    query = query.ext(distinct_on(col(DatasetVersion.dataset_id)))
    query = query.order_by(col(DatasetVersion.dataset_id), col(DatasetVersion.version).desc())
    return (await session.scalars(query)).all()


async def documents(
    session: ReadSession, version_ids: Sequence[UUID], read: Callable[[int], None] = lambda _size: None
) -> dict[UUID, Documents]:
    """The documents of versions, a little at a time: those of one may be megabytes. `read(bytes)` is told how large they are as
    JSON, and may raise to end it.
    """
    identity, *parts = (col(getattr(DatasetVersion, name)) for name in ("id", *DOCUMENTS))
    sizes: Any = [(version_id, 0) for version_id in version_ids]
    if len(version_ids) > FEW:
        size: Any = sum(func.pg_column_size(part) for part in parts)
        sizes = (await session.execute(select(identity, size).where(identity.in_(version_ids)))).all()
    found: dict[UUID, Documents] = {}
    for chunk in read_together(sizes):
        rows = await session.execute(select(identity, *parts).where(identity.in_(chunk)))
        for one, *rest in rows:
            read(len(orjson.dumps(rest)))
            found[one] = Documents(*rest)
    return found


async def version_or_latest(session: ReadSession, grant: Grant, version_id: str | None, dataset_id: str | None) -> DatasetVersion:
    """A version by its id, or the latest of a dataset. Raises NotFound, also for a version of another dataset than named."""
    if version_id is None and dataset_id is None:
        raise Invalid("version_id: Field required", errors=[FieldError(("version_id",), "Field required", "missing")])
    dataset = None if dataset_id is None else await open_row(session, grant, Dataset, dataset_id, "Dataset")
    if version_id is None:
        assert dataset is not None
        (newest,) = await latest(session, [dataset.id])
        version_id = str(newest.id)
        session.expunge(newest)  # it was loaded without its documents
    version = await open_row(session, grant, DatasetVersion, version_id, "Dataset version")
    if dataset is not None and version.dataset_id != dataset.id:
        raise NotFound.of("Dataset version")
    return version


async def version_counts(session: ReadSession, dataset_ids: Sequence[UUID]) -> dict[UUID, int]:
    key = col(DatasetVersion.dataset_id)
    query = select(key, func.count()).where(key.in_(dataset_ids)).group_by(key)
    return dict((await session.execute(query)).all())


async def upload_target(
    session: ReadSession, grant: Grant, project_id: str | None, dataset_id: str | None, settings: Settings
) -> Target:
    """Whether the caller may upload there and there is room. Raises NotFound, Forbidden, QuotaExceeded, and Invalid when neither
    is named."""
    target = await _target(session, grant, project_id, dataset_id)
    await quota.require_version(session, settings, target.project_id)
    return target


async def _target(session: ReadSession, grant: Grant, project_id: str | None, dataset_id: str | None) -> Target:
    if dataset_id is not None:
        dataset = await open_row(session, grant, Dataset, dataset_id, "Dataset")
        if project_id is not None and parse_id(project_id, "Project") != dataset.project_id:
            raise NotFound.of("Dataset")
        return Target(dataset.project_id, dataset.id)
    if project_id is None:
        raise Invalid("project_id: Field required", errors=[FieldError(("project_id",), "Field required", "missing")])
    project = await open_project(session, grant, project_id)
    return Target(project.id, None)


async def add_version(session: WriteSession, grant: Grant, new: NewVersion, settings: Settings) -> Dataset:
    """Insert a new version's rows: the dataset when it is new, the files, the version with the next number.

    Raises NotFound when the dataset went meanwhile, Conflict when the upload became a version already, QuotaExceeded.
    """
    version = new.version
    if new.dataset is not None:
        await open_project(session, grant, version.project_id)
        dataset = new.dataset
        session.add(dataset)
        await session.flush()
    else:
        dataset = await _lock(session, grant, version.dataset_id)
    await quota.take_version(session, settings, version.project_id, sum(one.size_bytes for one in new.artifacts))
    highest = select(func.max(DatasetVersion.version)).where(col(DatasetVersion.dataset_id) == dataset.id)
    version.version = (await session.scalar(highest) or 0) + 1
    dataset.updated_at = now()
    session.add_all(new.artifacts)
    try:
        await session.flush()
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        raise Conflict("This upload was used already; upload the file again.") from None
    session.add(version)
    await session.flush()
    await session.execute(delete(Job).where(col(Job.id) == new.cleaning))
    await event.audit(session, grant.user_id, dataset, *_story(dataset, version))
    return dataset


def _story(dataset: Dataset, version: DatasetVersion) -> tuple[str, str]:
    size = f"{version.row_count:,} rows, {version.column_count:,} columns"
    if version.source is VersionSource.override:
        return "dataset.types_changed", f"Dataset “{dataset.name}” got version {version.version}, read otherwise."
    if version.version == 1:
        return "dataset.uploaded", f"Dataset “{dataset.name}” was uploaded: {size}."
    return "dataset.uploaded", f"Dataset “{dataset.name}” got version {version.version}: {size}."


async def update(session: WriteSession, grant: Grant, wanted: UpdateDataset) -> Dataset:
    dataset = await open_row(session, grant, Dataset, wanted.dataset_id, "Dataset")
    if wanted.name is not None:
        dataset.name = wanted.name
    if wanted.description is not None:
        dataset.description = wanted.description
    dataset.updated_at = now()
    session.add(dataset)
    await event.audit(session, grant.user_id, dataset, "dataset.updated", f"Dataset “{dataset.name}” was changed.")
    return dataset


async def delete_one(session: WriteSession, grant: Grant, wanted: Delete) -> UUID:
    """Remove a dataset with its versions, their files, and the finished experiments that learned from it.

    Raises Conflict while an experiment on it is queued or running, and while a model made from it serves.
    """
    dataset = await _lock(session, grant, parse_id(wanted.id, "Dataset"))
    # The lock makes an experiment that is being created on a version either visible here or fail there.
    locked = select(DatasetVersion).where(col(DatasetVersion.dataset_id) == dataset.id).options(*LIGHT).with_for_update()
    versions = (await session.scalars(locked)).all()
    await refuse_in_use(
        session, DatasetVersion, select(col(DatasetVersion.id)).where(col(DatasetVersion.dataset_id) == dataset.id)
    )
    await remove_dependents(session, DatasetVersion, [version.id for version in versions], grant.user_id)
    artifacts = {a for v in versions for a in (v.artifact_id, v.upload_artifact_id) if a is not None}
    await event.audit(session, grant.user_id, dataset, "dataset.deleted", f"Dataset “{dataset.name}” was deleted.")
    await session.execute(delete(Dataset).where(col(Dataset.id) == dataset.id))
    await session.execute(delete(Artifact).where(col(Artifact.id).in_(artifacts)))
    prefix = storage_prefix(dataset.project_id, dataset.id)
    await enqueue_removal(session, "dataset", dataset.id, prefix=prefix, created_by=grant.user_id)
    return dataset.id


async def _lock(session: WriteSession, grant: Grant, dataset_id: UUID) -> Dataset:
    """The dataset, kept from other writers until the transaction ends: version numbers follow each other."""
    await session.execute(select(col(Dataset.id)).where(col(Dataset.id) == dataset_id).with_for_update())
    return await open_row(session, grant, Dataset, dataset_id, "Dataset")
