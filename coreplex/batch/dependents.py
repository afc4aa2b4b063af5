"""What batches have to do with models and dataset versions that are about to be deleted: nothing, once they have ended."""

from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col

from coreplex.batch.table import PredictionBatch
from coreplex.dataset.table import DatasetVersion
from coreplex.errors.tree import Conflict, Message
from coreplex.job.lifecycle import JobStatus
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession
from coreplex.platform.dependents import depend


async def _refuse_models(session: ReadSession, ids: Select[UUID]) -> None:
    await _refuse(session, col(PredictionBatch.model_id).in_(ids))


async def _refuse_versions(session: ReadSession, ids: Select[UUID]) -> None:
    await _refuse(session, col(PredictionBatch.dataset_version_id).in_(ids))


async def _refuse(session: ReadSession, concerned: object) -> None:
    unfinished = col(PredictionBatch.status).in_([status for status in JobStatus if not status.final])
    query = select(col(PredictionBatch.filename), col(PredictionBatch.status)).where(concerned, unfinished)  # type: ignore[arg-type]
    found = (await session.execute(query.limit(1))).first()
    if found is not None:
        raise Conflict(
            Message(
                "batch_in_work",
                "A batch of predictions of “{filename}” is {status}; cancel it or wait for its end.",
                filename=found[0],
                status=found[1],
            )
        )


depend(Model, refuse=_refuse_models)
depend(DatasetVersion, refuse=_refuse_versions)
