"""What explanations of a change have to do with deployments that are about to be deleted: they go, and end first."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.deployment.production import DELETED
from coreplex.deployment.table import Deployment
from coreplex.job import service as job
from coreplex.metric_change.table import MetricChange
from coreplex.platform.database import WriteSession
from coreplex.platform.dependents import depend


async def _cancel(session: WriteSession, ids: Sequence[UUID], _user_id: UUID | None) -> None:
    await job.cancel_all(session, select(col(MetricChange.job_id)).where(col(MetricChange.deployment_id).in_(ids)), DELETED)


depend(Deployment, remove=_cancel)
