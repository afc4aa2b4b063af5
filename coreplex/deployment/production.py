"""Which deployment serves in production, what displaces it, and how rollouts beside it end.

Whoever changes anything here holds the project and then its running rollouts, in this order: those who store the inference log
hold rollouts before deployments.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlmodel import col

from coreplex.deployment.table import (
    Deployment,
    DeploymentStatus,
    Rollout,
    RolloutKind,
    RolloutStatus,
    RolloutUnit,
    Stage,
    Strategy,
)
from coreplex.errors.tree import Conflict, Message, NotFound
from coreplex.event import service as event
from coreplex.membership.access import SERVING, open_row
from coreplex.membership.table import Project
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.listener import announce_change
from coreplex.platform.permissions import Grant
from coreplex.webhook import outbox
from coreplex.webhook.event_types import declare

ADDRESS_GOES_ON = frozenset({Strategy.canary, Strategy.blue_green})
"""Callers of what such a deployment displaced, or of itself once it is displaced, are answered by what serves instead."""
LET_GO = {
    RolloutStatus.completed: "“{candidate}” took over from “{baseline}”.",
    RolloutStatus.aborted: "“{candidate}” stands beside “{baseline}” no more.",
    RolloutStatus.stopped: "“{candidate}” was stopped: {reason}",
}
WEBHOOKS_HEAR_OF = frozenset(
    declare(name, description)
    for name, description in (
        ("deployment.promoted", "A deployment was promoted to production."),
        ("deployment.rolled_back", "A deployment serves what it, or its predecessor, served before."),
        ("deployment.deactivated", "A deployment serves no more."),
        ("canary.completed", "A canary took over from the production deployment."),
        ("canary.stopped", "A canary stopped by itself: it failed, or its outcomes were worse, more than it may."),
        ("shadow.stopped", "A shadow stopped by itself: it failed more than it may."),
    )
)
DELETED = Message("deployment_deleted", "Its deployment was deleted.")
"""Why what went on about a deployment is over."""

TestEnded = Callable[[WriteSession, UUID | None, Rollout], Awaitable[None]]
TEST_ENDED: list[TestEnded] = []
"""What else is to be done where the rollout of an A/B test ends, of whatever: said by the concept that stands above."""


async def opened(session: WriteSession, grant: Grant, deployment_id: str) -> Deployment:
    """The deployment, with its project locked so that two changes never cross."""
    found = await open_row(session, grant, Deployment, deployment_id, "Deployment")
    await hold(session, found.project_id)
    if await session.get(Deployment, found.id, populate_existing=True) is None:
        raise NotFound.of("Deployment")  # while this waited
    return found


async def hold(session: WriteSession, project_id: UUID) -> None:
    """Be alone with what serves in a project."""
    # Not a full lock: rows of the inference log refer to the project, and whoever stores them holds deployments meanwhile.
    lock = select(col(Project.id)).where(col(Project.id) == project_id).with_for_update(key_share=True)
    await session.execute(lock)
    running = select(Rollout).where(col(Rollout.project_id) == project_id, col(Rollout.status) == RolloutStatus.running)
    await session.scalars(running.with_for_update().execution_options(populate_existing=True))


async def in_production(session: ReadSession, project_id: UUID) -> Deployment | None:
    """The active production deployment, candidates beside it apart."""
    query = select(Deployment).where(
        col(Deployment.project_id) == project_id,
        col(Deployment.stage) == Stage.production,
        col(Deployment.status) == DeploymentStatus.active,
        ~col(Deployment.is_candidate),
    )
    return await session.scalar(query)


async def serving_model(session: ReadSession, model: Model) -> UUID | None:
    """The model that serves in production for the same target of the project, if there is one."""
    present = await in_production(session, model.project_id)
    served = None if present is None else await session.get(Model, present.model_id)
    return served.id if served is not None and served.target_column == model.target_column else None


async def next_version(session: ReadSession, project_id: UUID, name: str) -> int:
    """Of the deployments of a name, counted from 1."""
    query = select(func.max(col(Deployment.version)))
    highest = await session.scalar(query.where(col(Deployment.project_id) == project_id, col(Deployment.name) == name))
    return (highest or 0) + 1


def enter_production(deployment: Deployment) -> None:
    """What it served in staging is no way back from now on."""
    deployment.stage, deployment.is_candidate, deployment.deployed_at = Stage.production, False, now()
    deployment.previous_model_id = None


def answers_rest(displaced_id: Any, newer: Any = Deployment) -> ColumnElement[bool]:
    """Whether `newer` serves in production with a share that leaves rows to the deployment it displaced."""
    return and_(
        newer.previous_deployment_id == displaced_id,
        newer.stage == Stage.production,
        newer.status == DeploymentStatus.active,
        newer.traffic_percent < 100,
        ~newer.is_candidate,
    )


async def running(session: ReadSession, deployment: Deployment) -> Sequence[Rollout]:
    """The rollouts in which it is the baseline or the candidate."""
    query = select(Rollout).where(
        or_(col(Rollout.baseline_id) == deployment.id, col(Rollout.candidate_id) == deployment.id),
        col(Rollout.status) == RolloutStatus.running,
    )
    return (await session.scalars(query.order_by(col(Rollout.kind)))).all()


async def running_canary(session: ReadSession, deployment: Deployment) -> Rollout | None:
    return next((one for one in await running(session, deployment) if one.kind is RolloutKind.canary), None)


async def displace(session: WriteSession, actor_id: UUID | None, by: Deployment) -> None:
    """Archive the project's active production deployment, if there is one, and end what ran beside it."""
    present = await in_production(session, by.project_id)
    if present is None or present.id == by.id:
        return
    await end_all(session, actor_id, present, Message("baseline_displaced", "the production deployment was replaced"))
    present.status, present.archived_at = DeploymentStatus.archived, now()
    by.previous_deployment_id, by.successor_id = present.id, None
    message = f"“{present.name}” was replaced by “{by.name}”."
    await changed(session, actor_id, present, "deployment.archived", message)
    # Before the new one turns active, or the index that allows one active deployment refuses it.
    await session.flush()
    session.add(by)
    await session.flush()
    goes_on = by.strategy in ADDRESS_GOES_ON or present.strategy in ADDRESS_GOES_ON
    if goes_on and await _other_target(session, by, present) is None:
        present.successor_id = by.id


