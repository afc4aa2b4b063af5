"""What can be done with rollouts: a candidate answers a share of the production deployment's rows, or is asked in vain."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import col, select

from coreplex.deployment.gates import pass_gate
from coreplex.deployment.production import changed, end, in_production, next_version, opened, running, same_target
from coreplex.deployment.rollout_inputs import (
    DEFAULT_STEPS,
    AbortCanary,
    AdvanceCanary,
    StartCanary,
    StartShadow,
    StopShadow,
)
from coreplex.deployment.table import Deployment, DeploymentStatus, Loss, Rollout, RolloutKind, RolloutStatus, Stage, Strategy
from coreplex.errors.tree import Conflict, Invalid, Message
from coreplex.experiment.table import ProblemType
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, open_row
from coreplex.model.table import Model
from coreplex.platform.clock import now
from coreplex.platform.database import ReadSession, WriteSession
from coreplex.platform.permissions import Grant
from coreplex.platform.settings import Settings

SPLITTING = frozenset({RolloutKind.canary, RolloutKind.ab_test})
"""Kinds by which rows are answered by either side."""
# A/B tests stand above deployments.
TEST_OF = text("SELECT id, name FROM ab_tests WHERE rollout_id = :rollout")
TOO_MANY = "Delete deployments that do not serve any more: their rollouts go with them"


async def start_canary(session: WriteSession, grant: Grant, wanted: StartCanary, settings: Settings) -> Rollout:
    """Let a candidate answer a share of the production deployment's rows, in steps. Raises Conflict, Invalid, QuotaExceeded."""
    baseline, candidate = await _both(session, grant, wanted, settings)
    rollout = Rollout(
        kind=RolloutKind.canary,
        **wanted.plan(),
        auto_advance=wanted.auto_advance,
        max_error_increase=wanted.max_error_increase,
        max_loss_increase=wanted.max_loss_increase,
        confidence=wanted.confidence_level,
        percent=0,
        **_between(grant, baseline, candidate),
    )
    return await begin(session, grant, rollout, candidate, settings, wanted.key, wanted.override_reason)


async def start_shadow(session: WriteSession, grant: Grant, wanted: StartShadow, settings: Settings) -> Rollout:
    """Ask a candidate what the production deployment is asked; its answers are logged and never returned."""
    baseline, candidate = await _both(session, grant, wanted, settings)
    rollout = Rollout(kind=RolloutKind.shadow, percent=wanted.percent, **_between(grant, baseline, candidate))
    return await begin(session, grant, rollout, candidate, settings, wanted.key)


def _between(grant: Grant, baseline: Deployment, candidate: Deployment) -> dict[str, Any]:
    ids = {"project_id": baseline.project_id, "baseline_id": baseline.id, "candidate_id": candidate.id}
    return {**ids, "created_by": grant.user_id}


def beside(grant: Grant, baseline: Deployment, candidate: Deployment, percent: int) -> Rollout:
    """The rollout of a deployment created as a candidate; `percent` is the first step of a canary, or the shadow's share."""
    between = _between(grant, baseline, candidate)
    if candidate.strategy is Strategy.shadow:
        return Rollout(kind=RolloutKind.shadow, percent=percent, **between)
    first = [percent] if percent < 100 else []
    later = [step for step in DEFAULT_STEPS if not first or step > percent]
    return Rollout(kind=RolloutKind.canary, percent=0, steps=[*first, *later], **between)


