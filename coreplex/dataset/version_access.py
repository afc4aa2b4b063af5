"""Opens the dataset version that another concept's input names."""

from sqlalchemy import select
from sqlmodel import col

from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.errors.tree import Invalid, NotFound
from coreplex.membership.access import open_row
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import Grant

NOUN = "Dataset version"


async def open_version(session: ReadSession, grant: Grant, version_id: str) -> DatasetVersion:
    """The version an input names in `dataset_version_id`.

    Raises Invalid, with the newest version, where it is the id of a dataset, which both are often taken for; else as `open_row`.
    """
    try:
        return await open_row(session, grant, DatasetVersion, version_id, NOUN)
    except NotFound:
        dataset = await open_row(session, grant, Dataset, version_id, NOUN)
    versions = select(col(DatasetVersion.id)).where(col(DatasetVersion.dataset_id) == dataset.id)
    newest = await session.scalar(versions.order_by(col(DatasetVersion.version).desc()).limit(1))
    raise Invalid.field(f"is the id of a dataset; name one of its versions, the newest is {newest}", "dataset_version_id")