async def require_address_goes_on(session: ReadSession, deployment: Deployment) -> None:
    """Raise Conflict for a deployment that is to answer at the address of one that predicts something else."""
    if deployment.strategy in ADDRESS_GOES_ON:
        await _require_target_of_previous(session, deployment)


async def _require_target_of_previous(session: ReadSession, deployment: Deployment) -> None:
    if deployment.previous_deployment_id is not None:
        previous = await session.get_one(Deployment, deployment.previous_deployment_id)
        if (told := await _other_target(session, deployment, previous)) is not None:
            raise Conflict(told)


async def _other_target(session: ReadSession, deployment: Deployment, previous: Deployment) -> Message | None:
    """Why two deployments cannot answer the callers of one; None where both predict the same."""
    new, old = [await session.get_one(Model, one.model_id) for one in (deployment, previous)]
    if same_target(new, old):
        return None
    return Message(
        "previous_predicts_other",
        "“{name}” predicts “{other}” ({other_kind}), this one “{target}” ({kind}), and callers would have answers of both: leave "
        "traffic_percent at 100 and strategy `direct`.",
        name=previous.name,
        other=old.target_column,
        other_kind=old.problem_type,
        target=new.target_column,
        kind=new.problem_type,
    )


def same_target(ours: Model, theirs: Model) -> bool:
    """Whether two models predict the same, so that one may answer for the other."""
    return (ours.problem_type, ours.target_column) == (theirs.problem_type, theirs.target_column)


async def require_rest_answered(session: ReadSession, deployment: Deployment) -> None:
    """Raise Conflict for a share of production with nothing before it that answers the rest, or that predicts something else."""
    if deployment.traffic_percent == 100:
        return
    if deployment.strategy is Strategy.blue_green:
        raise Conflict(
            Message("blue_green_is_whole", "With blue_green one deployment answers all rows: leave traffic_percent at 100.")
        )
    if deployment.previous_deployment_id is None:
        raise Conflict(
            Message(
                "nothing_answers_the_rest",
                "Nothing serves in production that could answer the other {rest} % of the rows: leave traffic_percent at 100.",
                rest=100 - deployment.traffic_percent,
            )
        )
    await _require_target_of_previous(session, deployment)


async def end_all(session: WriteSession, actor_id: UUID | None, deployment: Deployment, reason: Message) -> None:
    """Abort every rollout it takes part in."""
    for rollout in await running(session, deployment):
        await end(session, actor_id, rollout, RolloutStatus.aborted, reason)


async def end(
    session: WriteSession, actor_id: UUID | None, rollout: Rollout, status: RolloutStatus, reason: Message | None
) -> None:
    """A rollout that is over. The candidate of a completed one is in production; another serves where it served before."""
    baseline = await session.get_one(Deployment, rollout.baseline_id)
    candidate = await session.get_one(Deployment, rollout.candidate_id)
    rollout.status, rollout.reason, rollout.finished_at = status, reason, now()
    session.add(rollout)
    await session.flush()
    if rollout.kind is RolloutKind.ab_test:
        await _end_test(session, actor_id, rollout)
        return
    candidate.traffic_percent = 100
    if status is RolloutStatus.completed:
        await displace(session, actor_id, candidate)
        enter_production(candidate)
    else:
        candidate.is_candidate = False
        if candidate.stage is Stage.production:
            candidate.status = DeploymentStatus.inactive
        else:
            candidate.strategy = Strategy.direct
    said = LET_GO[status].format(candidate=candidate.name, baseline=baseline.name, reason=reason)
    await changed(session, actor_id, candidate, f"{rollout.kind}.{status}", said, rollout)


async def _end_test(session: WriteSession, actor_id: UUID | None, rollout: Rollout) -> None:
    """Both sides go on as they were; the counts stay, the keys that were counted go."""
    await session.execute(delete(RolloutUnit).where(col(RolloutUnit.rollout_id) == rollout.id))
    await announce_change(session, SERVING, str(rollout.baseline_id))
    for ended in TEST_ENDED:
        await ended(session, actor_id, rollout)


async def changed(
    session: WriteSession,
    actor_id: UUID | None,
    deployment: Deployment,
    kind: str,
    message: str,
    rollout: Rollout | None = None,
) -> None:
    """Tell every process that serves, the timeline, and webhooks where it is for them. No actor: the server itself."""
    deployment.updated_at = now()
    session.add(deployment)
    await announce_change(session, SERVING, str(deployment.id))
    data: dict[str, Any] = {"model_id": str(deployment.model_id), "stage": deployment.stage, "status": deployment.status}
    if rollout is not None:
        data |= {"rollout_id": str(rollout.id), "rollout_status": rollout.status, "percent": rollout.percent}
    if kind in WEBHOOKS_HEAR_OF:
        said = {"message": message, "deployment_id": str(deployment.id), "name": deployment.name, **data}
        await outbox.send(session, deployment.project_id, kind, said, subject=f"deployment/{deployment.id}")
    await event.audit(session, actor_id, deployment, kind, message, data)
