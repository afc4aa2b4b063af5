"""Versions of datasets: found, and added. Nothing here commits, and nothing here reads a file: see `ingest`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Select, Text, any_, cast, delete, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from coreplex.artifact.table import STORAGE, Artifact
from coreplex.dataset.table import VERSIONS_OF_OWNER, Dataset, DatasetVersion, VersionSource
from coreplex.errors.tree import Conflict, FieldError, Invalid, Message, NotFound
from coreplex.event import service as event
from coreplex.job.table import Job
from coreplex.membership import quota
from coreplex.membership.access import open_project, open_row, visible_rows
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.document import read_together
from coreplex.platform.filtering import FloatRange, LongRange, identifiers, moments, numbers, one_of, words
from coreplex.platform.identifier import parse_id
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.prepared import behind, columns_of
from coreplex.platform.settings import Settings

UNIQUE_VIOLATION = "23505"
NOUN = "Dataset version"
ANY_ROOM = {VERSIONS_OF_OWNER: 1, STORAGE: 1}
DOCUMENTS = ("table_schema", "profile", "quality")
FEW = 4
"""Versions whose documents are read together whatever their size."""
LIGHT = behind(DatasetVersion, DOCUMENTS)
"""Load versions without their documents: a profile of 1,500 columns is a megabyte, and a list shows none of it."""


VERSIONS = Listing(
    noun="DatasetVersion",
    query=select(DatasetVersion),
    identity=col(DatasetVersion.id),
    order=Order(
        {
            "number": col(DatasetVersion.version),
            "created_at": col(DatasetVersion.created_at),
            "row_count": col(DatasetVersion.row_count),
            "quality_score": col(DatasetVersion.quality_score),
        },
        field="number",
    ),
    search=Search(
        "the number, the source, the file format and the sheet of a workbook",
        (
            cast(col(DatasetVersion.version), Text),
            cast(col(DatasetVersion.source), Text),
            col(DatasetVersion.file_format),
            col(DatasetVersion.read_options)["sheet"].astext,
        ),
    ),
    filters={
        "ids": identifiers(col(DatasetVersion.id), "Only these versions."),
        "number": numbers(col(DatasetVersion.version), "By number."),
        "source": one_of(col(DatasetVersion.source), VersionSource, "Only versions that came to be in one of these ways."),
        "file_format": words(col(DatasetVersion.file_format), "Only versions whose file was in one of these formats."),
        "row_count": numbers(col(DatasetVersion.row_count), "By rows.", LongRange),
        "column_count": numbers(col(DatasetVersion.column_count), "By columns."),
        "size_bytes": numbers(col(DatasetVersion.size_bytes), "By size.", LongRange),
        "quality_score": numbers(col(DatasetVersion.quality_score), "By quality, 0 to 100.", FloatRange),
        "created_at": moments(col(DatasetVersion.created_at), "By when they were made."),
    },
    parent=col(DatasetVersion.dataset_id),
    without=DOCUMENTS,
)
"""Versions of datasets the caller may see, newest first, without their documents."""


def visible(grant: Grant) -> Select[DatasetVersion]:
    """Versions of the caller's projects, without their documents."""
    return visible_rows(grant, DatasetVersion, *LIGHT)


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


@dataclass
class NewVersion:
    """A version whose files are stored and whose rows are not inserted yet.

    `dataset` is None when the version joins an existing one; `artifacts` are inserted before the version. `cleaning` is the
    queued job that removes the files should this process die before the rows are there.
    """

    version: DatasetVersion
    dataset: Dataset | None = None
    artifacts: list[Artifact] = field(default_factory=list)
    cleaning: UUID | None = None

    @property
    def folder(self) -> str:
        """Where the version's files are in storage."""
        return f"{storage_prefix(self.version.project_id, self.version.dataset_id)}/{self.version.id}"


def storage_prefix(project_id: UUID, dataset_id: UUID) -> str:
    """The folder in storage of everything a dataset has."""
    return f"projects/{project_id}/datasets/{dataset_id}"


