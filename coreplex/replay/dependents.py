"""What replays have to do with models that are about to be deleted: nothing, once they have ended."""

from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col

from coreplex.errors.tree import Conflict, Message
from coreplex.job.lifecycle import JobStatus
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession
from coreplex.platform.dependents import depend
from coreplex.replay.table import Replay


async def _refuse_models(session: ReadSession, ids: Select[UUID]) -> None:
    unfinished = col(Replay.status).in_([status for status in JobStatus if not status.final])
    query = select(col(Replay.model_name), col(Replay.status)).where(col(Replay.model_id).in_(ids), unfinished)
    found = (await session.execute(query.limit(1))).first()
    if found is not None:
        raise Conflict(
            Message(
                "replay_in_work",
                "A replay of “{model}” is {status}; cancel it or wait for its end.",
                model=found[0],
                status=found[1],
            )
        )


depend(Model, refuse=_refuse_models)
