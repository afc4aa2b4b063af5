"""What a retraining learns from: the newest version of the deployed model's dataset, and outcomes that go with it.

A version that a retraining of the deployment has made by appending outcomes is not appended to again: the next one begins at the
version below it and takes every outcome that is known by then, so that a correction replaces what was said before, and no row
comes twice. What was made so for another deployment is a version like others.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlmodel import col

from coreplex.dataset.table import DatasetVersion
from coreplex.dataset.versions import LIGHT
from coreplex.deployment.table import Arm, Deployment
from coreplex.errors.tree import Message
from coreplex.experiment.table import Experiment
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession
from coreplex.retraining.table import RetrainRun, RetrainStatus
from coreplex.serving.table import InferenceLog

MOST_OUTCOMES = 500_000
"""The newest are taken: with as many as these a table of 20 columns is made within half a minute."""


class NothingNew(Exception):
    """There is nothing to learn from that was not learned from before."""

    def __init__(self, reason: Message) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Material:
    """`before`: the version that was learned from last, `newest`: the one that is to be learned from, both without outcomes of
    the deployment; `outcomes`: how many rows go with it, of which so many are `new_outcomes`."""

    model: Model
    experiment: Experiment
    before: DatasetVersion
    newest: DatasetVersion
    outcomes: int = 0
    new_outcomes: int = 0

    @property
    def new_rows(self) -> int:
        return self.newest.row_count - self.before.row_count + self.new_outcomes

    def require_new(self, least: int) -> None:
        """Raise NothingNew where all of it was learned from already, or too little was not."""
        if self.newest.version <= self.before.version and not self.new_outcomes:
            raise NothingNew(
                Message("nothing_new", "Nothing is new: version {version} was learned from already.", version=self.before.version)
            )
        if self.new_rows < least:
            raise NothingNew(
                Message(
                    "too_little_new",
                    "There are {rows:,} rows more than were learned from last, and {least:,} are needed.",
                    rows=self.new_rows,
                    least=least,
                )
            )


async def material_of(session: ReadSession, deployment: Deployment, *, outcomes: bool = False) -> Material:
    """What the deployment's model can be trained anew from; `outcomes`: also from those of its log."""
    model = await session.get_one(Model, deployment.model_id)
    experiment = await session.get_one(Experiment, model.experiment_id)
    versions = await _versions(session, model)
    runs = [run for run in await session.scalars(_runs(deployment.id)) if run.dataset_version_id in versions]
    own = {run.dataset_version_id for run in runs if run.outcome_rows} if outcomes else set[UUID | None]()
    trained = [run for run in runs if run.status is RetrainStatus.succeeded]
    learned = {model.dataset_version_id, *(run.dataset_version_id for run in trained)}
    before = max((_below(one, own, versions) for one in versions.values() if one.id in learned), key=lambda one: one.version)
    newest = without_own(versions, own)
    known, fresh = await _outcomes(session, deployment, trained) if outcomes else (0, 0)
    return Material(model, experiment, before, newest, known, fresh)


async def _versions(session: ReadSession, model: Model) -> dict[UUID, DatasetVersion]:
    """All of the dataset from which the model was made, the oldest first."""
    dataset = select(col(DatasetVersion.dataset_id)).where(col(DatasetVersion.id) == model.dataset_version_id)
    query = select(DatasetVersion).where(col(DatasetVersion.dataset_id) == dataset.scalar_subquery()).options(*LIGHT)
    return {one.id: one for one in await session.scalars(query.order_by(col(DatasetVersion.version)))}


def without_own(versions: Mapping[UUID, DatasetVersion], own: Set[UUID | None]) -> DatasetVersion:
    """The newest version, of those from the oldest on, without outcomes of the deployment; `own`: those made of them."""
    return [one for one in versions.values() if _below(one, own, versions) is one][-1]


def _below(version: DatasetVersion, own: Set[UUID | None], versions: Mapping[UUID, DatasetVersion]) -> DatasetVersion:
    """The version without outcomes of the deployment: itself, or the one below the first in which there are any."""
    found, one = version, version
    while True:
        parent = None if one.parent_version_id is None else versions.get(one.parent_version_id)
        if parent is None:
            return found
        found, one = (parent, parent) if one.id in own else (found, parent)


def _runs(deployment_id: UUID) -> Select[RetrainRun]:
    """Those that have a version, the oldest first."""
    there = col(RetrainRun.deployment_id) == deployment_id, col(RetrainRun.dataset_version_id).is_not(None)
    return select(RetrainRun).where(*there).order_by(col(RetrainRun.created_at))


async def _outcomes(session: ReadSession, deployment: Deployment, trained: Sequence[RetrainRun]) -> tuple[int, int]:
    """Of how many rows of the log the outcome is known, and of how many it was not when the last challenger was made.

    Outcomes that came late are told by the count, those that took the place of what retention removed by when they were asked.
    """
    known = await _count(session, deployment.id)
    if not trained:
        return known, known
    last = trained[-1]
    since = await _count(session, deployment.id, last.created_at)
    return known, max(known - (last.known_outcomes or 0), since, 0)


async def _count(session: ReadSession, deployment_id: UUID, since: datetime | None = None) -> int:
    query = select(col(InferenceLog.id)).where(*with_outcome(deployment_id))
    query = query if since is None else query.where(col(InferenceLog.created_at) > since)
    return int(await session.scalar(select(func.count()).select_from(query.limit(MOST_OUTCOMES).subquery())) or 0)


def with_outcome(deployment_id: UUID) -> Sequence[Any]:
    """Conditions of rows that the deployment answered and whose outcome is known."""
    log = InferenceLog
    answered = col(log.output).is_not(None), col(log.arm).is_distinct_from(Arm.shadow)
    return col(log.deployment_id) == deployment_id, col(log.outcome).is_not(None), *answered
