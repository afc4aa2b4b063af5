"""What models have to do with experiments that are about to be deleted."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col

from coreplex.experiment.table import Experiment
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.deferred_import import later
from coreplex.platform.dependents import depend, refuse_in_use

_remove = later("coreplex.model.service:remove")


async def _refuse_of_experiments(session: ReadSession, ids: Select[UUID]) -> None:
    await refuse_in_use(session, Model, select(col(Model.id)).where(col(Model.experiment_id).in_(ids)))


async def _remove_of_experiments(session: WriteSession, ids: Sequence[UUID], user_id: UUID | None) -> None:
    await _remove(session, (await session.scalars(select(Model).where(col(Model.experiment_id).in_(ids)))).all(), user_id)


depend(Experiment, refuse=_refuse_of_experiments, remove=_remove_of_experiments)
