"""Retraining in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.monitoring.table import MetricBasis
from coreplex.platform.permissions import READ, WRITE
from coreplex.retraining import inputs, service
from coreplex.retraining.schedule import SHOWN, upcoming
from coreplex.retraining.table import RetrainPolicy as PolicyRow
from coreplex.retraining.table import RetrainRun as Row
from coreplex.retraining.table import RetrainStatus, RetrainTrigger
from schema.common import published
from schema.enums import enum
from schema.experiment import TRAIN
from schema.field import command, computed, row
from schema.links import link, owner
from schema.metric import MetricName
from schema.node import node
from schema.notice import Notice
from schema.rollout import END
from schema.scalars import Long

enum(
    RetrainTrigger,
    "What began a retraining.",
    {
        "schedule": "The schedule of the policy was due.",
        "drift": "What the deployment is asked began to drift.",
        "metric": "The metric of the policy was worse than it may be.",
        "manual": "Somebody asked for it.",
    },
)
enum(
    RetrainStatus,
    "State of a retraining.",
    {
        "pending": "It is about to begin.",
        "running": "Its experiment is queued, or trains.",
        "succeeded": "It has made a challenger.",
        "failed": "It has made none.",
        "skipped": "It was time for it, and there was a reason not to train: nothing was new.",
        "cancelled": "Somebody has cancelled it, or its experiment.",
    },
)
published(inputs.SetRetrainPolicy, "SetRetrainPolicyInput", "The whole policy: what is left out is as in a first one.")
published(inputs.DeleteRetrainPolicy, "DeleteRetrainPolicyInput", "A deployment that is to be retrained by itself no more.")
published(inputs.RetrainDeployment, "RetrainDeploymentInput", "A deployment to be retrained now.")
NEW_ROWS = "Rows that must be there which were not learned from last."


def _next_runs(policy: PolicyRow, _: Any) -> list[datetime]:
    if policy.schedule is None or policy.next_run_at is None:
        return []
    return [policy.next_run_at, *upcoming(policy.schedule, policy.time_zone, policy.next_run_at, SHOWN - 1)]


@strawberry.type(
    description="When a deployment is retrained by itself, and what that may cost. It is trained as its model was, on the newest "
    "version of the same dataset, in the name of who set the policy. What comes of it is a challenger: nobody is promoted."
)
class RetrainPolicy:
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment.")
    deployment: Any = owner("Deployment", "deployment_id", "The deployment.")
    is_enabled: bool = strawberry.field(description="Whether it is retrained by itself.")
    disabled_reason: Notice | None = strawberry.field(description="Why the server has disabled it; null where it has not.")
    schedule: str | None = strawberry.field(description="When it is retrained: the five fields of cron.")
    time_zone: str = strawberry.field(description="On whose clocks, by the name of the zone in the IANA database.")
    next_run_at: datetime | None = strawberry.field(description="When it is due next; null without a schedule, or disabled.")
    next_runs: list[datetime] = computed(list[datetime], _next_runs, "When it is due the next five times.")
    metric: str | None = strawberry.field(description="The metric that is looked at; null for none.")
    metric_threshold: float | None = strawberry.field(description="What it must not be worse than.")
    metric_window_secs: int = strawberry.field(description="Seconds that each look at it sees.")
    metric_basis: MetricBasis = strawberry.field(description="What its value may stand on.")
    next_look_at: datetime | None = strawberry.field(description="When it is looked at next.")
    on_drift: bool = strawberry.field(description="Whether it is retrained when what it is asked begins to drift.")
    cooldown_hours: int = strawberry.field(
        description="Hours after a training has begun in which drift and the metric begin no other."
    )
    quiet_until: datetime | None = strawberry.field(description="Drift and the metric begin no training before.")
    max_runtime_secs: int | None = strawberry.field(description="Seconds a training may take; null: as long as it might before.")
    max_models: int | None = strawberry.field(
        name="maxModelCount", description="Models a training may try; null: as many as it might before."
    )
    min_new_row_count: Long = computed(Long, lambda policy, _: policy.min_new_rows, NEW_ROWS)
    include_outcomes: bool = strawberry.field(
        description="Whether it learns from rows that the deployment answered, too, once their outcomes are known."
    )
    replay_window_secs: int | None = strawberry.field(
        description="Seconds back from its end of which a challenger answers again what was asked; null: it does not."
    )
    is_mailed: bool = strawberry.field(description="Whether the owner, admins and editors of the project get a mail of each end.")
    owner: Any = link("User", "owner_id", "In whose name it trains: who set it last; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was first set.")
    updated_at: datetime = strawberry.field(description="When it was last set.")


@node(Row)
@strawberry.type(description="A retraining of a deployment, or why there was none.")
class RetrainRun:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment.")
    deployment: Any = owner("Deployment", "deployment_id", "The deployment.")
    trigger: RetrainTrigger = strawberry.field(description="What began it.")
    status: RetrainStatus = strawberry.field(description="Where it stands.")
    reason: Notice | None = strawberry.field(description="Why it has made no challenger.")
    is_forced: bool = strawberry.field(description="Whether it was to train though nothing was new.")
    job_id: strawberry.ID | None = strawberry.field(description="Identifier of the job that begins it.")
    job: Any = link("Job", "job_id", "The job that begins it; null once it is no longer listed.")
    experiment_id: strawberry.ID | None = strawberry.field(description="Identifier of its experiment; null without one.")
    experiment: Any = link("Experiment", "experiment_id", "Its experiment; null without one, and where it is deleted.")
    dataset_version_id: strawberry.ID | None = strawberry.field(description="Identifier of the version it learns from.")
    dataset_version: Any = link("DatasetVersion", "dataset_version_id", "The version it learns from.")
    new_row_count: Long | None = computed(
        Long | None, lambda run, _: run.new_rows, "Rows of it that were not learned from before: by counts, not row by row."
    )
    outcome_row_count: Long | None = computed(
        Long | None, lambda run, _: run.outcome_rows, "Rows of it that the deployment was asked; null where none were to be."
    )
    previous_model_id: strawberry.ID | None = strawberry.field(description="Identifier of the model that was deployed.")
    previous_model: Any = link("Model", "previous_model_id", "The model that was deployed.")
    model_id: strawberry.ID | None = strawberry.field(description="Identifier of the challenger.")
    model: Any = link("Model", "model_id", "The challenger: the best model of the experiment.")
    replay_id: strawberry.ID | None = strawberry.field(description="Identifier of the replay; null without one.")
    replay: Any = link("Replay", "replay_id", "What the challenger would have answered; null without a replay.")
    metric: str | None = strawberry.field(graphql_type=MetricName | None, description="The metric by which the experiment ranks.")
    previous_value: float | None = strawberry.field(
        description="That of the model that was deployed, out-of-fold on the version it has learned from."
    )
    value: float | None = strawberry.field(
        description="That of the challenger, out-of-fold on its own version: on other rows, so that an A/B test, a shadow or a "
        "replay says more."
    )
    created_by: Any = link("User", "created_by", "In whose name it trains; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was time for it.")
    started_at: datetime | None = strawberry.field(description="When its experiment was queued.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The policy as it is now.")
class RetrainPolicyPayload:
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment.")
    retrain_policy: RetrainPolicy = strawberry.field(description="The policy.")
    deployment: Any = owner("Deployment", "deployment_id", "The deployment.")


@strawberry.type(description="The deployment that is retrained by itself no more.")
class DeleteRetrainPolicyPayload:
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment.")
    deployment: Any = owner("Deployment", "deployment_id", "The deployment.")


@strawberry.type(description="The retraining that begins.")
class RetrainRunPayload:
    retrain_run: RetrainRun = strawberry.field(description="The retraining as it is now.")


@strawberry.type
class RetrainQuery:
    retrain_run: RetrainRun | None = row(Row, READ, "One retraining.", "Retraining")


@strawberry.type
class RetrainMutation:
    set_retrain_policy: RetrainPolicyPayload | None = command(
        service.set_policy,
        RetrainPolicyPayload,
        WRITE,
        "Say when a deployment is retrained by itself, from now on in the caller's name; what was said before is over.",
    )
    delete_retrain_policy: DeleteRetrainPolicyPayload | None = command(
        service.delete_policy,
        DeleteRetrainPolicyPayload,
        END,
        "Retrain a deployment by itself no more, in an archived project too; what trains goes on.",
    )
    retrain_deployment: RetrainRunPayload | None = command(
        service.retrain,
        RetrainRunPayload,
        TRAIN,
        "Retrain a deployment now: as its model was trained, on the newest version of the same dataset.",
    )
