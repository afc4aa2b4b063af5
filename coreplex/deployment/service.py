"""What can be done with deployments. At most one per project serves in production; the database refuses a second."""

from uuid import UUID

from sqlalchemy import or_, select
from sqlmodel import col

from coreplex.deployment import rollouts
from coreplex.deployment.gates import pass_gate
from coreplex.deployment.inputs import (
    CreateDeployment,
    DeactivateDeployment,
    DeleteDeployment,
    PromoteDeployment,
    RollbackDeployment,
    UpdateDeployment,
)
from coreplex.deployment.production import (
    answers_rest,
    changed,
    displace,
    end,
    end_all,
    enter_production,
    hold,
    in_production,
    next_version,
    opened,
    require_address_goes_on,
    require_rest_answered,
    running,
    running_canary,
)
from coreplex.deployment.replay_gate import Requirement
from coreplex.deployment.table import Deployment, DeploymentStatus, Rollout, RolloutKind, RolloutStatus, Stage, Strategy
from coreplex.errors.tree import Conflict, Invalid, Message, NotFound
from coreplex.job.schedule import run_now
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, open_project, open_row
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.dependents import remove_dependents
from coreplex.platform.permissions import Grant
from coreplex.platform.settings import Settings

TOO_MANY = "Delete deployments that do not serve any more"
BESIDE = frozenset({Strategy.canary, Strategy.shadow})
NOT_KEPT = frozenset({"privacy_policy_id", "privacy_column_map", "log_days"})
"""What is refused where it says anything, so that there is nothing to keep, or is kept in other words."""


async def create(session: WriteSession, grant: Grant, wanted: CreateDeployment, settings: Settings) -> Deployment:
    """Serve a model under a name. In production the present deployment is archived; a canary or a shadow stands beside it.

    Raises Conflict where a share of production, a canary or a shadow has nothing beside it, and QuotaExceeded.
    """
    project = await open_project(session, grant, wanted.project_id)
    await hold(session, project.id)
    model = await _model_of(session, grant, project.id, wanted.model_id, "model_id")
    _refuse_policy(wanted.privacy_policy_id)
    await quota.take_item(session, settings, project.id, Deployment, TOO_MANY)
    deployment = Deployment(
        project_id=project.id,
        model_id=model.id,
        created_by=grant.user_id,
        deployed_at=now(),
        version=await next_version(session, project.id, wanted.name),
        log_days=wanted.log_days or None,
        **wanted.model_dump(exclude={"project_id", "model_id", "override_reason", *NOT_KEPT}, exclude_none=True),
    )
    if deployment.log_days:
        await _make_room(session)
    if deployment.strategy in BESIDE:
        await _create_beside(session, grant, deployment, settings)
        return deployment
    if deployment.stage is Stage.production:
        await pass_gate(session, grant.user_id, deployment, wanted.override_reason)
        await displace(session, grant.user_id, deployment)
        await require_rest_answered(session, deployment)
        await require_address_goes_on(session, deployment)
    session.add(deployment)
    await session.flush()
    await changed(session, grant.user_id, deployment, "deployment.created", f"“{deployment.name}” serves in {deployment.stage}.")
    return deployment


async def _create_beside(session: WriteSession, grant: Grant, deployment: Deployment, settings: Settings) -> None:
    """Add a deployment as a candidate of the one in production."""
    baseline = await in_production(session, deployment.project_id)
    if baseline is None:
        raise Conflict(rollouts.NO_BASELINE)
    percent, deployment.is_candidate = deployment.traffic_percent, True
    session.add(deployment)
    await session.flush()
    await changed(session, grant.user_id, deployment, "deployment.created", f"“{deployment.name}” stands in {deployment.stage}.")
    rollout = rollouts.beside(grant, baseline, deployment, percent)
    await rollouts.begin(session, grant, rollout, deployment, settings, "model_id")


