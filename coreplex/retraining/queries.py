"""What of retraining waits for the clock: asked every few seconds, by indexes."""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlmodel import col

from coreplex.deployment.table import Deployment, DeploymentStatus
from coreplex.experiment.table import Experiment
from coreplex.job.lifecycle import JobStatus
from coreplex.monitoring.table import DriftWatch
from coreplex.retraining.table import ACTIVE, RetrainPolicy, RetrainRun, RetrainStatus

_policy, _watch = RetrainPolicy, DriftWatch
ENDED: Select[Any] = (
    select(col(RetrainRun.id))
    .join(Experiment, col(Experiment.id) == col(RetrainRun.experiment_id), isouter=True)
    .where(
        col(RetrainRun.status) == RetrainStatus.running,
        or_(col(Experiment.id).is_(None), col(Experiment.status).in_([status for status in JobStatus if status.final])),
    )
)
"""Retrainings whose training has ended, or is gone."""
SCHEDULED: Select[Any] = select(col(_policy.deployment_id)).where(col(_policy.is_enabled), col(_policy.next_run_at) <= func.now())
"""Deployments whose schedule is due."""

LOOKED_AT: Select[Any] = select(col(_policy.deployment_id)).where(
    col(_policy.is_enabled), col(_policy.next_look_at) <= func.now()
)
"""Deployments whose metric it is time to look at."""


def _news() -> ColumnElement[bool]:
    """Whether it drifts as it has not been retrained for, and may be by now."""
    episode, quiet = col(_policy.drift_episode_at), col(_policy.quiet_until)
    return and_(
        col(_watch.drifting_since).is_not(None),
        or_(episode.is_(None), episode < col(_watch.drifting_since)),
        or_(quiet.is_(None), quiet <= func.now()),
    )


_RUNNING = (
    select(col(RetrainRun.id))
    .where(col(RetrainRun.deployment_id) == col(_policy.deployment_id), col(RetrainRun.status).in_(ACTIVE))
    .exists()
)
DRIFTING: Select[Any] = (
    select(col(_policy.deployment_id))
    .join(Deployment, col(Deployment.id) == col(_policy.deployment_id))
    .join(_watch, and_(col(_watch.deployment_id) == col(Deployment.id), col(_watch.model_id) == col(Deployment.model_id)))
    .where(col(_policy.is_enabled), col(_policy.on_drift), col(Deployment.status) == DeploymentStatus.active, _news(), ~_RUNNING)
)
"""Active deployments that have begun to drift; none that is being retrained: it would keep others out of those that are taken."""
WAITING = select(or_(SCHEDULED.exists(), LOOKED_AT.exists(), DRIFTING.exists(), ENDED.exists()))
"""Whether there is anything to do."""
