"""Rollouts in the public contract: canaries and shadows."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.deployment import rollout_inputs as inputs
from coreplex.deployment import rollouts as service
from coreplex.deployment.judging import increase, loss_increase
from coreplex.deployment.listing import ROLLOUTS
from coreplex.deployment.table import Arm, Loss, RolloutKind, RolloutStatus
from coreplex.deployment.table import Rollout as Row
from coreplex.platform.permissions import READ, WRITE, Permission, Role, Scope
from schema.common import published
from schema.enums import enum
from schema.field import command, computed, row
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection
from schema.scalars import Long

END = Permission(Scope.write, Role.editor, archived=True)

enum(
    RolloutKind,
    "How a candidate stands beside the production deployment.",
    {
        "canary": "It answers a share of the rows.",
        "shadow": "It is asked too, and its answers are logged and never returned.",
        "ab_test": "It answers a share of the rows of an A/B test, which ends with its rollout and is told of as such.",
    },
)
enum(
    RolloutStatus,
    "State of a rollout.",
    {
        "running": "The candidate stands beside the production deployment.",
        "completed": "The candidate took over.",
        "aborted": "A person ended it, or what it was about.",
        "stopped": "It stopped by itself: the candidate failed, or its outcomes were worse, more than it may.",
    },
)
enum(
    Arm,
    "Which side answered a row.",
    {
        "baseline": "The deployment before: of a canary the production deployment, of a share of traffic the displaced one.",
        "candidate": "The new one.",
        "shadow": "A shadow, beside the answer that was given.",
    },
)
enum(
    Loss,
    "What an outcome says against an answer.",
    {
        "misclassification": "1 for a class that was not the answer, else 0.",
        "absolute_error": "How far a number is from the answer.",
        "outcome": "The outcome itself, of an A/B test that counts it.",
    },
    "OutcomeLoss",
)
published(inputs.StartCanary, "StartCanaryInput", "A candidate that is to answer a share of the production deployment's rows.")
published(inputs.AdvanceCanary, "AdvanceCanaryInput", "A canary that is to take its next step.")
published(inputs.AbortCanary, "AbortCanaryInput", "A canary that is to end.")
published(inputs.StartShadow, "StartShadowInput", "A candidate that is to be asked what the production deployment is asked.")
published(inputs.StopShadow, "StopShadowInput", "A shadow that is to be asked no more.")


def _rate(errors: float, requests: int) -> float | None:
    return errors / requests if requests else None


def _count(side: str, what: str, description: str) -> Any:
    return computed(Long, lambda rollout, _: getattr(rollout, f"{side}_{what}"), description)


def _mean_loss(side: str, description: str) -> Any:
    def mean(rollout: Row, _: Any) -> float | None:
        return _rate(getattr(rollout, f"{side}_loss"), getattr(rollout, f"{side}_outcomes"))

    return computed(float | None, mean, description)


@node(Row)
@strawberry.type(
    description="A candidate beside the production deployment: it answers a share of the rows, or is asked and not heard. Counts "
    "are of what is stored of the inference log, which is a second behind; the timeline tells of its steps and its end."
)
class Rollout:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    baseline_id: strawberry.ID = strawberry.field(description="Identifier of the production deployment.")
    baseline: Any = owner("Deployment", "baseline_id", "The production deployment.")
    candidate_id: strawberry.ID = strawberry.field(description="Identifier of the candidate.")
    candidate: Any = owner("Deployment", "candidate_id", "The candidate.")
    kind: RolloutKind = strawberry.field(description="Canary, shadow or A/B test.")
    status: RolloutStatus = strawberry.field(description="Whether it runs.")
    reason: Notice | None = strawberry.field(description="Why it ended.")
    percent: int = strawberry.field(description="Share of the rows that the candidate answers, or is asked.")
    steps: list[int] = strawberry.field(description="The steps of a canary: shares of the rows in percent; none of a shadow.")
    min_row_count: int = strawberry.field(description="Rows the candidate must have answered in each step before the next.")
    min_secs: int = strawberry.field(description="Seconds each step must have lasted before the next.")
    step: int = strawberry.field(description="Place of the running step among them, from 0.")
    step_began_at: datetime = strawberry.field(description="When that step began.")
    step_lacks: Notice | None = computed(
        Notice | None,
        lambda rollout, _: service.lacking(rollout),
        "What that step lacks before the next; null when it has its minimum.",
    )
    is_advancing_itself: bool = computed(bool, lambda rollout, _: rollout.auto_advance, "Whether it takes its steps by itself.")
    max_error_increase: float = strawberry.field(
        description="By how much its share of failed requests may be higher than the production deployment's, 0 to 1."
    )
    loss: Loss = strawberry.field(description="What outcomes are held against answers by.")
    max_loss_increase: float = strawberry.field(
        description="By how much the candidate's mean loss may be higher than the production deployment's."
    )
    confidence_level: float = computed(
        float, lambda rollout, _: rollout.confidence, "How certain that must be for it to stop by itself."
    )
    error_increase_lower: float | None = computed(
        float | None,
        lambda rollout, _: increase(rollout),
        "Lower bound of the difference of the two shares, at that confidence and at all looks together; null without requests.",
    )
    loss_increase_lower: float | None = computed(
        float | None,
        lambda rollout, _: loss_increase(rollout),
        "Lower bound of the difference of the two mean losses, likewise; null before there are outcomes enough.",
    )
    baseline_outcome_count: Long = _count("baseline", "outcomes", "Outcomes of rows the production deployment answered.")
    baseline_mean_loss: float | None = _mean_loss("baseline", "Share of them it answered wrongly, or its mean absolute error.")
    candidate_outcome_count: Long = _count("candidate", "outcomes", "Outcomes of rows the candidate answered.")
    candidate_mean_loss: float | None = _mean_loss("candidate", "The same of the candidate.")
    baseline_request_count: Long = _count("baseline", "requests", "Requests of which the production deployment answered rows.")
    baseline_error_count: Long = _count("baseline", "errors", "Those of them that failed.")
    baseline_row_count: Long = _count("baseline", "rows", "Rows the production deployment answered.")
    candidate_request_count: Long = _count("candidate", "requests", "Requests of which the candidate was to answer rows.")
    candidate_error_count: Long = _count(
        "candidate", "errors", "Those of them in which it failed; the production deployment answered."
    )
    candidate_row_count: Long = _count("candidate", "rows", "Rows the candidate was asked.")
    skipped_row_count: Long = computed(
        Long, lambda rollout, _: rollout.skipped_rows, "Rows a shadow was not asked, because too many waited or it had failed."
    )
    compared_row_count: Long = computed(
        Long, lambda rollout, _: rollout.compared_rows, "Rows whose answer was compared with that of a shadow."
    )
    agreement_rate: float | None = computed(
        float | None,
        lambda rollout, _: _rate(rollout.agreed_rows, rollout.compared_rows),
        "Share of these in which the shadow gave the same class, or a number within 1 in 1,000.",
    )
    mean_difference: float | None = computed(
        float | None,
        lambda rollout, _: _rate(rollout.difference_sum, rollout.compared_rows),
        "Mean distance of the shadow's number, or of its probability of the class that was answered.",
    )
    created_by: Any = link("User", "created_by", "Who began it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The rollout as it is now.")
class RolloutPayload:
    rollout: Rollout = strawberry.field(description="The rollout as it is now.")


@strawberry.type
class RolloutQuery:
    rollout: Rollout | None = row(Row, READ, "One rollout.")
    rollouts: Connection[Rollout] | None = connection(ROLLOUTS, "Rollouts of the caller's projects.")


@strawberry.type
class RolloutMutation:
    start_canary: RolloutPayload | None = command(
        service.start_canary,
        RolloutPayload,
        WRITE,
        "Let a candidate answer a share of the production deployment's rows, in steps.",
    )
    advance_canary: RolloutPayload | None = command(
        service.advance, RolloutPayload, WRITE, "Take a canary's next step; behind the last the candidate is in production."
    )
    abort_canary: RolloutPayload | None = command(
        service.abort, RolloutPayload, END, "Give all rows back to the production deployment, in an archived project too."
    )
    start_shadow: RolloutPayload | None = command(
        service.start_shadow,
        RolloutPayload,
        WRITE,
        "Ask a candidate what the production deployment is asked, and log its answers.",
    )
    stop_shadow: RolloutPayload | None = command(
        service.stop_shadow, RolloutPayload, END, "Ask a shadow no more, in an archived project too."
    )
