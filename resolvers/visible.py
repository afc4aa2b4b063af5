"""Rows that other rows name by id, as far as the caller might ask for them by id; whatever leads to another one leads nowhere."""

from collections.abc import Sequence
from typing import Any

from sqlmodel import SQLModel

from coreplex.alert.table import Alert
from coreplex.artifact.table import Artifact
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.versions import DOCUMENTS
from coreplex.deployment.table import Deployment, Rollout
from coreplex.experiment.table import Experiment
from coreplex.job.table import Job
from coreplex.membership import access
from coreplex.membership.table import Project
from coreplex.model.table import Model
from coreplex.replay.service import DOCUMENTS as REPLAY_DOCUMENTS
from coreplex.replay.table import Replay
from coreplex.webhook.table import Webhook
from resolvers.loading import Rows


def _rows(table: type[SQLModel], without: Sequence[str] = ()) -> Rows:
    columns: Any = table
    return Rows(table, without, lambda grant: columns.project_id.in_(access.visible_projects(grant)))


_projects: Any = Project
projects = Rows(Project, visible=lambda grant: _projects.id.in_(access.visible_projects(grant)))
datasets = _rows(Dataset)
versions = _rows(DatasetVersion, DOCUMENTS)
experiments = _rows(Experiment)
models = _rows(Model)
deployments = _rows(Deployment)
rollouts = _rows(Rollout)
jobs = _rows(Job)
artifacts = _rows(Artifact)
webhooks = _rows(Webhook)
alerts = _rows(Alert)
replays = _rows(Replay, REPLAY_DOCUMENTS)
