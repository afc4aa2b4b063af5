"""A version whose files are stored and whose rows are not inserted yet: `ingest` makes it, `service.add_version` inserts it."""

from dataclasses import dataclass, field
from uuid import UUID

from coreplex.artifact.table import Artifact
from coreplex.dataset.table import Dataset, DatasetVersion


def storage_prefix(project_id: UUID, dataset_id: UUID) -> str:
    """The folder in storage of everything a dataset has."""
    return f"projects/{project_id}/datasets/{dataset_id}"


@dataclass
class NewVersion:
    """`dataset` is None when the version joins an existing one; `artifacts` are inserted before the version.

    `cleaning` is the queued job that removes the files should this process die before the rows are there.
    """

    version: DatasetVersion
    dataset: Dataset | None = None
    artifacts: list[Artifact] = field(default_factory=list)
    cleaning: UUID | None = None

    @property
    def folder(self) -> str:
        """Where the version's files are in storage."""
        return f"{storage_prefix(self.version.project_id, self.version.dataset_id)}/{self.version.id}"
