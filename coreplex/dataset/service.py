"""What can be done with datasets: listed, changed, deleted with all that was made from them. How they come to be: `ingest`."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select
from sqlmodel import col

from coreplex.artifact.table import Artifact
from coreplex.dataset.inputs import DatasetFilter, DeleteDataset, UpdateDataset
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.versions import LIGHT, open_locked, storage_prefix
from coreplex.event import service as event
from coreplex.job.service import enqueue_removal
from coreplex.membership.access import open_row, visible_projects
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.dependents import refuse_in_use, remove_dependents
from coreplex.platform.identifier import parse_id
from coreplex.platform.paging import Listing, Order
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


async def delete_one(session: WriteSession, grant: Grant, wanted: DeleteDataset) -> UUID:
    """Remove a dataset with its versions, their files, and the finished experiments that learned from it.

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
    return dataset.id
