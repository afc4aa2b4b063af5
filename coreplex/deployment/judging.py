"""Looks at running canaries: stops those that fail or err more than they may, and steps up those that advance by themselves."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from coreplex.deployment.production import end, hold
from coreplex.deployment.rollouts import short_of, step_up
from coreplex.deployment.table import Loss, Rollout, RolloutKind, RolloutStatus
from coreplex.engines.sequential import mean_losses
from coreplex.engines.sequential.error_rates import least_increase
from coreplex.engines.sequential.sample import Sample
from coreplex.errors.tree import Conflict, Message
from coreplex.platform.clock import now
from coreplex.platform.database import Database, WriteSession
from coreplex.platform.one_by_one import one_by_one

QUIET = timedelta(seconds=2)
"""So long a step lasts at least that advances by itself: what was answered before is counted by then."""


async def tend(database: Database) -> None:
    """Look at every running canary that may have to take a step by itself."""
    query = select(col(Rollout.id)).where(col(Rollout.status) == RolloutStatus.running, col(Rollout.kind) == RolloutKind.canary)
    async with database.read() as session:
        found = (await session.scalars(query)).all()
    await one_by_one(found, lambda rollout_id: look(database, rollout_id), "rollout.not_looked_at")


async def look(database: Database, rollout_id: UUID) -> None:
    """Stop a canary that fails or errs more than it may, or advance one that does so by itself and has what its step needs."""
    async with database.read() as session:
        rollout = await session.get(Rollout, rollout_id)
    if rollout is None or not (excess(rollout) or _may_advance(rollout) or _began_in_the_future(rollout)):
        return
    async with database.transaction() as session:
        await _decide(session, rollout)


async def _decide(session: WriteSession, seen: Rollout) -> None:
    await hold(session, seen.project_id)
    rollout = await session.get(Rollout, seen.id)
    if rollout is None or rollout.status is not RolloutStatus.running:
        return
    reason = excess(rollout)
    if reason is not None:
        await end(session, None, rollout, RolloutStatus.stopped, reason)
    elif _may_advance(rollout):
        await _advance(session, rollout)
    elif _began_in_the_future(rollout):
        rollout.step_began_at = now()
        session.add(rollout)


async def _advance(session: WriteSession, rollout: Rollout) -> None:
    """The next step. A candidate that the gate keeps out stays at its last share, and advances no more by itself."""
    try:
        await step_up(session, None, rollout)
    except Conflict as kept_out:
        rollout.auto_advance, rollout.reason = False, kept_out.message
        session.add(rollout)


def increase(rollout: Rollout) -> float | None:
    """Lower bound of the candidate's error rate minus the baseline's, at the rollout's confidence; None without requests."""
    if not rollout.candidate_requests:
        return None
    baseline = rollout.baseline_errors, rollout.baseline_requests
    return least_increase(baseline, (rollout.candidate_errors, rollout.candidate_requests), rollout.confidence)


def loss_increase(rollout: Rollout) -> float | None:
    """The same of the candidate's mean loss, of the outcomes that are known; None before there are enough."""
    ours = Sample(rollout.baseline_outcomes, rollout.baseline_loss, rollout.baseline_loss_squares)
    theirs = Sample(rollout.candidate_outcomes, rollout.candidate_loss, rollout.candidate_loss_squares)
    if rollout.loss is not Loss.misclassification:
        return mean_losses.least_increase(ours, theirs, rollout.confidence)
    if not theirs.size:
        return None
    return least_increase((round(ours.total), ours.size), (round(theirs.total), theirs.size), rollout.confidence)


def excess(rollout: Rollout) -> Message | None:
    """Why it must stop: it fails more often than the baseline, or its outcomes are worse, by more than the limit and at its
    confidence; None if not."""
    return _fails_more(rollout) or _loses_more(rollout)


def _loses_more(rollout: Rollout) -> Message | None:
    least = loss_increase(rollout)
    if least is None or least <= rollout.max_loss_increase:
        return None
    loss = rollout.candidate_loss / rollout.candidate_outcomes
    baseline_loss = rollout.baseline_loss / max(rollout.baseline_outcomes, 1)
    if rollout.loss is Loss.misclassification:
        return Message(
            "canary_wrong_more",
            "{loss:.1%} of {outcomes} outcomes were not what it had answered, and {baseline_loss:.1%} of the production "
            "deployment's: at least {least:.1%} more (the limit is {limit:.1%}).",
            loss=loss,
            outcomes=rollout.candidate_outcomes,
            baseline_loss=baseline_loss,
            least=least,
            limit=rollout.max_loss_increase,
        )
    return Message(
        "canary_errs_more",
        "Its mean absolute error is {loss:.4g} over {outcomes} outcomes, and {baseline_loss:.4g} of the production deployment: "
        "at least {least:.4g} more (the limit is {limit:.4g}).",
        loss=loss,
        outcomes=rollout.candidate_outcomes,
        baseline_loss=baseline_loss,
        least=least,
        limit=rollout.max_loss_increase,
    )


def _fails_more(rollout: Rollout) -> Message | None:
    least = increase(rollout) if rollout.candidate_errors else None
    if least is None or least <= rollout.max_error_increase:
        return None
    return Message(
        "canary_fails_more",
        "{errors} of {requests} requests failed, and {baseline_errors} of {baseline_requests} of the production deployment: at "
        "least {least:.1%} more (the limit is {limit:.1%}).",
        errors=rollout.candidate_errors,
        requests=rollout.candidate_requests,
        baseline_errors=rollout.baseline_errors,
        baseline_requests=rollout.baseline_requests,
        least=least,
        limit=rollout.max_error_increase,
    )


def _began_in_the_future(rollout: Rollout) -> bool:
    """The clock was put back: the step would last until it is there again."""
    return rollout.step_began_at > now()


def _may_advance(rollout: Rollout) -> bool:
    running = rollout.status is RolloutStatus.running and rollout.kind is RolloutKind.canary
    return running and rollout.auto_advance and now() - rollout.step_began_at >= QUIET and short_of(rollout) is None