async def begin(
    session: WriteSession,
    grant: Grant,
    rollout: Rollout,
    candidate: Deployment,
    settings: Settings,
    key: str,
    override_reason: str = "",
) -> Rollout:
    """Run a rollout; `key`: what named its candidate.

    Raises Conflict where one of its kind runs beside the same deployment, or of the same candidate, and where the candidate would
    answer all rows though the project's gate keeps it out of production.
    """
    baseline = await session.get_one(Deployment, rollout.baseline_id)
    rollout.loss = await common_loss(session, baseline, candidate, key)
    await require_free(session, rollout, baseline, candidate)
    await quota.take_item(session, settings, rollout.project_id, Rollout, TOO_MANY)
    candidate.is_candidate, candidate.strategy = True, Strategy(rollout.kind)
    session.add(rollout)
    if rollout.kind is RolloutKind.canary:
        _enter(rollout, 0)
        if rollout.percent == 100:
            await pass_gate(session, grant.user_id, candidate, override_reason)
    candidate.traffic_percent = rollout.percent
    await session.flush()
    share = "answers" if rollout.kind is RolloutKind.canary else "is asked in vain for"
    said = f"“{candidate.name}” {share} {rollout.percent} % of the rows of “{baseline.name}”."
    await changed(session, grant.user_id, candidate, f"{rollout.kind}.started", said, rollout)
    return rollout


async def require_free(session: ReadSession, rollout: Rollout, baseline: Deployment, candidate: Deployment) -> None:
    """Raise Conflict where the baseline has a share only, or another rollout runs that this one would cross."""
    if baseline.traffic_percent < 100:
        raise Conflict(
            Message(
                "baseline_has_share",
                "“{name}” itself answers {percent} % of the rows only: set its traffic_percent to 100 first.",
                name=baseline.name,
                percent=baseline.traffic_percent,
            )
        )
    for other in (*await running(session, baseline), *await running(session, candidate)):
        split_both = {other.kind, rollout.kind} <= SPLITTING
        if other.kind is rollout.kind or split_both or rollout.candidate_id in {other.candidate_id, other.baseline_id}:
            raise Conflict(await _runs_already(session, other))


async def _runs_already(session: ReadSession, other: Rollout) -> Message:
    """That another rollout runs, by what can be looked up and ended."""
    if other.kind is RolloutKind.ab_test:
        test = (await session.execute(TEST_OF, {"rollout": other.id})).one()
        return Message(
            "ab_test_runs",
            "One of these deployments takes part in the A/B test “{name}” ({id}) already: stop it first.",
            name=test.name,
            id=str(test.id),
        )
    candidate = await session.get_one(Deployment, other.candidate_id)
    return Message(
        "rollout_runs",
        "One of these deployments takes part in a {kind} already, with the deployment “{name}” ({id}) as its candidate: end it "
        "first.",
        kind=other.kind,
        name=candidate.name,
        id=str(candidate.id),
    )


async def advance(session: WriteSession, grant: Grant, wanted: AdvanceCanary) -> Rollout:
    """Take the next step; behind the last the candidate is in production. Raises Conflict before the step has its minimum, and
    where the canary has gone on since the caller looked."""
    rollout = await _canary(session, grant, wanted.deployment_id)
    if wanted.from_percent not in (None, rollout.percent):
        raise Conflict(
            Message("advanced_meanwhile", "It has {percent} % of the rows by now; look again.", percent=rollout.percent)
        )
    missing = short_of(rollout)
    if missing is not None and not wanted.force:
        raise Conflict(missing)
    await step_up(session, grant.user_id, rollout, wanted.reason, wanted.override_reason)
    return rollout


async def abort(session: WriteSession, grant: Grant, wanted: AbortCanary) -> Rollout:
    """Give all rows back to the production deployment."""
    rollout = await _canary(session, grant, wanted.deployment_id)
    await end(session, grant.user_id, rollout, RolloutStatus.aborted, said_by(wanted.reason))
    return rollout


async def stop_shadow(session: WriteSession, grant: Grant, wanted: StopShadow) -> Rollout:
    """Ask the candidate no more."""
    rollout = await _running(session, grant, wanted.deployment_id, RolloutKind.shadow)
    await end(session, grant.user_id, rollout, RolloutStatus.aborted, said_by(wanted.reason))
    return rollout


