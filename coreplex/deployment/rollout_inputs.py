"""What a caller must say about rollouts."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator

from coreplex.deployment.table import USUAL_AGE_DAYS
from coreplex.engines.automl.evaluation.metrics import MetricName
from coreplex.engines.replay.verdict import RequiredVerdict
from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.inputs import Description, Identifier

DEFAULT_STEPS = (5, 25, 50, 100)
AUTO_MIN_ROWS, AUTO_MIN_SECS = 100, 60
"""What a step needs that advances by itself, when nothing is said."""
MAX_STEPS = 20


CANDIDATE = "The candidate, an active deployment of the same project."
CANDIDATE_MODEL = "In its place a model of the project, which is deployed in staging to be the candidate."
EITHER = "The production deployment; or, where no candidate is named, the candidate that is to stand beside it."
OVERRIDE = Field("", description="Why it comes into production though the project's gate keeps it out.")
REASON = Field("", description="Why, for the timeline.")


class _Pair(BaseModel):
    deployment_id: Identifier = Field(description=EITHER)
    candidate_deployment_id: Identifier | None = Field(None, description=CANDIDATE)
    candidate_model_id: Identifier | None = Field(None, description=CANDIDATE_MODEL)

    @field_validator("candidate_model_id")
    @classmethod
    def _one_candidate(cls, value: str | None, info: Any) -> str | None:
        if value and info.data.get("candidate_deployment_id"):
            raise WrongValue(Message("model_and_candidate", "name a deployment or a model as the candidate, not both"))
        return value

    @property
    def key(self) -> str:
        """The field that names the candidate."""
        named = [name for name in ("candidate_model_id", "candidate_deployment_id") if getattr(self, name)]
        return named[0] if named else "deployment_id"


class StartCanary(_Pair):
    steps: list[Annotated[int, Field(ge=1, le=100)]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_STEPS,
        description="Shares of the rows in percent, upwards; 5, 25, 50 and 100 when nothing is said. At 100 it takes over.",
    )
    min_row_count: int | None = Field(
        None,
        ge=0,
        le=10**9,
        description="Rows the candidate must have answered in each step before the next; 0 when nothing is said.",
    )
    min_secs: int | None = Field(None, ge=0, le=10**8, description="Seconds each step must have lasted before the next; else 0.")
    auto_advance: bool = Field(
        False, description="Take each step by itself once it has its minimum: 100 rows and 60 seconds, if nothing is said."
    )
    max_error_increase: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="It stops by itself when its share of failed requests is certain to be higher than the production "
        "deployment's by more than this, 0 to 1.",
    )
    max_loss_increase: float = Field(
        0.0,
        ge=0,
        le=1e12,
        description="It stops by itself when its outcomes are certain to be worse by more than this: the share of wrong answers, "
        "0 to 1, of classes, and the mean absolute error of numbers.",
    )
    confidence_level: float = Field(
        0.95, ge=0.5, lt=1, description="How certain, at all looks together: at 0.95 one of 20 that are no worse may stop."
    )
    override_reason: Description = Field(
        "", description="Why it answers all rows though the project's gate keeps it out, where its first step is 100 %."
    )

    @field_validator("steps")
    @classmethod
    def _upwards(cls, value: list[int] | None) -> list[int] | None:
        if value is not None and value != sorted(set(value)):
            raise WrongValue(Message("steps_not_upwards", "each step must have a higher percentage than the one before"))
        return value

    def plan(self) -> dict[str, Any]:
        """The columns of a rollout: its steps, the last at 100 %, and what each needs."""
        rows, secs = (AUTO_MIN_ROWS, AUTO_MIN_SECS) if self.auto_advance else (0, 0)
        return {
            "steps": up_to_all(self.steps or DEFAULT_STEPS),
            "min_row_count": rows if self.min_row_count is None else self.min_row_count,
            "min_secs": secs if self.min_secs is None else self.min_secs,
        }


def up_to_all(steps: Sequence[int]) -> list[int]:
    """The steps, the last at 100 %."""
    return [*steps] if steps[-1] == 100 else [*steps, 100]


class AdvanceCanary(BaseModel):
    deployment_id: Identifier = Field(description="The production deployment, or its candidate.")
    force: bool = Field(False, description="Before the step has its minimum of rows and time, too.")
    from_percent: int | None = Field(
        None, ge=0, le=100, description="The share that the caller saw: refused where somebody has advanced it meanwhile."
    )
    reason: Description = REASON
    override_reason: Description = OVERRIDE


class AbortCanary(BaseModel):
    deployment_id: Identifier = Field(description="The production deployment, or its candidate.")
    reason: Description = REASON


class StartShadow(_Pair):
    percent: int = Field(100, ge=1, le=100, description="Share of the rows that the candidate is asked too, 1 to 100.")


class StopShadow(BaseModel):
    deployment_id: Identifier = Field(description="The production deployment, or its candidate.")
    reason: Description = REASON


MOST_ROWS, LEAST_ROWS, LATELY = 2_000, 200, timedelta(days=7)
"""The latest rows of the inference log that the gate looks at; fewer say nothing."""


REPLAY_MARGIN = Field(
    None,
    ge=0,
    le=1e12,
    description="What the model may cost and still be `not_worse`, in the unit of the loss: the share of wrong answers of "
    "classes, the mean absolute error of numbers. When nothing is said, 0.01 of the one and a hundredth of the other, whatever "
    "the replay was asked with.",
)
REPLAY_AGE = Field(USUAL_AGE_DAYS, ge=1, le=365, description="Days that have passed at most since that replay ended.")


class RequireReplay(BaseModel):
    verdict: RequiredVerdict = Field(
        RequiredVerdict.not_worse,
        description="What the latest replay of the model, of what the production deployment was asked, must have come to.",
    )
    margin: float | None = REPLAY_MARGIN
    max_age_days: int = REPLAY_AGE


class SetPromotionGate(BaseModel):
    project_id: Identifier = Field(description="The project.")
    metric: MetricName | None = Field(
        None, description="The metric that must not be worse than that of the model in production; null asks nothing of it."
    )
    max_loss: float = Field(0.0, ge=0, le=1e9, description="By how much it may be worse, in its own unit.")
    max_drift: float | None = Field(
        None,
        gt=0,
        le=100,
        description="The largest population stability index (without what chance alone gives) that a column of the model may "
        f"have, between the table it was trained on and the last {MOST_ROWS:,} rows that the production deployment was asked "
        f"within {LATELY.days} days (fewer than {LEAST_ROWS} say nothing); 0.1 is a little, 0.25 a lot. Null asks nothing of it.",
    )
    replay_verdict: RequiredVerdict | None = Field(
        None,
        description="What the latest replay of the model, of what the production deployment was asked, must have come to; null "
        "asks for none. One with a threshold or a side of its own is not looked at, nor one of before that deployment served its "
        "model.",
    )
    replay_margin: float | None = REPLAY_MARGIN
    replay_max_age_days: int = REPLAY_AGE
