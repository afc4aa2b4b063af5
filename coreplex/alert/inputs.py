"""What a caller must say about alerts."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, Field

from coreplex.alert.table import AlertKind
from coreplex.monitoring.table import MetricBasis
from coreplex.platform.inputs import Identifier, Name


class LatencyPercentile(StrEnum):
    p50 = "p50"
    p95 = "p95"
    p99 = "p99"


SHARES = {LatencyPercentile.p50: 0.5, LatencyPercentile.p95: 0.95, LatencyPercentile.p99: 0.99}
Threshold = Annotated[float, Field(ge=-1e12, le=1e12)]
USUAL_MIN_REQUESTS = 20
Looks = Annotated[int, Field(ge=1, le=20)]
Window = Annotated[str, Field(max_length=20)]
THRESHOLD = (
    "Of an error rate a share, 0 to 1 (0.05 unless said); of a latency milliseconds; of a metric the worst value that is fine: a "
    "lower one is wrong where more is better, else a higher one; one that the metric can have. The others have none."
)
METRIC = "Of a metric: which, by its name in the model's `metrics`, or `precision`, `recall`, `specificity`."
BASIS = "Of a metric: what its value stands on; `either` unless said."
FEWER = (
    "Of an error rate fewer requests say nothing, of a latency fewer that were answered; of a metric fewer rows with an outcome, "
    "or without one. The other kinds have none."
)
WINDOW = "How long back each look sees, such as `5m`, `1h` or `7d`; up to seven days."


class CreateAlert(BaseModel):
    project_id: Identifier = Field(description="The project.")
    deployment_id: Identifier = Field(description="The deployment that is watched.")
    name: Name = Field(description="What it is called.")
    kind: AlertKind = Field(description="What is looked at.")
    threshold: Threshold | None = Field(None, description=THRESHOLD)
    percentile: LatencyPercentile | None = Field(None, description="Of a latency: which; p95 unless said.")
    metric: Name | None = Field(None, description=METRIC)
    basis: MetricBasis | None = Field(None, description=BASIS)
    window: Window | None = Field(None, description=f"{WINDOW} Left out, `24h` of a metric and `5m` of the others.")
    breaches_needed: Looks = Field(2, description="It fires when so many of the last looks saw something wrong.")
    looks_counted: Looks = Field(3, description="Looks that are counted.")
    min_requests: int = Field(USUAL_MIN_REQUESTS, ge=1, le=1_000_000, description=FEWER)
    is_mailed: bool = Field(False, description="Whether the owner, admins and editors of the project get a mail.")
    is_enabled: bool = Field(True, description="Whether it is looked at.")


class UpdateAlert(BaseModel):
    alert_id: Identifier = Field(description="The alert.")
    name: Name | None = Field(None, description="What it is called.")
    threshold: Threshold | None = Field(None, description=THRESHOLD)
    percentile: LatencyPercentile | None = Field(None, description="Of a latency: which.")
    metric: Name | None = Field(None, description=METRIC)
    basis: MetricBasis | None = Field(None, description=BASIS)
    window: Window | None = Field(None, description=WINDOW)
    breaches_needed: Looks | None = Field(None, description="It fires when so many of the last looks saw something wrong.")
    looks_counted: Looks | None = Field(None, description="Looks that are counted.")
    min_requests: int | None = Field(None, ge=1, le=1_000_000, description=FEWER)
    is_mailed: bool | None = Field(None, description="Whether people get a mail.")
    is_enabled: bool | None = Field(None, description="Whether it is looked at. Switched off, or on, it is over and begins anew.")


class DeleteAlert(BaseModel):
    alert_id: Identifier = Field(description="The alert.")


class AcknowledgeAlert(BaseModel):
    alert_id: Identifier = Field(description="The alert, which fires.")


class MuteAlert(BaseModel):
    alert_id: Identifier = Field(description="The alert.")
    until: datetime | None = Field(
        None, description="Nobody is told anything before that moment, but that it is gone; null: from now on people are."
    )
