"""What a retraining learns from: the newest version of the dataset that the deployed model has learned from."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col

from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.versions import LIGHT
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Message
from coreplex.experiment.table import Experiment
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession
from coreplex.retraining.table import RetrainRun, RetrainStatus


class NothingNew(Exception):
    """There is nothing to learn from that was not learned from before."""

    def __init__(self, reason: Message) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Material:
    """`before`: the version that was learned from last, `newest`: the one that is to be learned from."""

    model: Model
    experiment: Experiment
    before: DatasetVersion
    newest: DatasetVersion

    @property
    def new_rows(self) -> int:
        return self.newest.row_count - self.before.row_count

    def require_new(self, least: int) -> None:
        """Raise NothingNew where the newest version was learned from already, or is too little longer."""
        if self.newest.version <= self.before.version:
            raise NothingNew(
                Message("nothing_new", "Nothing is new: version {version} was learned from already.", version=self.before.version)
            )
        if self.new_rows < least:
            raise NothingNew(
                Message(
                    "too_little_new",
                    "Version {version} has {rows:,} rows more than the one that was learned from last, and {least:,} are needed.",
                    version=self.newest.version,
                    rows=self.new_rows,
                    least=least,
                )
            )


async def material_of(session: ReadSession, deployment: Deployment) -> Material:
    """What the deployment's model can be trained anew from."""
    model = await session.get_one(Model, deployment.model_id)
    experiment = await session.get_one(Experiment, model.experiment_id)
    light = select(DatasetVersion).options(*LIGHT)
    trained = (await session.scalars(light.where(col(DatasetVersion.id) == model.dataset_version_id))).one()
    versions = light.where(col(DatasetVersion.dataset_id) == trained.dataset_id)
    newest = (await session.scalars(versions.order_by(col(DatasetVersion.version).desc()).limit(1))).one()
    learned = versions.where(col(DatasetVersion.id).in_(_retrained(deployment.id)))
    latest = await session.scalar(learned.order_by(col(DatasetVersion.version).desc()).limit(1))
    before = trained if latest is None or latest.version < trained.version else latest
    return Material(model, experiment, before, newest)


def _retrained(deployment_id: UUID) -> Select[UUID | None]:
    """The versions from which challengers were made."""
    succeeded = col(RetrainRun.status) == RetrainStatus.succeeded
    return select(col(RetrainRun.dataset_version_id)).where(col(RetrainRun.deployment_id) == deployment_id, succeeded)
