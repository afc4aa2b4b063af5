"""What deployments have to do with models and projects that are about to be deleted."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, or_, select, update
from sqlalchemy.orm import aliased
from sqlmodel import col

from coreplex.deployment.production import answers_rest
from coreplex.deployment.table import Deployment, DeploymentStatus, Stage
from coreplex.errors.tree import Conflict, Message
from coreplex.membership.access import SERVING
from coreplex.membership.table import Project
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.dependents import depend, remove_dependents
from coreplex.platform.listener import announce_change


def _answering() -> ColumnElement[bool]:
    """Whether one that was displaced still answers the rest of a share of production."""
    newer = aliased(Deployment)
    return exists().where(answers_rest(col(Deployment.id), newer))


async def _refuse_models(session: ReadSession, ids: Select[UUID]) -> None:
    query = (
        select(col(Deployment.name), col(Model.name))
        .join(Model, col(Model.id) == col(Deployment.model_id))
        .where(col(Model.id).in_(ids), or_(col(Deployment.status) == DeploymentStatus.active, _answering()))
    )
    serving = (await session.execute(query.limit(1))).first()
    if serving is not None:
        deployment, name = serving
        raise Conflict(
            Message(
                "model_in_service",
                "The deployment “{deployment}” serves the model “{model}”; deactivate it first.",
                deployment=deployment,
                model=name,
            )
        )


async def _remove_of_models(session: WriteSession, ids: Sequence[UUID], user_id: UUID | None) -> None:
    before = col(Deployment.previous_model_id).in_(ids)
    await session.execute(update(Deployment).where(before).values(previous_model_id=None))
    found = (await session.scalars(select(col(Deployment.id)).where(col(Deployment.model_id).in_(ids)))).all()
    await remove_dependents(session, Deployment, found, user_id)
    await session.execute(delete(Deployment).where(col(Deployment.model_id).in_(ids)))
    await announce_change(session, SERVING)


async def _refuse_projects(session: ReadSession, ids: Select[UUID]) -> None:
    serving = select(col(Deployment.name)).where(
        col(Deployment.project_id).in_(ids),
        col(Deployment.stage) == Stage.production,
        col(Deployment.status) == DeploymentStatus.active,
    )
    if (name := await session.scalar(serving.limit(1))) is not None:
        raise Conflict(
            Message(
                "deployment_active",
                "The production deployment “{deployment}” is active; deactivate it first, or delete with force=true.",
                deployment=name,
            )
        )


depend(Model, refuse=_refuse_models, remove=_remove_of_models)
depend(Project, refuse=_refuse_projects)