async def upload_target(
    session: ReadSession, grant: Grant, project_id: str | None, dataset_id: str | None, settings: Settings
) -> Target:
    """Whether the caller may upload there and there is room: asked before the bytes are taken, and again before they are read.

    Raises NotFound, Forbidden, QuotaExceeded, and Invalid when neither is named. What changes meanwhile, `add_version` refuses.
    """
    if dataset_id is not None:
        dataset = await open_row(session, grant, Dataset, dataset_id, "Dataset")
        if project_id is not None and parse_id(project_id, "Project") != dataset.project_id:
            raise NotFound.of("Dataset")
        target = Target(dataset.project_id, dataset.id)
    elif project_id is not None:
        target = Target((await open_project(session, grant, project_id)).id, None)
    else:
        raise Invalid.fields([FieldError.missing("project_id")])
    await quota.require_room(session, settings, target.project_id, ANY_ROOM)
    return target


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
        dataset = await open_locked(session, grant, version.dataset_id)
    size = sum(one.size_bytes for one in new.artifacts)
    await quota.take_room(session, settings, version.project_id, {VERSIONS_OF_OWNER: 1, STORAGE: size})
    highest = select(func.max(DatasetVersion.version)).where(col(DatasetVersion.dataset_id) == dataset.id)
    version.version = (await session.scalar(highest) or 0) + 1
    dataset.updated_at = now()
    session.add_all(new.artifacts)
    try:
        await session.flush()
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        raise Conflict(Message("upload_used_already", "This upload was used already; upload the file again.")) from None
    session.add(version)
    await session.flush()
    await session.execute(delete(Job).where(col(Job.id) == new.cleaning))
    await event.audit(session, grant.user_id, dataset, *_story(dataset, version))
    return dataset


def _story(dataset: Dataset, version: DatasetVersion) -> tuple[str, str]:
    size = f"{version.row_count:,} rows, {version.column_count:,} columns"
    if version.source is VersionSource.override:
        return "dataset.types_changed", f"Dataset “{dataset.name}” got version {version.version}, read otherwise."
    if version.source is VersionSource.outcomes:
        return "dataset.outcomes_appended", f"Dataset “{dataset.name}” got version {version.version} with outcomes: {size}."
    if version.version == 1:
        return "dataset.uploaded", f"Dataset “{dataset.name}” was uploaded: {size}."
    return "dataset.uploaded", f"Dataset “{dataset.name}” got version {version.version}: {size}."


async def open_locked(session: WriteSession, grant: Grant, dataset_id: UUID) -> Dataset:
    """The dataset, kept from other writers until the transaction ends: version numbers follow each other."""
    await session.execute(select(col(Dataset.id)).where(col(Dataset.id) == dataset_id).with_for_update())
    return await open_row(session, grant, Dataset, dataset_id, "Dataset")


async def open_version(session: ReadSession, grant: Grant, version_id: str) -> DatasetVersion:
    """The version that another concept's input names in `dataset_version_id`.

    Raises Invalid, with the newest version, where it is the id of a dataset, which both are often taken for; else as `open_row`.
    """
    try:
        return await open_row(session, grant, DatasetVersion, version_id, NOUN)
    except NotFound:
        dataset = await open_row(session, grant, Dataset, version_id, NOUN)
    newest = await _newest(session, dataset)
    raise Invalid.field(
        Message(
            "dataset_id_for_version",
            "is the id of a dataset; name one of its versions, the newest is {newest}",
            newest=newest,
        ),
        "dataset_version_id",
    )


async def version_or_latest(session: ReadSession, grant: Grant, version_id: str | None, dataset_id: str | None) -> DatasetVersion:
    """A version by its id, or the latest of a dataset. Raises NotFound, also for a version of another dataset than named."""
    if version_id is None and dataset_id is None:
        raise Invalid.fields([FieldError.missing("version_id")])
    dataset = None if dataset_id is None else await open_row(session, grant, Dataset, dataset_id, "Dataset")
    if version_id is None:
        assert dataset is not None
        version_id = await _newest(session, dataset)
    version = await open_row(session, grant, DatasetVersion, version_id, NOUN)
    if dataset is not None and version.dataset_id != dataset.id:
        raise NotFound.of(NOUN)
    return version


async def _newest(session: ReadSession, dataset: Dataset) -> str:
    """The id of a dataset's latest version."""
    query = select(col(DatasetVersion.id)).where(col(DatasetVersion.dataset_id) == dataset.id)
    return str(await session.scalar(query.order_by(col(DatasetVersion.version).desc()).limit(1)))


def latest(dataset_ids: Any) -> Select[Any]:
    """The latest version of each dataset, without documents."""
    dataset = col(DatasetVersion.dataset_id)
    query = select(*columns_of(DatasetVersion, DOCUMENTS)).where(dataset == any_(dataset_ids)).ext(distinct_on(dataset))
    return query.order_by(dataset, col(DatasetVersion.version).desc())


def version_counts(dataset_ids: Any) -> Select[*tuple[Any, ...]]:
    """How many versions of each dataset there are."""
    key = col(DatasetVersion.dataset_id)
    return select(key, func.count()).where(key == any_(dataset_ids)).group_by(key)


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