async def update(session: WriteSession, grant: Grant, wanted: UpdateDeployment) -> Deployment:
    """Change its name, its share of the rows in production, how long its log is kept, or its privacy.

    Raises Conflict for a share it cannot have.
    """
    deployment = await opened(session, grant, wanted.deployment_id)
    _refuse_policy(wanted.privacy_policy_id)
    if wanted.traffic_percent not in (None, deployment.traffic_percent):
        await _refuse_in_rollout(session, deployment)
    for name, value in wanted.model_dump(exclude={"deployment_id", *NOT_KEPT}, exclude_none=True).items():
        setattr(deployment, name, value)
    if wanted.log_days is not None:
        deployment.log_days = wanted.log_days or None
        await _make_room(session)
    if deployment.stage is Stage.production and not deployment.is_candidate:
        await require_rest_answered(session, deployment)
    await changed(session, grant.user_id, deployment, "deployment.updated", f"“{deployment.name}” was changed.")
    return deployment


async def _refuse_in_rollout(session: WriteSession, deployment: Deployment) -> None:
    """Raise Conflict while a canary or a shadow says how its rows are shared."""
    rollout = next(iter(await running(session, deployment)), None)
    if rollout is not None:
        raise Conflict(
            Message(
                "share_of_rollout",
                "The deployment takes part in a rollout ({kind}), which says who answers how many rows: advance or end it.",
                kind=rollout.kind,
            )
        )


async def _make_room(session: WriteSession) -> None:
    """Have the partitions made that entries need which are kept for other days: until then they lie in the default one."""
    await run_now(session, "inference_log")


def _refuse_policy(policy_id: str | None) -> None:
    """Raise NotFound for any policy: there are none until the module for privacy opens them here."""
    if policy_id:
        raise NotFound.of("Policy")


async def promote(session: WriteSession, grant: Grant, wanted: PromoteDeployment) -> Deployment:
    """Move an active staging deployment, or a candidate, to production; the one it displaces is archived."""
    deployment = await opened(session, grant, wanted.deployment_id)
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
    if deployment.stage is Stage.production and not deployment.is_candidate:
        raise Conflict(Message("in_production_already", "The deployment is in production already."))
    asked = None if wanted.require_replay is None else Requirement(**wanted.require_replay.model_dump())
    await pass_gate(session, grant.user_id, deployment, wanted.override_reason, asked=asked)
    for rollout in await running(session, deployment):
        if rollout.kind is RolloutKind.ab_test:
            said = Message("deployment_promoted", "a deployment of it was promoted to production")
            await end(session, grant.user_id, rollout, RolloutStatus.aborted, said)
        else:
            await end(session, grant.user_id, rollout, RolloutStatus.completed, None)
    await displace(session, grant.user_id, deployment)
    await require_rest_answered(session, deployment)
    await require_address_goes_on(session, deployment)
    enter_production(deployment)
    await changed(session, grant.user_id, deployment, "deployment.promoted", f"“{deployment.name}” was promoted to production.")
    return deployment


async def rollback(session: WriteSession, grant: Grant, wanted: RollbackDeployment) -> Deployment:
    """Go back: to a named deployment, to a named model, or to what served before. Returns what serves now.

    While a canary runs, what served before is the production deployment without it. What has not served in production before
    has to pass the project's gate.
    """
    deployment = await opened(session, grant, wanted.deployment_id)
    if wanted.to_model_id is not None:
        return await _back_to_model(session, grant, deployment, wanted.to_model_id, wanted.override_reason)
    if wanted.to_deployment_id is not None:
        target = await opened(session, grant, wanted.to_deployment_id)
        if target.project_id != deployment.project_id:
            raise Invalid.field(OF_OTHER_PROJECT, "to_deployment_id")
        return await _bring_back(session, grant, target, wanted.override_reason)
    canary = await running_canary(session, deployment)
    if canary is not None:
        await end(session, grant.user_id, canary, RolloutStatus.aborted, Message("rolled_back", "it was rolled back"))
        return await session.get_one(Deployment, canary.baseline_id)
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
    deployment = await opened(session, grant, wanted.deployment_id)
    if deployment.status is not DeploymentStatus.active:
        raise Conflict(Message("status_already", "The deployment is {status} already.", status=deployment.status))
    await end_all(session, grant.user_id, deployment, Message("deactivated", "a deployment of it was deactivated"))
    deployment.status = DeploymentStatus.inactive
    await changed(session, grant.user_id, deployment, "deployment.deactivated", f"“{deployment.name}” was deactivated.")
    return deployment


