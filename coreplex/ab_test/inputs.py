"""What a caller must say about A/B tests."""

from pydantic import BaseModel, Field, model_validator

from coreplex.ab_test.table import AbTestGoal, AbTestMethod, AbTestMetric
from coreplex.errors.tree import Message, WrongValue
from coreplex.outcome.inputs import MOST, Outcome
from coreplex.platform.document import JSON
from coreplex.platform.inputs import Description, Identifier, Name, OptionalObject, no_options
from coreplex.serving.inputs import AS_ROWS, OPTIONS, ROWS

ONE_TEST = Field(description="The test.")
HOURS_OF_A_YEAR = 8760


class CreateAbTest(BaseModel):
    project_id: Identifier = Field(description="The project.")
    name: Name = Field(description="Name, 1 to 200 characters.")
    deployment_a_id: Identifier | None = Field(
        None,
        description="The baseline, an active deployment. Where it serves in production, what is asked of it is split while the "
        "test runs.",
    )
    model_a_id: Identifier | None = Field(
        None, description="In its place a model of the project, which is deployed in staging to be the baseline."
    )
    deployment_b_id: Identifier | None = Field(
        None, description="The candidate, an active deployment of the project in staging that predicts the same."
    )
    model_b_id: Identifier | None = Field(
        None, description="In its place a model of the project, which is deployed in staging to be the candidate."
    )
    traffic_split: int = Field(50, ge=1, le=99, description="Percent of the keys whose rows the candidate answers.")
    metric: AbTestMetric | None = Field(
        None, description="What they are compared by; when nothing is said, `accuracy` of classes and `mae` of numbers."
    )
    goal: AbTestGoal | None = Field(
        None, description="Whether more or less of an `outcome` is better: more, when nothing is said. Other metrics have theirs."
    )
    method: AbTestMethod = Field(AbTestMethod.frequentist, description="How it is decided. With either one may look at any time.")
    confidence_level: float = Field(
        0.95,
        ge=0.5,
        le=0.9999,
        description="How certain a winner must be: at 0.95 at most one of 20 tests without a difference has one, at all looks "
        "together.",
    )
    max_expected_loss: float | None = Field(
        None,
        gt=0,
        le=1e9,
        description="Bayesian: the winner must not cost more than this on average, in the metric's unit, should it be the worse "
        "one; a hundredth of the standard deviation of the metric's values, when nothing is said.",
    )
    min_samples: int = Field(
        100, ge=1, le=10**9, description="Outcomes on each side before there can be a winner, which needs 50 different keys, too."
    )
    max_samples: int | None = Field(
        None, ge=1, le=10**9, description="Outcomes on both sides together after which it ends, with or without a winner."
    )
    min_duration_hours: float = Field(
        0.0, ge=0, le=HOURS_OF_A_YEAR, description="Hours before there can be a winner: whole weeks, where weekdays differ."
    )
    max_duration_hours: float = Field(
        672.0, gt=0, le=HOURS_OF_A_YEAR, description="Hours after which it ends, with or without a winner; four weeks are usual."
    )

    @model_validator(mode="after")
    def _two_sides(self) -> "CreateAbTest":
        if (self.deployment_a_id is None) == (self.model_a_id is None):
            raise WrongValue(Message("test_needs_baseline", "name either a deployment or a model as the baseline (a)"))
        if (self.deployment_b_id is None) == (self.model_b_id is None):
            raise WrongValue(Message("test_needs_candidate", "name either a deployment or a model as the candidate (b)"))
        return self

    @model_validator(mode="after")
    def _ends_after_it_may(self) -> "CreateAbTest":
        if self.max_duration_hours < self.min_duration_hours:
            raise WrongValue(Message("hours_crossed", "max_duration_hours must not be less than min_duration_hours"))
        if self.max_samples is not None and self.max_samples < 2 * self.min_samples:
            raise WrongValue(
                Message("samples_crossed", "max_samples counts both sides: it must be at least twice the min_samples of each")
            )
        return self

    @model_validator(mode="after")
    def _says_what_counts(self) -> "CreateAbTest":
        if self.goal is not None and self.metric is not AbTestMetric.outcome:
            raise WrongValue(Message("goal_of_outcome_only", "only the metric `outcome` takes a goal; the others have theirs"))
        if self.max_expected_loss is not None and self.method is not AbTestMethod.bayesian:
            raise WrongValue(
                Message("loss_of_bayesian_only", "max_expected_loss is for the method `bayesian`; the other one has none")
            )
        return self


class StartAbTest(BaseModel):
    ab_test_id: Identifier = ONE_TEST


class StopAbTest(BaseModel):
    ab_test_id: Identifier = ONE_TEST
    reason: Description = Field("", description="Why, for the timeline.")


class DeleteAbTest(BaseModel):
    ab_test_id: Identifier = ONE_TEST


class PredictAbTest(BaseModel):
    ab_test_id: Identifier = ONE_TEST
    inputs: JSON = Field(description=ROWS, json_schema_extra=AS_ROWS)
    options: OptionalObject = Field(
        default_factory=no_options,
        description="As of `predict`; `keys`: one a row, by which the side that answers is chosen.",
        json_schema_extra=OPTIONS,
    )


class RecordAbTestOutcomes(BaseModel):
    ab_test_id: Identifier = ONE_TEST
    items: list[Outcome] = Field(
        min_length=1,
        max_length=MOST,
        description="What came out, each of one row; said again, it replaces what was said before. Under the metric `outcome` a "
        "number, or true or false: what the test counts; else what was true, as of a deployment.",
    )