def said_by(reason: str) -> Message | None:
    return Message("said_so", "{reason}", reason=reason) if reason else None


async def step_up(
    session: WriteSession, actor_id: UUID | None, rollout: Rollout, why: str = "", override_reason: str = ""
) -> None:
    """The next step of a canary, whoever takes it. Raises Conflict where the project's gate keeps it out of production."""
    following = rollout.step + 1
    if following >= len(rollout.steps) or rollout.steps[following] >= 100:
        await pass_gate(session, actor_id, await session.get_one(Deployment, rollout.candidate_id), override_reason)
        rollout.step, rollout.percent = min(following, len(rollout.steps) - 1), 100
        await end(session, actor_id, rollout, RolloutStatus.completed, said_by(why))
        return
    _enter(rollout, following)
    candidate = await session.get_one(Deployment, rollout.candidate_id)
    candidate.traffic_percent = rollout.percent
    session.add(rollout)
    said = f"“{candidate.name}” answers {rollout.percent} % of the rows now." + (f" {why}" if why else "")
    await changed(session, actor_id, candidate, "canary.advanced", said, rollout)


def _enter(rollout: Rollout, step: int) -> None:
    rollout.step, rollout.percent = step, rollout.steps[step]
    rollout.step_began_at, rollout.rows_before_step = now(), rollout.candidate_rows


def short_of(rollout: Rollout) -> Message | None:
    """What its step lacks before the next one; None when it has its minimum."""
    rows = rollout.candidate_rows - rollout.rows_before_step
    secs = max(0.0, (now() - rollout.step_began_at).total_seconds())  # the clock may have been put back
    if rows >= rollout.min_row_count and secs >= rollout.min_secs:
        return None
    return Message(
        "step_too_short",
        "This step has answered {rows} of at least {min_row_count} rows, in {secs} of at least {min_secs} seconds. Wait, or "
        "advance with `force`.",
        rows=rows,
        min_row_count=rollout.min_row_count,
        secs=int(secs),
        min_secs=rollout.min_secs,
    )


def lacking(rollout: Rollout) -> Message | None:
    """The same while it runs, of a canary."""
    return short_of(rollout) if rollout.steps and rollout.status is RolloutStatus.running else None


async def _both(
    session: WriteSession, grant: Grant, wanted: StartCanary | StartShadow, settings: Settings
) -> tuple[Deployment, Deployment]:
    """The production deployment and its candidate; without a candidate, `deployment_id` is the candidate."""
    named = await opened(session, grant, wanted.deployment_id)
    if wanted.candidate_deployment_id is None and wanted.candidate_model_id is None:
        return await _production_beside(session, named), _ready(named)
    _require_production(named)
    if wanted.candidate_model_id is not None:
        return named, await _made_of(session, grant, named, wanted.candidate_model_id, settings)
    candidate = await open_row(session, grant, Deployment, str(wanted.candidate_deployment_id), "Deployment")
    if candidate.project_id != named.project_id:
        raise Invalid.field(OF_OTHER_PROJECT, "candidate_deployment_id")
    if candidate.id == named.id:
        raise Invalid.field(Message("candidate_is_baseline", "is the production deployment itself"), "candidate_deployment_id")
    return named, _ready(candidate)


async def _production_beside(session: WriteSession, candidate: Deployment) -> Deployment:
    baseline = await in_production(session, candidate.project_id)
    if baseline is None:
        raise Conflict(NO_BASELINE)
    if baseline.id == candidate.id:
        raise Invalid.field(
            Message("no_candidate", "serves in production: name a candidate beside it, a deployment or a model"),
            "candidate_deployment_id",
        )
    return baseline


NO_BASELINE = Message(
    "no_production_beside",
    "No deployment serves in production in this project, so there is none to stand beside. Deploy one first.",
)


