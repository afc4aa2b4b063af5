"""What a caller must say to have a change of a metric explained."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints, model_validator

from coreplex.errors.tree import WrongValue
from coreplex.monitoring.period import SINCE_AND_WINDOW
from coreplex.monitoring.table import MetricBasis
from coreplex.platform.inputs import NO_NUL, Identifier

USUAL_WINDOW = "7d"
Length = Annotated[str, StringConstraints(min_length=1, max_length=30), NO_NUL]
MetricName = Annotated[str, StringConstraints(min_length=1, max_length=32), NO_NUL]


class CreateMetricChange(BaseModel):
    deployment_id: Identifier = Field(description="The deployment; rows that its model of now has answered.")
    metric: MetricName | None = Field(
        None, description="The metric, as `performance` names it; left out, the one its models are ranked by."
    )
    basis: MetricBasis = Field(
        MetricBasis.either,
        description="Whether outcomes must be known, or the metric is estimated in both periods; `either`: by outcomes where "
        "both have 100 or more.",
    )
    window: Length | None = Field(
        None, description="How long the later period is, such as `24h` or `4w`; left out, `7d`, or what `since` says."
    )
    since: datetime | None = Field(None, description="Or the moment the later period begins at.")
    until: datetime | None = Field(None, description="The moment it ends at; left out, now.")
    baseline_window: Length | None = Field(None, description="How long the earlier period is; left out, as long as the other.")
    baseline_since: datetime | None = Field(None, description="Or the moment the earlier period begins at.")
    baseline_until: datetime | None = Field(None, description="The moment it ends at; left out, where the later one begins.")

    @model_validator(mode="after")
    def _one_beginning(self) -> "CreateMetricChange":
        if (self.since and self.window) or (self.baseline_since and self.baseline_window):
            raise WrongValue(SINCE_AND_WINDOW)
        return self


class DeleteMetricChange(BaseModel):
    metric_change_id: Identifier = Field(description="The explanation.")
