"""What is loaded of datasets and their versions."""

from collections.abc import Mapping
from uuid import UUID

from coreplex.dataset import service
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.platform.database import ReadSession
from resolvers.loading import Asking, Batch, batch, rows

datasets = rows(Dataset)
version_counts = batch(service.version_counts, missing=0)
"""How many versions there are, by dataset id."""
versions = rows(DatasetVersion, *service.LIGHT)
"""Versions without their documents; those come from `documents`."""


async def _latest(session: ReadSession, ids: list[UUID], _asking: Asking) -> Mapping[UUID, DatasetVersion | None]:
    return {version.dataset_id: version for version in await service.latest(session, ids)}


async def _documents(session: ReadSession, ids: list[UUID], asking: Asking) -> Mapping[UUID, service.Documents | None]:
    return await service.documents(session, ids, asking.size().read)


latest_versions = Batch(_latest)
"""The latest version by dataset id."""
documents = Batch(_documents)
"""Schema, profile and quality by version id; of all versions of a request no more than an answer may be made from."""
