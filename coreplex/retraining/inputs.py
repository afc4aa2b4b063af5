"""What a caller must say about retraining."""

from typing import Annotated

from pydantic import BaseModel, Field

from coreplex.monitoring.table import MetricBasis
from coreplex.platform.inputs import Identifier, Long, Name

Schedule = Annotated[str, Field(max_length=100)]
Window = Annotated[str, Field(max_length=20)]
Zone = Annotated[str, Field(max_length=64)]


class SetRetrainPolicy(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
    is_enabled: bool = Field(True, description="Whether it is retrained by itself.")
    schedule: Schedule | None = Field(
        None,
        description="When it is retrained, as the five fields of cron: `0 3 * * mon` is each Monday at three. Once in 15 "
        "minutes at most; null: by no schedule.",
    )
    time_zone: Zone = Field(
        "UTC",
        description="The zone of the IANA database on whose clocks it is due, such as `Europe/Zurich`. A time that a change of "
        "the clocks skips is due right after it, one that is repeated is due once.",
    )
    metric: Name | None = Field(
        None,
        description="A metric of the deployment's model, such as `auc` or `mae`, that is looked at every quarter of an hour: "
        "realised where enough outcomes are known, else estimated. It is retrained when the metric is worse than "
        "`metric_threshold`, by its 95 % interval: once, until it has been within again, or another model serves.",
    )
    metric_threshold: float | None = Field(
        None, ge=-1e12, le=1e12, description="What the metric must not be worse than, in its own unit."
    )
    metric_window: Window = Field("24h", description="How long back each look sees, such as `24h` or `7d`; up to 30 days.")
    metric_basis: MetricBasis = Field(
        MetricBasis.either, description="What its value may stand on: known outcomes, an estimate, or what there is."
    )
    on_drift: bool = Field(
        False, description="Whether it is retrained when what it is asked begins to drift: once each time it begins to."
    )
    cooldown_hours: int = Field(
        24,
        ge=0,
        le=8760,
        description="Hours after a training has begun in which drift and the metric begin no other.",
    )
    max_runtime_secs: int | None = Field(
        None, ge=1, le=604_800, description="Seconds a training may take; null: as long as that of the deployed model might."
    )
    max_models: int | None = Field(
        None, ge=1, le=1000, description="Models it may try; null: as many as that of the deployed model might."
    )
    min_new_row_count: Long = Field(
        Long(0),
        ge=0,
        le=2**53,
        description="Rows that must be there which were not learned from last; with 0 any newer version of the dataset will do.",
    )
    include_outcomes: bool = Field(
        False,
        description="Whether rows that the deployment answered are learned from as soon as their outcomes are known: they are "
        "appended to the newest version, the outcome as the column that is predicted, which makes a further version.",
    )
    replay_window: Window | None = Field(
        None,
        description="Of how long a time, such as `7d`, the challenger answers again what was asked; up to 30 days. "
        "Null: it does not. Not with `include_outcomes`: it would be judged by rows that it has learned from.",
    )
    is_mailed: bool = Field(False, description="Whether the owner, admins and editors of the project get a mail of each end.")


class DeleteRetrainPolicy(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")


class RetrainDeployment(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
    force: bool = Field(False, description="Train though nothing is new since the last time.")