async def delete(session: WriteSession, grant: Grant, wanted: DeleteDeployment) -> tuple[UUID, UUID, UUID]:
    """Remove a deployment that serves no more, with its inference log; its id, and those of its project and model."""
    deployment = await opened(session, grant, wanted.deployment_id)
    if deployment.status is DeploymentStatus.active:
        raise Conflict(Message("deployment_serves", "The deployment still serves; deactivate it first."))
    await _refuse_answering(session, deployment)
    # Those that have ended too: who stores the last rows of one holds it before the deployment, which takes it along.
    beside = or_(col(Rollout.baseline_id) == deployment.id, col(Rollout.candidate_id) == deployment.id)
    await session.execute(select(col(Rollout.id)).where(beside).order_by(col(Rollout.id)).with_for_update())
    await remove_dependents(session, Deployment, [deployment.id], grant.user_id)
    await changed(session, grant.user_id, deployment, "deployment.deleted", f"“{deployment.name}” was deleted.")
    await session.delete(deployment)
    return deployment.id, deployment.project_id, deployment.model_id


async def _refuse_answering(session: WriteSession, deployment: Deployment) -> None:
    """Raise Conflict while it answers the rest of a deployment that has a share of production."""
    name = await session.scalar(select(col(Deployment.name)).where(answers_rest(deployment.id)).limit(1))
    if name is not None:
        raise Conflict(
            Message(
                "answers_the_rest",
                "The deployment still answers a share of the rows of “{name}”: set that one's traffic_percent to 100 first.",
                name=name,
            )
        )


async def _model_of(session: WriteSession, grant: Grant, project_id: UUID, model_id: str, key: str) -> Model:
    model = await open_row(session, grant, Model, model_id, "Model")
    if model.project_id != project_id:
        raise Invalid.field(OF_OTHER_PROJECT, key)
    return model


async def _require_none_beside(session: WriteSession, deployment: Deployment) -> None:
    """Raise Conflict when another one serves in production: going back from here would displace it unasked."""
    present = await in_production(session, deployment.project_id)
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


async def _bring_back(session: WriteSession, grant: Grant, target: Deployment, override_reason: str = "") -> Deployment:
    """Let a deployment serve again where it served before: what was never in production is no way back for it."""
    if target.status is DeploymentStatus.active:
        raise Conflict(_serving_already(target))
    target.traffic_percent, target.successor_id = 100, None
    if target.stage is Stage.production:
        if target.status is not DeploymentStatus.archived:  # a candidate that was let go has never been displaced
            await pass_gate(session, grant.user_id, target, override_reason)
        await displace(session, grant.user_id, target)
    target.status = DeploymentStatus.active
    target.archived_at, target.deployed_at = None, now()
    await changed(session, grant.user_id, target, "deployment.rolled_back", f"“{target.name}” serves in {target.stage} again.")
    return target


def _serving_already(target: Deployment) -> Message:
    if target.stage is Stage.production:
        return Message("serves_in_production_already", "That deployment serves in production already.")
    return Message(
        "serves_in_staging",
        "That deployment serves in staging and never was in production; promote it instead.",
    )


async def _back_to_model(
    session: WriteSession, grant: Grant, deployment: Deployment, model_id: str, override_reason: str = ""
) -> Deployment:
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
    rollouts.require_same_target(await session.get_one(Model, deployment.model_id), model, deployment.name, "to_model_id")
    if deployment.stage is Stage.production and model.id != deployment.previous_model_id:
        await pass_gate(session, grant.user_id, deployment, override_reason, model)
    await end_all(session, grant.user_id, deployment, Message("other_model", "a deployment of it went back to another model"))
    deployment.previous_model_id, deployment.model_id = deployment.model_id, model.id
    deployment.deployed_at = now()
    message = f"“{deployment.name}” went back to the model {model.name}."
    await changed(session, grant.user_id, deployment, "deployment.rolled_back", message)
    return deployment
