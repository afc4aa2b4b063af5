"""What can be done with deployments. At most one per project serves in production; the database refuses a second."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlmodel import col

from coreplex.deployment.inputs import (
    CreateDeployment,
    DeactivateDeployment,
    DeleteDeployment,
    PromoteDeployment,
    RollbackDeployment,
    UpdateDeployment,
)
from coreplex.deployment.table import Deployment, DeploymentStatus, Stage
from coreplex.errors.tree import Conflict, Invalid, Message, NotFound
from coreplex.event import service as event
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, SERVING, open_project, open_row, visible_projects
from coreplex.membership.table import Project
from coreplex.model import service as model
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.filtering import flag, identifiers, moments, one_of, reference, text
from coreplex.platform.listener import notify
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.settings import Settings

TOO_MANY = "Delete deployments that do not serve any more"


ORDER = Order(
    {
        "created_at": col(Deployment.created_at),
        "name": func.lower(col(Deployment.name)),
        "stage": col(Deployment.stage),
        "status": col(Deployment.status),
    }
)


_model_name = select(col(Model.name)).where(col(Model.id) == col(Deployment.model_id)).correlate(Deployment).scalar_subquery()
DEPLOYMENTS = Listing(
    noun="Deployment",
    query=select(Deployment),
    identity=col(Deployment.id),
    order=ORDER,
    search=Search("the name and the model's name", (col(Deployment.name), _model_name)),
    filters={
        "ids": identifiers(col(Deployment.id), "Only these deployments."),
        "project_id": reference(col(Deployment.project_id), "Project", "Only deployments of this project."),
        "model_id": reference(col(Deployment.model_id), "Model", "Only deployments that serve this model."),
        "name": text(col(Deployment.name), "By name."),
        "stage": one_of(col(Deployment.stage), Stage, "Only these stages."),
        "status": one_of(col(Deployment.status), DeploymentStatus, "Only deployments in one of these states."),
        "created_at": moments(col(Deployment.created_at), "By when they were created."),
        "updated_at": moments(col(Deployment.updated_at), "By when they were last changed."),
        "deployed_at": moments(col(Deployment.deployed_at), "By when they last began to serve as they do."),
    },
    visible=lambda grant: col(Deployment.project_id).in_(visible_projects(grant)),
    parent=col(Deployment.project_id),
)
"""Deployments of the caller's projects."""
DEPLOYMENTS_OF_MODELS = replace(DEPLOYMENTS, parent=col(Deployment.model_id))
"""The deployments that serve each model, or have served it."""


def _serves(stage: Stage) -> ColumnElement[bool]:
    """Whether an active deployment of that stage serves the model."""
    return exists().where(
        col(Deployment.model_id) == col(Model.id),
        col(Deployment.stage) == stage,
        col(Deployment.status) == DeploymentStatus.active,
    )


MODELS = replace(
    model.MODELS,
    filters={
        **model.MODELS.filters,
        "is_production": flag(_serves(Stage.production), "Whether an active production deployment serves the model."),
        "is_staging": flag(_serves(Stage.staging), "Whether an active staging deployment serves the model."),
    },
)
"""Models of the caller's projects, the best first unless asked otherwise, also by whether they serve."""
LEADERBOARDS = model.leaderboards(MODELS)


async def serving_stages(session: ReadSession, model_ids: Sequence[UUID]) -> Mapping[UUID, frozenset[Stage]]:
    """Stages in which an active deployment serves each model, where there is one."""
    active = col(Deployment.status) == DeploymentStatus.active
    query = select(col(Deployment.model_id), col(Deployment.stage)).where(col(Deployment.model_id).in_(model_ids), active)
    found: dict[UUID, frozenset[Stage]] = {}
    for model_id, stage in await session.execute(query):
        found[model_id] = found.get(model_id, frozenset()) | {stage}
    return found


NOT_KEPT = frozenset({"privacy_policy_id", "privacy_column_map"})
"""What is refused where it says anything, so that there is nothing to keep."""


async def create(session: WriteSession, grant: Grant, wanted: CreateDeployment, settings: Settings) -> Deployment:
    """Serve a model under a name. In production the present deployment is archived. Raises QuotaExceeded."""
    project = await open_project(session, grant, wanted.project_id)
    model = await _model_of(session, grant, project.id, wanted.model_id, "model_id")
    _refuse_policy(wanted.privacy_policy_id)
    await quota.take_item(session, settings, project.id, Deployment, TOO_MANY)
    deployment = Deployment(
        project_id=project.id,
        model_id=model.id,
        created_by=grant.user_id,
        deployed_at=now(),
        version=await _next_version(session, project.id, wanted.name),
        **wanted.model_dump(exclude={"project_id", "model_id", *NOT_KEPT}, exclude_none=True),
    )
    if deployment.stage is Stage.production:
        await _displace(session, grant, deployment)
    session.add(deployment)
    await session.flush()
    await _changed(session, grant, deployment, "deployment.created", f"“{deployment.name}” serves in {deployment.stage}.")
    return deployment


