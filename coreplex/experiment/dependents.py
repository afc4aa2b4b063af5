"""What experiments have to do with dataset versions and projects that are about to be deleted."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlmodel import col

from coreplex.dataset.table import DatasetVersion
from coreplex.errors.tree import Conflict, Message
from coreplex.experiment.table import Experiment
from coreplex.job.lifecycle import JobStatus
from coreplex.membership.table import Project
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.deferred_import import later
from coreplex.platform.dependents import depend, refuse_in_use

_remove = later("coreplex.experiment.service:remove")


async def _refuse_on_versions(session: ReadSession, ids: Select[UUID]) -> None:
    trained = select(Experiment).where(col(Experiment.dataset_version_id).in_(ids), _training())
    one = await session.scalar(trained.limit(1))
    if one is not None:
        raise Conflict(
            Message(
                "dataset_in_training",
                "The experiment “{experiment}” is {status} on this dataset; cancel it or wait for its end.",
                experiment=one.name,
                status=one.status,
            )
        )
    await refuse_in_use(session, Experiment, select(col(Experiment.id)).where(col(Experiment.dataset_version_id).in_(ids)))


async def _remove_on_versions(session: WriteSession, ids: Sequence[UUID], user_id: UUID | None) -> None:
    query = select(col(Experiment.id)).where(col(Experiment.dataset_version_id).in_(ids))
    await _remove(session, (await session.scalars(query)).all(), user_id)


async def _refuse_in_projects(session: ReadSession, ids: Select[UUID]) -> None:
    name = await session.scalar(select(col(Experiment.name)).where(col(Experiment.project_id).in_(ids), _training()).limit(1))
    if name is not None:
        raise Conflict(
            Message(
                "experiment_in_training",
                "The experiment “{experiment}” is in training; cancel it first, or delete with force=true.",
                experiment=name,
            )
        )


def _training() -> ColumnElement[bool]:
    return col(Experiment.status).in_([status for status in JobStatus if not status.final])


depend(DatasetVersion, refuse=_refuse_on_versions, remove=_remove_on_versions)
depend(Project, refuse=_refuse_in_projects)
