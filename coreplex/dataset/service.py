"""What can be done with datasets: listed, changed, deleted with all that was made from them. How they come to be: `ingest`."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.dataset.inputs import DeleteDataset, UpdateDataset
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.versions import LIGHT, open_locked, storage_prefix
from coreplex.event import service as event
from coreplex.job.service import enqueue_removal
from coreplex.membership.access import open_row, visible_projects
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.dependents import refuse_in_use, remove_dependents
from coreplex.platform.filtering import FloatRange, LongRange, identifiers, moments, numbers, reference, text
from coreplex.platform.identifier import parse_id
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant


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


DATASETS = Listing(
    noun="Dataset",
    query=select(Dataset),
    identity=col(Dataset.id),
    order=ORDER,
    search=Search("the name and the description", (col(Dataset.name), col(Dataset.description))),
    filters={
        "ids": identifiers(col(Dataset.id), "Only these datasets."),
        "project_id": reference(col(Dataset.project_id), "Project", "Only datasets of this project."),
        "name": text(col(Dataset.name), "By name."),
        "created_at": moments(col(Dataset.created_at), "By when they were created."),
        "updated_at": moments(col(Dataset.updated_at), "By when they were last changed."),
        "version_count": numbers(_latest(col(DatasetVersion.version)), "By how many versions they have."),
        "row_count": numbers(_latest(col(DatasetVersion.row_count)), "By rows of the latest version.", LongRange),
        "column_count": numbers(_latest(col(DatasetVersion.column_count)), "By columns of the latest version."),
        "size_bytes": numbers(_latest(col(DatasetVersion.size_bytes)), "By the size of the latest version.", LongRange),
        "quality_score": numbers(
            _latest(col(DatasetVersion.quality_score)), "By the quality of the latest version, 0 to 100.", FloatRange
        ),
    },
    visible=lambda grant: col(Dataset.project_id).in_(visible_projects(grant)),
    parent=col(Dataset.project_id),
)
"""Datasets of the caller's projects."""


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


async def delete_one(session: WriteSession, grant: Grant, wanted: DeleteDataset) -> tuple[UUID, UUID]:
    """Remove a dataset with its versions, their files, and the finished experiments on it; its id, and that of its project.

    Raises Conflict while an experiment on it is queued or running, and while a model made from it serves.
    """
    dataset = await open_locked(session, grant, parse_id(wanted.dataset_id, "Dataset"))
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
    return dataset.id, dataset.project_id