async def update(session: WriteSession, grant: Grant, wanted: UpdateDeployment) -> Deployment:
    deployment = await _open(session, grant, wanted.deployment_id)
    _refuse_policy(wanted.privacy_policy_id)
    for name, value in wanted.model_dump(exclude={"deployment_id", *NOT_KEPT}, exclude_none=True).items():
        setattr(deployment, name, value)
    await _changed(session, grant, deployment, "deployment.updated", f"“{deployment.name}” was changed.")
    return deployment


def _refuse_policy(policy_id: str | None) -> None:
    """Raise NotFound for any policy: there are none until the module for privacy opens them here."""
    if policy_id:
        raise NotFound.of("Policy")


async def promote(session: WriteSession, grant: Grant, wanted: PromoteDeployment) -> Deployment:
    """Move an active staging deployment to production; the one it displaces is archived."""
    deployment = await _open(session, grant, wanted.deployment_id)
    if wanted.to_stage is not Stage.production:
        raise Invalid.field(Message("promotes_to_production_only", "must be production"), "to_stage")
    if deployment.status is not DeploymentStatus.active:
        raise Conflict(
            Message(
                "only_active_promoted",
                "The deployment is {status}; only an active one can be promoted.",
                status=deployment.status,
            )
        )
    if deployment.stage is Stage.production:
        raise Conflict(Message("in_production_already", "The deployment is in production already."))
    await _displace(session, grant, deployment)
    deployment.stage = Stage.production
    deployment.deployed_at = now()
    await _changed(session, grant, deployment, "deployment.promoted", f"“{deployment.name}” was promoted to production.")
    return deployment


async def rollback(session: WriteSession, grant: Grant, wanted: RollbackDeployment) -> Deployment:
    """Go back: to a named deployment, to a named model, or to what served before. Returns what serves now."""
    deployment = await _open(session, grant, wanted.deployment_id)
    if wanted.to_model_id is not None:
        return await _back_to_model(session, grant, deployment, wanted.to_model_id)
    if wanted.to_deployment_id is not None:
        target = await _open(session, grant, wanted.to_deployment_id)
        if target.project_id != deployment.project_id:
            raise Invalid.field(OF_OTHER_PROJECT, "to_deployment_id")
        return await _bring_back(session, grant, target)
    if deployment.stage is Stage.production:
        await _require_none_beside(session, deployment)
        return await _bring_back(session, grant, await _predecessor(session, deployment))
    if deployment.previous_model_id is None:
        raise Conflict(
            Message("served_one_model_only", "There is nothing to go back to: this deployment has served one model only.")
        )
    return await _back_to_model(session, grant, deployment, str(deployment.previous_model_id))


async def deactivate(session: WriteSession, grant: Grant, wanted: DeactivateDeployment) -> Deployment:
    """Stop serving. The deployment stays and can be brought back."""
    deployment = await _open(session, grant, wanted.deployment_id)
    if deployment.status is not DeploymentStatus.active:
        raise Conflict(Message("status_already", "The deployment is {status} already.", status=deployment.status))
    deployment.status = DeploymentStatus.inactive
    await _changed(session, grant, deployment, "deployment.deactivated", f"“{deployment.name}” was deactivated.")
    return deployment


async def delete(session: WriteSession, grant: Grant, wanted: DeleteDeployment) -> tuple[UUID, UUID, UUID]:
    """Remove a deployment that serves no more, with its inference log; its id, and those of its project and model."""
    deployment = await _open(session, grant, wanted.deployment_id)
    if deployment.status is DeploymentStatus.active:
        raise Conflict(Message("deployment_serves", "The deployment still serves; deactivate it first."))
    await _changed(session, grant, deployment, "deployment.deleted", f"“{deployment.name}” was deleted.")
    await session.delete(deployment)
    return deployment.id, deployment.project_id, deployment.model_id


async def _open(session: WriteSession, grant: Grant, deployment_id: str) -> Deployment:
    """The deployment, with its project locked so that two changes never cross."""
    found = await open_row(session, grant, Deployment, deployment_id, "Deployment")
    await _lock(session, found.project_id)
    await session.refresh(found)
    return found


async def _lock(session: WriteSession, project_id: UUID) -> None:
    # Not a full lock: rows of the inference log refer to the project, and whoever stores them holds deployments meanwhile.
    lock = select(col(Project.id)).where(col(Project.id) == project_id).with_for_update(key_share=True)
    await session.execute(lock)


