"""By which columns deployments answer, in the public contract."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.engines.drift.attribution import AttributionDrift, AttributionStatus
from coreplex.monitoring.attribution import Attributions, Day
from schema.cost import INSIDE, STATEMENT, Price
from schema.enums import enum
from schema.field import computed
from schema.links import link
from schema.scalars import Long

ATTRIBUTION = Price(each=100 + 3 * STATEMENT)

enum(
    AttributionStatus,
    "What a look at the columns' parts in the answers came to.",
    {
        "insufficient_data": "Fewer than 100 rows on one of the two sides, or not looked at yet.",
        "stable": "No column's share has changed beyond chance by two hundredths or more.",
        "drift": "One has.",
    },
)


@strawberry.type(description="How much a column moves the answers: the share of all its contributions' sizes (Shapley values).")
class FeatureAttributionReport:
    feature: str = strawberry.field(description="The column.")
    baseline_share: float = strawberry.field(description="Its share in training, 0 to 1.")
    share: float = strawberry.field(description="Its share now.")
    baseline_rank: int = strawberry.field(description="Its place in training, from 1.")
    rank: int = strawberry.field(description="Its place now.")
    adjusted_p_value: float = strawberry.field(description="That chance alone explains the difference, over all columns.")
    drifted: bool = strawberry.field(description="Whether it has changed beyond chance, and by two hundredths or more.")


def _status(of: Any) -> Any:
    return computed(AttributionStatus, lambda root, _: of(root).status, "What came of it.")


def _ndcg(of: Any) -> Any:
    return computed(
        float | None,
        lambda root, _: of(root).ndcg,
        "How well the order of the columns is that of training: normalised discounted cumulative gain, 1 where it is the same; "
        "null without enough rows.",
    )


def _found(root: Attributions) -> AttributionDrift:
    return root.found


def _itself(root: Day) -> Day:
    return root


@strawberry.type(description="A day of UTC.")
class AttributionDayReport:
    began_at: datetime = strawberry.field(description="Where it begins.")
    answered_count: Long = strawberry.field(description="Rows that were answered when it was looked at.")
    row_count: Long = strawberry.field(description="Rows that were drawn of them, 2,000 at most.")
    made_at: datetime = strawberry.field(description="When it was looked at.")
    status: AttributionStatus = _status(_itself)
    ndcg: float | None = _ndcg(_itself)


def _features(root: strawberry.Parent[Any]) -> list[Any]:
    return list(root.found.features)


def _days(root: strawberry.Parent[Any]) -> list[Any]:
    return list(root.days)


@strawberry.type(
    description="Whether the model of a deployment answers by other columns than in training. A job looks at a uniform sample of "
    "each day, every quarter of an hour while it grows."
)
class DeploymentAttributionDrift:
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model, the one it has now.")
    model: Any = link("Model", "model_id", "The model.")
    since: datetime = computed(datetime, lambda root, _: root.period.since, "Where the window begins, with a whole day of UTC.")
    until: datetime = computed(datetime, lambda root, _: root.period.until, "Where it ends, likewise.")
    status: AttributionStatus = _status(_found)
    ndcg: float | None = _ndcg(_found)
    distance: float | None = computed(
        float | None,
        lambda root, _: root.found.distance,
        "How far the shares lie apart: total variation, 0 to 1; null without enough rows.",
    )
    baseline_row_count: Long = strawberry.field(description="Rows of training that were looked at.")
    row_count: Long = strawberry.field(description="Rows of the window that were.")
    features: list[FeatureAttributionReport] = strawberry.field(
        resolver=_features,
        graphql_type=list[FeatureAttributionReport],
        metadata=INSIDE,
        description="The columns, those whose share has changed most first.",
    )
    days: list[AttributionDayReport] = strawberry.field(
        resolver=_days,
        graphql_type=list[AttributionDayReport],
        metadata=INSIDE,
        description="The days that were looked at, oldest first.",
    )
