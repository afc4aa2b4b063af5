"""What can be done with A/B tests: rows are split between two deployments until one is better, or nobody can tell.

Rows are split, and counted, by a rollout of the test, as those of a canary are; it ends with the test, and the test with it. A
winner is never promoted by itself.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlmodel import col

from coreplex.ab_test.inputs import CreateAbTest, DeleteAbTest, PredictAbTest, RecordAbTestOutcomes, StartAbTest, StopAbTest
from coreplex.ab_test.table import AbTest, AbTestGoal, AbTestMetric, AbTestStatus
from coreplex.deployment import rollouts
from coreplex.deployment.production import end, hold
from coreplex.deployment.table import Deployment, DeploymentStatus, Loss, Rollout, RolloutKind, RolloutStatus, Stage
from coreplex.errors.tree import Conflict, Invalid, Message, NotFound
from coreplex.event import service as event
from coreplex.membership import quota
from coreplex.membership.access import OF_OTHER_PROJECT, SERVING, open_project, open_row, visible_projects
from coreplex.outcome import service as outcome
from coreplex.platform.clock import now
from coreplex.platform.database import WriteSession
from coreplex.platform.filtering import moments, one_of, reference
from coreplex.platform.listener import announce_change
from coreplex.platform.page import Order, Search
from coreplex.platform.paging import Listing
from coreplex.platform.permissions import Grant
from coreplex.platform.services import Services
from coreplex.platform.settings import Settings
from coreplex.serving.address import Route, test_route
from coreplex.serving.options import parse_options
from coreplex.serving.prediction import rows_of
from coreplex.serving.route import Routes
from coreplex.serving.service import Asked, Predicted, along

NOUN = "A/B test"
TOO_MANY = "Delete tests that have ended"
AB_TESTS = Listing(
    noun="AbTest",
    query=select(AbTest),
    identity=col(AbTest.id),
    order=Order({"created_at": col(AbTest.created_at), "name": func.lower(col(AbTest.name))}),
    search=Search("the name", (col(AbTest.name),)),
    filters={
        "project_id": reference(col(AbTest.project_id), "Project", "Only tests of this project."),
        "deployment_a_id": reference(col(AbTest.deployment_a_id), "Deployment", "Only tests of this baseline."),
        "deployment_b_id": reference(col(AbTest.deployment_b_id), "Deployment", "Only tests of this candidate."),
        "status": one_of(col(AbTest.status), AbTestStatus, "Only tests in one of these states."),
        "created_at": moments(col(AbTest.created_at), "By when they were created."),
    },
    visible=lambda grant: col(AbTest.project_id).in_(visible_projects(grant)),
    parent=col(AbTest.project_id),
)
"""A/B tests of the caller's projects."""


async def create(session: WriteSession, grant: Grant, wanted: CreateAbTest, settings: Settings) -> AbTest:
    """A draft of a test; models that are named are deployed in staging. Raises Conflict, Invalid, QuotaExceeded."""
    project = await open_project(session, grant, wanted.project_id)
    await hold(session, project.id)
    await quota.take_item(session, settings, project.id, AbTest, TOO_MANY)
    sides = [await _side(session, grant, project.id, wanted, letter, settings) for letter in "ab"]
    if sides[0].id == sides[1].id:
        raise Invalid.field(Message("candidate_is_baseline_of_test", "is the baseline itself"), "deployment_b_id")
    _require_candidate(sides[1])
    key = "model_b_id" if wanted.model_b_id else "deployment_b_id"
    metric = _metric(wanted, await rollouts.common_loss(session, sides[0], sides[1], key))
    less_is_better = metric is AbTestMetric.mae
    test = AbTest(
        deployment_a_id=sides[0].id,
        deployment_b_id=sides[1].id,
        metric=metric,
        goal=wanted.goal or (AbTestGoal.minimize if less_is_better else AbTestGoal.maximize),
        created_by=grant.user_id,
        **_as_said(wanted, project.id),
    )
    session.add(test)
    await session.flush()
    said = f"A/B test “{test.name}” of “{sides[0].name}” and “{sides[1].name}” was created."
    await event.audit(session, grant.user_id, test, "ab_test.created", said)
    return test


def _as_said(wanted: CreateAbTest, project_id: UUID) -> dict[str, Any]:
    elsewhere = {"project_id", "deployment_a_id", "deployment_b_id", "model_a_id", "model_b_id", "metric", "goal"}
    return {"project_id": project_id, **wanted.model_dump(exclude=elsewhere)}


async def _side(
    session: WriteSession, grant: Grant, project_id: UUID, wanted: CreateAbTest, letter: str, settings: Settings
) -> Deployment:
    """The deployment of a side that was named, or one made of its model."""
    model_id, deployment_id = getattr(wanted, f"model_{letter}_id"), getattr(wanted, f"deployment_{letter}_id")
    if model_id is not None:
        name = f"{wanted.name[:180]} {letter.upper()}"
        return await rollouts.staged(session, grant, project_id, model_id, name, settings, f"model_{letter}_id")
    found = await open_row(session, grant, Deployment, deployment_id, "Deployment")
    if found.project_id != project_id:
        raise Invalid.field(OF_OTHER_PROJECT, f"deployment_{letter}_id")
    return found


def _metric(wanted: CreateAbTest, loss: Loss) -> AbTestMetric:
    own = AbTestMetric.accuracy if loss is Loss.misclassification else AbTestMetric.mae
    if wanted.metric in (None, own, AbTestMetric.outcome):
        return wanted.metric or own
    raise Invalid.field(
        Message("metric_of_other_kind", "is no metric of these models: they take {metric}, or outcome", metric=own), "metric"
    )


