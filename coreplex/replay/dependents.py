"""What replays have to do with models that are about to be deleted, nothing once they have ended; with deployments they go."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlmodel import col

from coreplex.deployment.production import DELETED
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Conflict, Message
from coreplex.job import service as job
from coreplex.job.lifecycle import JobStatus
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession, WriteSession
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


async def _cancel(session: WriteSession, ids: Sequence[UUID], _user_id: UUID | None) -> None:
    await job.cancel_all(session, select(col(Replay.job_id)).where(col(Replay.deployment_id).in_(ids)), DELETED)


depend(Model, refuse=_refuse_models)
depend(Deployment, remove=_cancel)