def _require_production(deployment: Deployment) -> None:
    if deployment.stage is not Stage.production or deployment.status is not DeploymentStatus.active or deployment.is_candidate:
        raise Conflict(
            Message(
                "not_in_production",
                "“{name}” does not serve in production; a candidate stands beside the deployment that does.",
                name=deployment.name,
            )
        )


def _ready(candidate: Deployment) -> Deployment:
    if candidate.status is not DeploymentStatus.active:
        raise Conflict(
            Message("candidate_inactive", "The candidate is {status}; only an active one can answer.", status=candidate.status)
        )
    return candidate


async def _made_of(session: WriteSession, grant: Grant, baseline: Deployment, model_id: str, settings: Settings) -> Deployment:
    name = f"{baseline.name[:180]} candidate"
    return await staged(session, grant, baseline.project_id, model_id, name, settings, "candidate_model_id")


async def staged(
    session: WriteSession, grant: Grant, project_id: UUID, model_id: str, name: str, settings: Settings, key: str
) -> Deployment:
    """A staging deployment of a model, made to stand beside another one; `key`: what names the model. Raises QuotaExceeded."""
    model = await open_row(session, grant, Model, model_id, "Model")
    if model.project_id != project_id:
        raise Invalid.field(OF_OTHER_PROJECT, key)
    await quota.take_item(session, settings, project_id, Deployment, TOO_MANY)
    made = Deployment(
        project_id=project_id,
        model_id=model.id,
        name=name,
        version=await next_version(session, project_id, name),
        stage=Stage.staging,
        created_by=grant.user_id,
        deployed_at=now(),
    )
    session.add(made)
    await session.flush()
    await changed(session, grant.user_id, made, "deployment.created", f"“{made.name}” serves in {made.stage}.")
    return made


async def common_loss(session: WriteSession, baseline: Deployment, candidate: Deployment, key: str) -> Loss:
    """What their outcomes are judged by. Raises Invalid when the two models do not predict the same."""
    ours, theirs = [await session.get_one(Model, one.model_id) for one in (baseline, candidate)]
    require_same_target(ours, theirs, baseline.name, key)
    return Loss.absolute_error if ours.problem_type is ProblemType.regression else Loss.misclassification


def require_same_target(ours: Model, theirs: Model, name: str, key: str) -> None:
    """Raise Invalid when a model does not predict what that of the deployment called `name` does."""
    if not same_target(ours, theirs):
        raise Invalid.field(
            Message(
                "other_target",
                "predicts “{target}” ({kind}), and “{name}” predicts “{other}” ({other_kind})",
                target=theirs.target_column,
                kind=theirs.problem_type,
                name=name,
                other=ours.target_column,
                other_kind=ours.problem_type,
            ),
            key,
        )


async def _canary(session: WriteSession, grant: Grant, deployment_id: str) -> Rollout:
    return await _running(session, grant, deployment_id, RolloutKind.canary)


async def _running(session: WriteSession, grant: Grant, deployment_id: str, kind: RolloutKind) -> Rollout:
    deployment = await opened(session, grant, deployment_id)
    for rollout in await running(session, deployment):
        if rollout.kind is kind:
            return rollout
    raise Conflict(Message("no_rollout_runs", "No {kind} runs in which this deployment takes part.", kind=kind))


async def latest(session: ReadSession, deployment_ids: Sequence[UUID], kind: RolloutKind) -> dict[UUID, Rollout]:
    """The newest rollout of a kind in which each deployment takes or took part, where there is one."""
    found: dict[UUID, Rollout] = {}
    for side in ("baseline_id", "candidate_id"):
        column: Any = getattr(Rollout, side)
        query = select(Rollout).where(column.in_(deployment_ids), col(Rollout.kind) == kind)
        for rollout in await session.scalars(query.ext(distinct_on(column)).order_by(column, col(Rollout.id).desc())):
            identity = getattr(rollout, side)
            if identity not in found or found[identity].id < rollout.id:
                found[identity] = rollout
    return found
