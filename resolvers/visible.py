"""Rows that other rows name by id, as far as the caller might ask for them by id; whatever leads to another one leads nowhere."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Select
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


def _visible(rows: Callable[[Grant], Select[Any]], table: Any) -> Batch[UUID, Any]:
    async def load(session: ReadSession, ids: list[UUID], asking: Asking) -> Mapping[UUID, Any]:
        grant = _reader(asking)
        if grant is None:
            return {}
        found: Any = await session.scalars(rows(grant).where(table.id.in_(ids)))
        return {row.id: row for row in found}

    return Batch(load)


def _rows(table: type[SQLModel], *options: ExecutableOption) -> Batch[UUID, Any]:
    return _visible(lambda grant: access.visible_rows(grant, table, *options), table)


projects = _visible(access.visible, Project)
datasets = _rows(Dataset)
versions = _rows(DatasetVersion, *LIGHT)
experiments = _rows(Experiment)
models = _rows(Model)
deployments = _rows(Deployment)
jobs = _rows(Job)
artifacts = _rows(Artifact)
