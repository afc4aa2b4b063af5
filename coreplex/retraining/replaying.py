"""The job that has a challenger answer what its deployment was asked, in the name of who it was trained for."""

from datetime import timedelta

from coreplex.account.on_behalf import grant_of
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import DomainError, NotFound, Unavailable
from coreplex.event import service as event
from coreplex.job.context import JobContext
from coreplex.job.table import Job
from coreplex.membership.access import open_row
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.permissions import WRITE
from coreplex.replay import service as replay
from coreplex.retraining.table import RetrainPolicy, RetrainRun


async def run(job: Job, context: JobContext) -> None:
    """Begin a replay; where there cannot be one, the timeline says why."""
    try:
        await context.save(lambda session: _begin(session, job, context))
    except Unavailable:
        raise
    except DomainError as refusal:
        said = f"The challenger answers nothing that was asked before: {refusal.message}"
        await context.save(lambda session: _tell(session, job, said))


async def _begin(session: WriteSession, job: Job, context: JobContext) -> None:
    found = await session.get(RetrainRun, job.entity_id, with_for_update=True)
    policy = None if found is None else await session.get(RetrainPolicy, found.deployment_id)
    model = None if found is None or found.model_id is None else await session.get(Model, found.model_id)
    if found is None or policy is None or policy.replay_window_secs is None or model is None or found.replay_id is not None:
        return
    grant = await grant_of(session, found.created_by, WRITE)
    if grant is None:
        raise NotFound.of("Deployment")
    deployment = await open_row(session, grant, Deployment, found.deployment_id, "Deployment")
    since = now() - timedelta(seconds=policy.replay_window_secs)
    made = await replay.start(session, grant.user_id, deployment, model, context.settings, since=since)
    found.replay_id = made.id
    session.add(found)


async def _tell(session: WriteSession, job: Job, said: str) -> None:
    found = await session.get(RetrainRun, job.entity_id)
    if found is not None:
        deployment = await session.get_one(Deployment, found.deployment_id)
        await event.audit(session, found.created_by, deployment, "deployment.retraining_not_replayed", said)
