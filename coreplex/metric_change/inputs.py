"""What a caller must say to have a change of a metric explained."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from coreplex.monitoring.current_metric import MetricBasis
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
    window: Length = Field(USUAL_WINDOW, description="How long the later period is, such as `24h`, `7d` or `4w`.")
    until: datetime | None = Field(None, description="The moment it ends at; left out, now.")
    baseline_window: Length | None = Field(None, description="How long the earlier period is; left out, as long.")
    baseline_until: datetime | None = Field(None, description="The moment it ends at; left out, where the later one begins.")


class DeleteMetricChange(BaseModel):
    metric_change_id: Identifier = Field(description="The explanation.")
