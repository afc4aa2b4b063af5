"""What a caller must say about replays."""

from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, field_validator, model_validator

from coreplex.deployment.table import Arm
from coreplex.errors.tree import Message, WrongValue
from coreplex.monitoring.period import SINCE_AND_WINDOW
from coreplex.platform.filtering import Moment
from coreplex.platform.inputs import Identifier, storable

MOST_ROWS, LEAST_ROWS = 200_000, 100
MOST_COLUMNS = 10
USUAL_WINDOW = "7d"
Column = Annotated[str, StringConstraints(min_length=1, max_length=300)]


class CreateReplay(BaseModel):
    deployment_id: Identifier = Field(description="The deployment whose logged rows are answered again, whether it still serves.")
    model_id: Identifier = Field(description="The candidate: a model of the project that predicts the same.")
    window: str | None = Field(
        None,
        max_length=20,
        description=f"How long a time before `until`, such as `24h`, `{USUAL_WINDOW}` or `4w`. When neither it nor `since` is "
        f"said: from where the last replay of this candidate began, so that both are one look at more outcomes, or else "
        f"`{USUAL_WINDOW}`.",
    )
    since: Moment | None = Field(None, description="Only rows answered from this moment on, in the place of `window`.")
    until: Moment | None = Field(None, description="Only rows answered before this moment; now, when nothing is said.")
    arm: Arm | None = Field(None, description="Only rows that this side of a split has answered: `baseline` or `candidate`.")
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Of two classes: the second from this probability on, where callers ask so; else the candidate's own.",
    )
    is_strict: bool = Field(
        False,
        description="Refuse rows that are odd to the candidate, as where callers ask with `strict`: they count as failures.",
    )
    slices: list[Column] | None = Field(
        None,
        max_length=MOST_COLUMNS,
        description="Columns of the rows by which it is also looked at, whether a model uses them; the five most important ones, "
        "when nothing is said.",
    )
    margin: float | None = Field(
        None,
        ge=0,
        le=1e12,
        description="What the candidate may cost and still be `not_worse`, in the unit of the loss: the share of wrong answers "
        "of classes (0.01, when nothing is said), the mean absolute error of numbers (a hundredth of that of the answers given).",
    )
    confidence_level: float = Field(
        0.95, ge=0.5, le=0.9999, description="How certain a verdict must be, at all looks at this candidate together."
    )
    max_row_count: int = Field(
        MOST_ROWS, ge=LEAST_ROWS, le=MOST_ROWS, description="Rows that are answered at most; of more, a uniform sample."
    )

    @field_validator("slices")
    @classmethod
    def _each_once(cls, value: list[str] | None) -> list[str] | None:
        return None if value is None else list(dict.fromkeys(storable(one) for one in value))

    @field_validator("arm")
    @classmethod
    def _answered(cls, value: Arm | None) -> Arm | None:
        if value is Arm.shadow:
            raise WrongValue(Message("shadow_answers_nobody", "must be baseline or candidate: a shadow answers nobody"))
        return value

    @model_validator(mode="after")
    def _one_beginning(self) -> "CreateReplay":
        if self.since is not None and self.window is not None:
            raise WrongValue(SINCE_AND_WINDOW)
        return self


class DeleteReplay(BaseModel):
    replay_id: Identifier = Field(description="The replay.")