async def start(session: WriteSession, grant: Grant, wanted: StartAbTest, settings: Settings) -> AbTest:
    """Split rows from now on. Raises Conflict where a side does not serve, or takes part in something that splits them too."""
    test = await _opened(session, grant, wanted.ab_test_id)
    if test.status is not AbTestStatus.draft:
        raise Conflict(Message("test_begun_already", "The test is {status}; a test is run once.", status=test.status))
    baseline, candidate = [await session.get_one(Deployment, one) for one in (test.deployment_a_id, test.deployment_b_id)]
    _require_ready(baseline, candidate)
    loss = await rollouts.common_loss(session, baseline, candidate, "ab_test_id")
    rollout = Rollout(
        kind=RolloutKind.ab_test,
        project_id=test.project_id,
        baseline_id=baseline.id,
        candidate_id=candidate.id,
        percent=test.traffic_split,
        loss=Loss.outcome if test.metric is AbTestMetric.outcome else loss,
        confidence=test.confidence_level,
        created_by=grant.user_id,
    )
    await rollouts.require_free(session, rollout, baseline, candidate)
    await quota.take_item(session, settings, rollout.project_id, Rollout, rollouts.TOO_MANY)
    session.add(rollout)
    await session.flush()
    test.rollout_id, test.status, test.started_at = rollout.id, AbTestStatus.running, now()
    session.add(test)
    await announce_change(session, SERVING, str(baseline.id))
    said = f"A/B test “{test.name}” began: “{candidate.name}” answers {test.traffic_split} % beside “{baseline.name}”."
    await event.audit(session, grant.user_id, test, "ab_test.started", said)
    return test


def _require_ready(baseline: Deployment, candidate: Deployment) -> None:
    """Raise Conflict where a side does not serve, or the candidate is of production."""
    for one in (baseline, candidate):
        if one.status is not DeploymentStatus.active:
            raise Conflict(
                Message("side_inactive", "“{name}” is {status}; only an active one can answer.", name=one.name, status=one.status)
            )
    _require_candidate(candidate)


def _require_candidate(candidate: Deployment) -> None:
    """Raise Conflict for one of production, whose rows are the baseline's to split."""
    if candidate.stage is Stage.production:
        raise Conflict(
            Message(
                "candidate_in_production",
                "“{name}” serves in production: it can be the baseline (a) of a test, and not its candidate (b).",
                name=candidate.name,
            )
        )


async def stop(session: WriteSession, grant: Grant, wanted: StopAbTest) -> AbTest:
    """End a running test without a winner; both deployments go on as they were. Raises Conflict for one that does not run."""
    test = await _opened(session, grant, wanted.ab_test_id)
    rollout = await _running(session, test)
    reason = rollouts.said_by(wanted.reason) or Message("ended_by_hand", "It was stopped.")
    await end(session, grant.user_id, rollout, RolloutStatus.aborted, reason)
    return test


async def delete(session: WriteSession, grant: Grant, wanted: DeleteAbTest) -> tuple[UUID, UUID]:
    """Remove a test that does not run, with its counts; its id, and that of its project. Its deployments stay."""
    test = await _opened(session, grant, wanted.ab_test_id)
    if test.status is AbTestStatus.running:
        raise Conflict(Message("test_runs", "The test runs; stop it first."))
    await event.audit(session, grant.user_id, test, "ab_test.deleted", f"A/B test “{test.name}” was deleted.")
    rollout = await session.get(Rollout, test.rollout_id, with_for_update=True) if test.rollout_id else None
    await session.delete(test)
    if rollout is not None:
        await session.delete(rollout)
    return test.id, test.project_id


async def predict(services: Services, grant: Grant, wanted: PredictAbTest, asked: Asked) -> Predicted:
    """Answer rows by the two sides of a running test, each by the side its key falls to. Raises as `serving.predict`."""

    async def find(caller: Grant, identity: str) -> Route:
        async with services.database.read() as session:
            test = await open_row(session, caller, AbTest, identity, NOUN)
            return await test_route(session, await _running(session, test))

    try:
        route = await Routes.of(services).other("t", grant, wanted.ab_test_id, find)
    except Conflict:
        rows_of(wanted.inputs)  # what no test would answer is said first
        parse_options(wanted.options)
        raise
    return await along(services, route, wanted, asked)


async def record_outcomes(
    session: WriteSession, grant: Grant, wanted: RecordAbTestOutcomes, settings: Settings
) -> tuple[AbTest, *outcome.Taken]:
    """Take in what came out of rows of a running test; late outcomes count as long as it runs. Raises Conflict beyond that."""
    test = await open_row(session, grant, AbTest, wanted.ab_test_id, NOUN)
    rollout = await _running(session, test)
    if test.metric is AbTestMetric.outcome:
        return test, *await outcome.take_in_worth(session, rollout, wanted.items, settings)
    deployment = await session.get_one(Deployment, test.deployment_a_id)
    return test, *await outcome.take_in(session, deployment, wanted.items, settings)


async def _opened(session: WriteSession, grant: Grant, test_id: str) -> AbTest:
    """The test, with its project held so that two changes never cross."""
    test = await open_row(session, grant, AbTest, test_id, NOUN)
    await hold(session, test.project_id)
    again = await session.get(AbTest, test.id, populate_existing=True)
    if again is None:
        raise NotFound.of(NOUN)  # while this waited
    return again


async def _running(session: Any, test: AbTest) -> Rollout:
    """The rollout of a running test. Raises Conflict."""
    if test.status is not AbTestStatus.running:
        raise Conflict(Message("test_does_not_run", "The test is {status}; it is to run for that.", status=test.status))
    rollout: Rollout = await session.get_one(Rollout, test.rollout_id)
    return rollout