async def _model_of(session: WriteSession, grant: Grant, project_id: UUID, model_id: str, key: str) -> Model:
    model = await open_row(session, grant, Model, model_id, "Model")
    if model.project_id != project_id:
        raise Invalid.field(OF_OTHER_PROJECT, key)
    return model


async def _next_version(session: WriteSession, project_id: UUID, name: str) -> int:
    query = select(func.max(col(Deployment.version)))
    highest = await session.scalar(query.where(col(Deployment.project_id) == project_id, col(Deployment.name) == name))
    return (highest or 0) + 1


async def _displace(session: WriteSession, grant: Grant, by: Deployment) -> None:
    """Archive the project's active production deployment, if there is one."""
    present = await _in_production(session, by.project_id)
    if present is None:
        return
    present.status = DeploymentStatus.archived
    present.archived_at = now()
    by.previous_deployment_id = present.id
    await _changed(session, grant, present, "deployment.archived", f"“{present.name}” was replaced by “{by.name}”.")
    # Before the new one turns active, or the index that allows one active deployment refuses it.
    await session.flush()


async def _in_production(session: WriteSession, project_id: UUID) -> Deployment | None:
    query = select(Deployment).where(
        col(Deployment.project_id) == project_id,
        col(Deployment.stage) == Stage.production,
        col(Deployment.status) == DeploymentStatus.active,
    )
    return await session.scalar(query)


async def _require_none_beside(session: WriteSession, deployment: Deployment) -> None:
    """Raise Conflict when another one serves in production: going back from here would displace it unasked."""
    present = await _in_production(session, deployment.project_id)
    if present is not None and present.id != deployment.id:
        raise Conflict(
            Message(
                "other_serves_in_production",
                "This deployment is {status}; “{name}” ({id}) serves in production: roll that one back, or name this "
                "one as its to_deployment_id.",
                status=deployment.status,
                name=present.name,
                id=str(present.id),
            )
        )


async def _predecessor(session: WriteSession, deployment: Deployment) -> Deployment:
    query = select(Deployment).where(
        col(Deployment.project_id) == deployment.project_id,
        col(Deployment.stage) == Stage.production,
        col(Deployment.status) == DeploymentStatus.archived,
        col(Deployment.id) != deployment.id,
    )
    found = await session.scalar(query.order_by(col(Deployment.archived_at).desc().nulls_last()).limit(1))
    if found is None:
        raise Conflict(
            Message("no_earlier_deployment", "There is nothing to go back to: no earlier production deployment exists.")
        )
    return found


async def _bring_back(session: WriteSession, grant: Grant, target: Deployment) -> Deployment:
    """Let a deployment serve again where it served before: what was never in production is no way back for it."""
    if target.status is DeploymentStatus.active:
        raise Conflict(_serving_already(target))
    if target.stage is Stage.production:
        await _displace(session, grant, target)
    target.status = DeploymentStatus.active
    target.archived_at, target.deployed_at = None, now()
    await _changed(session, grant, target, "deployment.rolled_back", f"“{target.name}” serves in {target.stage} again.")
    return target


def _serving_already(target: Deployment) -> Message:
    if target.stage is Stage.production:
        return Message("serves_in_production_already", "That deployment serves in production already.")
    return Message(
        "serves_in_staging",
        "That deployment serves in staging and never was in production; promote it instead.",
    )


async def _back_to_model(session: WriteSession, grant: Grant, deployment: Deployment, model_id: str) -> Deployment:
    if deployment.status is not DeploymentStatus.active:
        raise Conflict(
            Message(
                "only_active_changes_model",
                "The deployment is {status}; only an active one can change its model.",
                status=deployment.status,
            )
        )
    model = await _model_of(session, grant, deployment.project_id, model_id, "to_model_id")
    if model.id == deployment.model_id:
        raise Conflict(Message("model_served_already", "The deployment serves that model already."))
    deployment.previous_model_id, deployment.model_id = deployment.model_id, model.id
    deployment.deployed_at = now()
    message = f"“{deployment.name}” went back to the model {model.name}."
    await _changed(session, grant, deployment, "deployment.rolled_back", message)
    return deployment


async def _changed(session: WriteSession, grant: Grant, deployment: Deployment, kind: str, message: str) -> None:
    deployment.updated_at = now()
    session.add(deployment)
    await notify(session, SERVING, str(deployment.id))
    data: dict[str, Any] = {"model_id": str(deployment.model_id), "stage": deployment.stage, "status": deployment.status}
    await event.audit(session, grant.user_id, deployment, kind, message, data)
