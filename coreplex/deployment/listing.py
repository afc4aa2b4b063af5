"""Lists of deployments, and of models by whether they serve."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlmodel import col

from coreplex.deployment.table import Deployment, DeploymentStatus, ModelStage, Rollout, RolloutKind, RolloutStatus, Stage
from coreplex.membership.access import visible_projects
from coreplex.model import service as model
from coreplex.model.table import Model
from coreplex.platform.database import ReadSession
from coreplex.platform.filtering import flag, identifiers, moments, one_of, reference, text
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing

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
        "is_candidate": flag(col(Deployment.is_candidate), "Whether they stand beside the production deployment in a rollout."),
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


async def model_stages(session: ReadSession, model_ids: Sequence[UUID]) -> Mapping[UUID, ModelStage]:
    """The stage of each model that is or was deployed; all others are candidates."""
    active, production = col(Deployment.status) == DeploymentStatus.active, col(Deployment.stage) == Stage.production
    query = select(col(Deployment.model_id), func.bool_or(active & production), func.bool_or(active), func.bool_or(production))
    found: dict[UUID, ModelStage] = {}
    for model_id, serves, tried, served in await session.execute(
        query.where(col(Deployment.model_id).in_(model_ids)).group_by(col(Deployment.model_id))
    ):
        stage = ModelStage.staging if tried else ModelStage.retired if served else ModelStage.candidate
        found[model_id] = ModelStage.production if serves else stage
    return found


async def serving_stages(session: ReadSession, model_ids: Sequence[UUID]) -> Mapping[UUID, frozenset[Stage]]:
    """Stages in which an active deployment serves each model, where there is one."""
    active = col(Deployment.status) == DeploymentStatus.active
    query = select(col(Deployment.model_id), col(Deployment.stage)).where(col(Deployment.model_id).in_(model_ids), active)
    found: dict[UUID, frozenset[Stage]] = {}
    for model_id, stage in await session.execute(query):
        found[model_id] = found.get(model_id, frozenset()) | {stage}
    return found


def _name_of(deployment_id: Any) -> Any:
    return select(col(Deployment.name)).where(col(Deployment.id) == deployment_id).correlate(Rollout).scalar_subquery()


ROLLOUTS = Listing(
    noun="Rollout",
    query=select(Rollout),
    identity=col(Rollout.id),
    order=Order({"created_at": col(Rollout.created_at)}),
    search=Search("the names of its deployments", (_name_of(col(Rollout.baseline_id)), _name_of(col(Rollout.candidate_id)))),
    filters={
        "project_id": reference(col(Rollout.project_id), "Project", "Only rollouts of this project."),
        "baseline_id": reference(col(Rollout.baseline_id), "Deployment", "Only rollouts beside this production deployment."),
        "candidate_id": reference(col(Rollout.candidate_id), "Deployment", "Only rollouts of this candidate."),
        "kind": one_of(col(Rollout.kind), RolloutKind, "Only these kinds."),
        "status": one_of(col(Rollout.status), RolloutStatus, "Only rollouts in one of these states."),
        "created_at": moments(col(Rollout.created_at), "By when they began."),
    },
    visible=lambda grant: col(Rollout.project_id).in_(visible_projects(grant)),
    parent=col(Rollout.project_id),
)
"""Rollouts of the caller's projects."""
