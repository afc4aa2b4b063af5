"""Rows that other rows name by id, as far as the caller might ask for them by id; whatever leads to another one leads nowhere."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.sql.base import ExecutableOption
from sqlmodel import SQLModel

from coreplex.artifact.table import Artifact
from coreplex.dataset.table import Dataset, DatasetVersion
from coreplex.dataset.versions import LIGHT
from coreplex.deployment.table import Deployment
from coreplex.errors.tree import Forbidden, Unauthenticated
from coreplex.experiment.table import Experiment
from coreplex.job.table import Job
from coreplex.membership import access
from coreplex.membership.table import Project
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession
from coreplex.platform.permissions import READ, Grant, authorize
from resolvers.loading import Asking, Batch


def _reader(asking: Asking) -> Grant | None:
    """The caller's grant to read; None for one who has none (a key that may only write, or predict)."""
    try:
        authorize(asking.principal, READ)
    except (Unauthenticated, Forbidden):
        return None
    return None if asking.principal is None else Grant(asking.principal)


def visible(table: type[SQLModel], *options: ExecutableOption, project: str = "project_id") -> Batch[UUID, Any]:
    """Rows of the caller's projects by id; `project` is the column that says whose a row is."""
    columns: Any = table

    async def load(session: ReadSession, ids: list[UUID], asking: Asking) -> Mapping[UUID, Any]:
        grant = _reader(asking)
        if grant is None:
            return {}
        query = select(table).where(columns.id.in_(ids), getattr(columns, project).in_(access.visible_projects(grant)))
        found: Any = await session.scalars(query.options(*options))
        return {row.id: row for row in found}

    return Batch(load)


projects = visible(Project, project="id")
datasets = visible(Dataset)
versions = visible(DatasetVersion, *LIGHT)
experiments = visible(Experiment)
models = visible(Model)
deployments = visible(Deployment)
jobs = visible(Job)
artifacts = visible(Artifact)
