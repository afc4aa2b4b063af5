"""A/B tests in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.ab_test import inputs, service
from coreplex.ab_test.results import results
from coreplex.ab_test.table import AbTest as Row
from coreplex.ab_test.table import AbTestGoal, AbTestMethod, AbTestMetric, AbTestStatus, Variant
from coreplex.platform.clock import now
from coreplex.platform.permissions import READ, WRITE
from resolvers import ab_test as resolve
from schema.common import published
from schema.deleted import DeletedFromProjectPayload
from schema.enums import enum
from schema.field import answer, command, loaded, row
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.outcome import PAST_RETENTION, UNKNOWN_CLASS, RefusedOutcome
from schema.pagination import Connection, connection
from schema.rollout import END
from schema.scalars import Long
from schema.serving import PREDICT, DeploymentAnswers

enum(
    AbTestStatus,
    "State of an A/B test.",
    {
        "draft": "It has not begun.",
        "running": "Rows are split between its two deployments.",
        "completed": "It ended by itself, with a winner or without one.",
        "stopped": "A person ended it, or what it was about.",
        "invalid": "It ended by itself because keys did not fall to the sides as they were to: rows of one side are lost.",
    },
)
enum(
    AbTestMethod,
    "How an A/B test is decided. With either one may look at any time: what is promised holds for all looks together.",
    {
        "frequentist": "By a confidence sequence of the difference of the two means: a side wins when it leaves out 0.",
        "bayesian": "By a posterior under a prior of which about a half says that there is no difference: a side wins when it is "
        "better with the probability that is asked for, and would cost little if it were not.",
    },
)
enum(
    AbTestMetric,
    "What the sides of an A/B test are compared by: a mean over the rows whose outcome is known.",
    {
        "accuracy": "Classes: the share of answers that were right. More is better.",
        "mae": "Numbers: the mean absolute error. Less is better.",
        "outcome": "Any number, or true and false as 1 and 0, that is sent as the outcome of a row to the test: whether the "
        "customer bought, what they paid. It stands beside the model's own outcomes and is none of them.",
    },
)
enum(
    AbTestGoal,
    "Which of two means is the better one.",
    {"maximize": "The greater one.", "minimize": "The smaller one."},
)
enum(
    Variant,
    "A side of an A/B test.",
    {"a": "The baseline.", "b": "The candidate."},
    name="AbTestVariantName",
)

published(inputs.CreateAbTest, "CreateAbTestInput", "A new A/B test: a baseline (a) and a candidate (b).")
published(inputs.StartAbTest, "StartAbTestInput", "A test that is to begin.")
published(inputs.StopAbTest, "StopAbTestInput", "A test that is to end.")
published(inputs.DeleteAbTest, "DeleteAbTestInput", "A test to remove.")
published(inputs.PredictAbTest, "PredictAbTestInput", "Rows for the two sides of a test.")
published(inputs.RecordAbTestOutcomes, "RecordAbTestOutcomesInput", "What came out of rows that a test answered.")


@strawberry.type(
    description="One side of a test: what it was asked, and what came out. Counts are of what is stored of the inference log, "
    "which is a second behind."
)
class AbTestVariant:
    variant: Variant = strawberry.field(description="Which side.")
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of its deployment.")
    deployment: Any = owner("Deployment", "deployment_id", "Its deployment.")
    request_count: Long = strawberry.field(description="Requests of which it was to answer rows.")
    error_count: Long = strawberry.field(description="Those of them that failed; rows of the candidate the baseline answered.")
    row_count: Long = strawberry.field(description="Rows it was asked.")
    unit_count: Long = strawberry.field(description="Different keys that fell to it; rows without a key are their own.")
    outcome_count: Long = strawberry.field(
        description="Outcomes of rows that fell to it, those included that the baseline had to answer."
    )
    judged_unit_count: Long = strawberry.field(
        description="Different keys that have outcomes. Outcomes of one key are alike: what is certain depends on the keys."
    )
    mean: float | None = strawberry.field(description="The metric: the mean over these outcomes; null without any.")
    lower: float | None = strawberry.field(
        description="Lower end of the interval that holds the true mean: at all looks together, or with that probability."
    )
    upper: float | None = strawberry.field(description="Its upper end; both null before there are outcomes of 50 keys.")


@strawberry.type(
    description="What a test has found so far, or ended with: the two sides, and B minus A in the unit of the metric. Outcomes "
    "of one key are alike, and what is certain is worked out over keys: a customer who comes often is one customer."
)
class AbTestResults:
    variants: list[AbTestVariant] = strawberry.field(description="The two sides, A before B.")
    difference: float | None = strawberry.field(
        description="B minus A: as measured, or, bayesian, its posterior mean where there is a difference; null before there are "
        "outcomes enough."
    )
    difference_lower: float | None = strawberry.field(
        description="Lower end of the interval that holds the true difference at the test's confidence: at all looks together, "
        "or, bayesian, with that probability where there is one."
    )
    difference_upper: float | None = strawberry.field(description="Its upper end.")
    relative_difference: float | None = strawberry.field(description="B minus A as measured, as a share of A; null where A is 0.")
    p_value: float | None = strawberry.field(
        description="Frequentist: the p-value of no difference, valid whenever one looks; null before there are outcomes enough."
    )
    probability_a_better: float | None = strawberry.field(description="Bayesian: that A is the better one.")
    probability_b_better: float | None = strawberry.field(description="Bayesian: that B is the better one.")
    probability_no_difference: float | None = strawberry.field(description="Bayesian: that there is no difference at all.")
    expected_loss_a: float | None = strawberry.field(
        description="Bayesian: what taking A costs on average, in the metric's unit, should B be the better one."
    )
    expected_loss_b: float | None = strawberry.field(description="The same of taking B, should A be the better one.")
    sample_ratio_p_value: float | None = strawberry.field(
        description="P-value of the share in which keys fell to the sides, valid whenever one looks; below 0.01 it is invalid."
    )
    winner: Variant | None = strawberry.field(description="The side that is better; null while, or where, there is none.")
    conclusive: bool = strawberry.field(name="isConclusive", description="Whether there is a winner.")
    reason: Notice = strawberry.field(description="Why there is a winner, or none, or none yet.")


@node(Row)
@strawberry.type(
    description="Rows split by their keys between a baseline (a) and a candidate (b), until one is better as certainly as was "
    "asked for, or time or outcomes run out. A winner is not promoted by itself."
)
class AbTest:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    name: str = strawberry.field(description="Name.")
    deployment_a_id: strawberry.ID = strawberry.field(description="Identifier of the baseline.")
    deployment_a: Any = owner("Deployment", "deployment_a_id", "The baseline.")
    deployment_b_id: strawberry.ID = strawberry.field(description="Identifier of the candidate.")
    deployment_b: Any = owner("Deployment", "deployment_b_id", "The candidate.")
    rollout_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the rollout that splits its rows; null of a draft."
    )
    rollout: Any = link("Rollout", "rollout_id", "The rollout that splits its rows.")
    traffic_split: int = strawberry.field(description="Percent of the keys whose rows the candidate answers.")
    metric: AbTestMetric = strawberry.field(description="What they are compared by.")
    goal: AbTestGoal = strawberry.field(description="Whether more or less of it is better.")
    method: AbTestMethod = strawberry.field(description="How it is decided.")
    confidence_level: float = strawberry.field(description="How certain a winner must be, at all looks together.")
    max_expected_loss: float | None = strawberry.field(
        description="Bayesian: what the winner may cost on average, should it be the worse one; null: a hundredth of the "
        "standard deviation of the metric's values."
    )
    min_samples: int = strawberry.field(description="Outcomes on each side before there can be a winner.")
    max_samples: int | None = strawberry.field(description="Outcomes on both sides after which it ends.")
    min_duration_hours: float = strawberry.field(description="Hours before there can be a winner.")
    max_duration_hours: float = strawberry.field(description="Hours after which it ends.")
    status: AbTestStatus = strawberry.field(description="Whether it runs, or how it ended.")
    winner: Variant | None = strawberry.field(description="The side that is better; null while, or where, there is none.")
    reason: Notice | None = strawberry.field(description="Why it ended.")
    results: AbTestResults = loaded(
        AbTestResults,
        resolve.rollouts,
        lambda test: test.rollout_id,
        "What it has found so far, or ended with.",
        lambda rollout, test: results(test, rollout, now()),
    )
    created_by: Any = link("User", "created_by", "Who created it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was created.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The test as it is now.")
class AbTestPayload:
    ab_test: AbTest = strawberry.field(description="The test as it is now.")


@strawberry.type(description="What became of outcomes that were sent to a test.")
class RecordAbTestOutcomesPayload:
    ab_test: AbTest = strawberry.field(description="The test.")
    recorded_count: int = strawberry.field(description="Outcomes that are new, or others than before.")
    unchanged_count: int = strawberry.field(description="Outcomes that were there already.")
    unknown_class_count: int = strawberry.field(description=UNKNOWN_CLASS)
    past_retention_count: int = strawberry.field(description=PAST_RETENTION)
    refused: list[RefusedOutcome] = strawberry.field(description="Those that were not taken; the others were.")


@strawberry.type
class AbTestQuery:
    ab_test: AbTest | None = row(Row, READ, "One A/B test.", service.NOUN)
    ab_tests: Connection[AbTest] | None = connection(service.AB_TESTS, "A/B tests of the caller's projects.")


@strawberry.type
class AbTestMutation:
    create_ab_test: AbTestPayload | None = command(
        service.create,
        AbTestPayload,
        WRITE,
        "Prepare a test of two deployments that predict the same; it begins when it is started.",
    )
    start_ab_test: AbTestPayload | None = command(
        service.start,
        AbTestPayload,
        WRITE,
        "Split rows between the two from now on: those sent to the test, and, where the baseline serves in production, to it.",
    )
    stop_ab_test: AbTestPayload | None = command(
        service.stop,
        AbTestPayload,
        END,
        "End a running test without a winner, in an archived project too; both deployments go on as they were.",
    )
    delete_ab_test: DeletedFromProjectPayload | None = command(
        service.delete, DeletedFromProjectPayload, WRITE, "Delete a test that does not run; its deployments stay."
    )
    predict_ab_test: DeploymentAnswers | None = answer(
        service.predict,
        PREDICT,
        "Answer rows by the two sides of a running test, each by the one its key falls to; each is logged.",
    )
    record_ab_test_outcomes: RecordAbTestOutcomesPayload | None = command(
        service.record_outcomes,
        RecordAbTestOutcomesPayload,
        WRITE,
        "Say what came out of rows that a running test answered; late outcomes count as long as it runs.",
    )
