"""Explanations of why a metric changed, in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.engines.metric_change.causes import Cause
from coreplex.job.lifecycle import JobStatus
from coreplex.metric_change import inputs, service
from coreplex.metric_change.table import MetricChange as Row
from coreplex.monitoring.table import Basis, MetricBasis
from coreplex.platform.permissions import READ, WRITE
from schema.background import background_work
from schema.batch import job_field, progress_of
from schema.common import published
from schema.cost import INSIDE
from schema.deleted import DeletedFromProjectPayload
from schema.document_fields import real
from schema.enums import enum
from schema.field import command, computed, row
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection, nested
from schema.scalars import Long

enum(
    Cause,
    "Why a metric changed.",
    {
        "missing_values": "Values are missing more, or less, often than they were.",
        "feature_shift": "The values of a column lie otherwise.",
        "other_features": "Those of further columns do, together.",
        "label_shift": "Outcomes come in other shares, or lie otherwise, than they did.",
        "rest": "What all of these leave unexplained: the same row has another outcome than it had (concept drift), or columns "
        "depend on each other in another way. By estimates that cannot be seen.",
    },
    name="MetricChangeCause",
)

enum(
    Basis,
    "What the value of a metric stands on.",
    {
        "realised": "Rows whose outcome is known.",
        "estimated": "What is to be expected of the answers; no outcome is needed.",
    },
    name="PerformanceBasis",
)

published(inputs.CreateMetricChange, "CreateMetricChangeInput", "A metric and two periods, whose difference is to be explained.")
published(inputs.DeleteMetricChange, "DeleteMetricChangeInput", "An explanation to remove.")


@strawberry.type(description="What a cause has done to the metric.")
class MetricChangePart:
    cause: Cause = computed(Cause, lambda part, _: Cause(part["cause"]), "The cause.")
    features: list[str] = computed(
        list[str], lambda part, _: part["features"], "The columns it is of; none of a shift of labels, and of the rest."
    )
    effect: float = real("effect", "Its part of the change, in the metric's unit; all parts sum to the change.")
    is_replaced: bool = computed(
        bool,
        lambda part, _: part["is_replaced"],
        "How it was found out: true where earlier rows were given such values and answered anew, because none of them had any; "
        "false where those that have are given more weight.",
    )


def _change(root: Row, _: Any) -> float | None:
    return None if root.before is None or root.after is None else root.after - root.before


def _parts(root: strawberry.Parent[Any]) -> list[Any]:
    return list(root.parts)


@background_work
@node(Row)
@strawberry.type(
    description="Why a metric of a deployment changed between two periods: its change, split into causes whose parts sum to it "
    "(Shapley values over rows of the earlier period that are given what the later one has). It is about rows that the "
    "deployment's model of now has answered."
)
class MetricChange:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment.")
    deployment: Any = owner("Deployment", "deployment_id", "The deployment.")
    model_id: strawberry.ID | None = strawberry.field(description="Identifier of the model; null once it is gone.")
    model: Any = link("Model", "model_id", "The model; null once it is deleted.")
    job_id: strawberry.ID | None = strawberry.field(
        description="Identifier of the background job, by which it is cancelled and followed; null once it is no longer listed."
    )
    job: Any = link("Job", "job_id", "The background job; null once it is no longer listed.")
    metric: str = strawberry.field(description="The metric.")
    wanted_basis: MetricBasis = strawberry.field(description="What it was allowed to stand on.")
    used_basis: Basis | None = strawberry.field(description="What it stands on, in both periods; null until it has succeeded.")
    since: datetime = strawberry.field(description="Where the later period begins.")
    until: datetime = strawberry.field(description="Where it ends.")
    baseline_since: datetime = strawberry.field(description="Where the earlier period begins.")
    baseline_until: datetime = strawberry.field(description="Where it ends.")
    status: JobStatus = strawberry.field(description="State.")
    progress: float = job_field(float, progress_of, "Share done, 0 to 100.")
    message: str = job_field(str, lambda job, _: job.message if job else "", "What is going on.")
    error: Notice | None = strawberry.field(description="Why it failed: too few outcomes, for example.")
    warnings: list[Notice] = strawberry.field(description="What is to be borne in mind.")
    before: float | None = strawberry.field(description="The metric in the earlier period; null until it has succeeded.")
    after: float | None = strawberry.field(description="The metric in the later one; null until it has succeeded.")
    change: float | None = computed(float | None, _change, "By how much it changed; null until it has succeeded.")
    standard_error: float | None = computed(
        float | None,
        lambda root, _: root.std_error,
        "Standard error of the change, by bootstrap: of a change within two of them the causes may be chance.",
    )
    after_row_count: Long | None = strawberry.field(description="Rows of the later period that it is of, of very many a sample.")
    before_row_count: Long | None = strawberry.field(description="Rows of the earlier one, likewise.")
    parts: list[MetricChangePart] = strawberry.field(
        resolver=_parts,
        graphql_type=list[MetricChangePart],
        metadata=INSIDE,
        description="The causes, those that explain most of the change first; empty until it has succeeded, and where the metric "
        "is as it was.",
    )
    created_by: Any = link("User", "created_by", "Who asked for it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was asked for.")
    started_at: datetime | None = strawberry.field(description="When it began.")
    finished_at: datetime | None = strawberry.field(description="When it ended.")


@strawberry.type(description="The explanation that was asked for.")
class MetricChangePayload:
    metric_change: MetricChange = strawberry.field(description="The explanation as it is now.")


@strawberry.type
class ProjectMetricChanges:
    metric_changes: Connection[MetricChange] = nested(service.METRIC_CHANGES, "Its explanations of why metrics changed.")


@strawberry.type
class MetricChangeQuery:
    metric_change: MetricChange | None = row(Row, READ, "One explanation of why a metric changed.", service.NOUN)
    metric_changes: Connection[MetricChange] | None = connection(
        service.METRIC_CHANGES, "Explanations of why metrics changed, of the caller's projects."
    )


@strawberry.type
class MetricChangeMutation:
    create_metric_change: MetricChangePayload | None = command(
        service.create,
        MetricChangePayload,
        WRITE,
        "Have explained, in the background, why a metric of a deployment changed between two periods.",
    )
    delete_metric_change: DeletedFromProjectPayload | None = command(
        service.delete_one, DeletedFromProjectPayload, WRITE, "Delete an explanation; one that is being made is ended."
    )
