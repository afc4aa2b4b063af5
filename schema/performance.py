"""How good a deployed model is, in the public contract: metrics of known outcomes, and estimates, each by itself."""

from datetime import datetime
from typing import Any

import strawberry

from coreplex.engines.automl.evaluation.metrics import within_range
from coreplex.engines.performance.realised import HIGHER, Figure, defined
from coreplex.monitoring.performance import Performance
from schema.cost import INSIDE, STATEMENT, Price
from schema.document_fields import at
from schema.field import computed
from schema.links import link
from schema.notice import Notice
from schema.scalars import Long

PERFORMANCE = Price(each=500 + 7 * STATEMENT)
_CERTAIN = 1.959964
"""Standard errors either way that hold 95 %."""


def _end(sign: int, description: str) -> Any:
    def read(one: tuple[str, Figure], _: Any) -> float | None:
        name, (value, error) = one
        return None if value is None or error is None else defined(within_range(name, value + sign * _CERTAIN * error))

    return computed(float | None, read, description)


@strawberry.type(description="A metric of rows that were answered.")
class MetricFigure:
    name: str = at(0, "Its name, as models are ranked by; of classes also `precision`, `recall` and `specificity`.", str)
    value: float | None = computed(float | None, lambda one, _: one[1].value, "Its value; null where it is not defined.")
    standard_error: float | None = computed(
        float | None,
        lambda one, _: one[1].error,
        "Its standard error, by the chance of rows and outcomes; what a calibration leaves wrong is not in it. Null where there "
        "is none, as of very few rows.",
    )
    lower: float | None = _end(-1, "Where its 95 % interval begins, in the range of the metric.")
    upper: float | None = _end(1, "Where it ends.")
    higher_is_better: bool = computed(bool, lambda one, _: one[0] in HIGHER, "Whether more is better.")


@strawberry.type(description="A metric as training promised it: on rows that the model had not learned from.")
class PromisedMetric:
    name: str = at(0, "Its name.", str)
    value: float | None = at(1, "Its value; null where it was not defined.", float | None)
    higher_is_better: bool = computed(bool, lambda one, _: one[0] in HIGHER, "Whether more is better.")


def _figures(of: Any) -> Any:
    def read(root: strawberry.Parent[Any]) -> list[Any]:
        return [(name, figure) for name, figure in of(root).items() if figure.value is not None]

    return strawberry.field(
        resolver=read,
        graphql_type=list[MetricFigure],
        metadata=INSIDE,
        description="Every metric that is defined on these rows.",
    )


@strawberry.type(description="How right answers were: of rows whose outcome is known. No estimate is in it.")
class RealisedPerformance:
    row_count: Long = computed(Long, lambda part, _: part.judged, "Rows it is of: all with an outcome, of very many a sample.")
    unknown_class_count: Long = computed(
        Long,
        lambda part, _: part.unknown,
        "Rows of them whose outcome is a class that the model does not know: wrong in the accuracy, in no other metric.",
    )
    metrics: list[MetricFigure] = _figures(lambda part: part.realised)


@strawberry.type(
    description="How right answers probably were, outcomes or not: of classes by how sure the answers are, calibrated on "
    "out-of-fold answers (as CBPE does); of numbers by a model of the out-of-fold errors (as DLE does). It sees what moved "
    "inputs do; it does not see when the same row begins to have another truth: only outcomes show that."
)
class EstimatedPerformance:
    row_count: Long = computed(Long, lambda part, _: part.rows, "Rows it is of: all that were answered, of very many a sample.")
    metrics: list[MetricFigure] = _figures(lambda part: part.estimated)


def _realised(of: Any) -> Any:
    return computed(RealisedPerformance, lambda root, _: of(root), "What the outcomes say.")


def _estimated(of: Any) -> Any:
    def read(root: Any, _: Any) -> Any:
        part = of(root)
        return None if part.estimated is None else part

    return computed(EstimatedPerformance | None, read, "What is estimated without them; null where nothing can be.")


def _answered(of: Any) -> Any:
    return computed(Long, lambda root, _: of(root).answered, "Rows that were answered.")


def _outcomes(of: Any) -> Any:
    return computed(
        Long,
        lambda root, _: of(root).outcomes,
        "Rows of them, in the inference log still, whose outcome is known: each is counted.",
    )


@strawberry.type(description="How right a deployment was in a stretch of time.")
class PerformanceBucket:
    began_at: datetime = at(0, "Where it begins.", datetime)
    answered_count: Long = _answered(lambda root: root[1])
    outcome_count: Long = _outcomes(lambda root: root[1])
    realised: RealisedPerformance = _realised(lambda root: root[1].part)
    estimated: EstimatedPerformance | None = _estimated(lambda root: root[1].part)


def _of_slice(name: str, kind: Any, description: str) -> Any:
    return computed(kind, lambda root, _: getattr(root[0], name), description)


@strawberry.type(description="How right a deployment was where a column has certain values.")
class PerformanceSlice:
    label: str = _of_slice(
        "label", str, "The values: a range, a category, `others`, `new` (never seen in training) or `missing`."
    )
    lower: float | None = _of_slice("lower", float | None, "Of a range: values are above it; null for the lowest one.")
    upper: float | None = _of_slice("upper", float | None, "Of a range: values are at most this; null for the highest one.")
    level: str | None = _of_slice("level", str | None, "The category; null for everything else.")
    realised: RealisedPerformance = _realised(lambda root: root[1])
    estimated: EstimatedPerformance | None = _estimated(lambda root: root[1])


def _buckets(root: strawberry.Parent[Any]) -> list[Any]:
    return list(root.buckets.items())


def _promised(root: strawberry.Parent[Any]) -> list[Any]:
    return list(root.promised.items())


def _slices(root: strawberry.Parent[Any]) -> list[Any]:
    return list(root.slices)


def _whole(root: Performance) -> Any:
    return root.whole


@strawberry.type(
    description="How right the model of a deployment is over a time: what outcomes say, what is estimated without them, and "
    "what training promised; the three are never mixed."
)
class DeploymentPerformance:
    model_id: strawberry.ID = strawberry.field(
        description="Identifier of the model, the one it has now; rows of others do not count."
    )
    model: Any = link("Model", "model_id", "The model.")
    since: datetime = computed(
        datetime, lambda root, _: root.period.since, "Where the window begins: at a whole bucket of what is kept of its age."
    )
    until: datetime = computed(datetime, lambda root, _: root.period.until, "Where it ends: with the running minute.")
    bucket_secs: int = computed(int, lambda root, _: int(root.bucket.total_seconds()), "Seconds of a bucket.")
    rank_metric: str = strawberry.field(description="The metric its experiment ranks models by, by which slices are sorted.")
    answered_count: Long = _answered(_whole)
    outcome_count: Long = _outcomes(_whole)
    realised: RealisedPerformance = _realised(lambda root: root.whole.part)
    estimated: EstimatedPerformance | None = _estimated(lambda root: root.whole.part)
    not_estimable: Notice | None = strawberry.field(description="Why there are no estimates; null when there are.")
    promised: list[PromisedMetric] = strawberry.field(
        resolver=_promised,
        graphql_type=list[PromisedMetric],
        metadata=INSIDE,
        description="What training promised: every metric out-of-fold.",
    )
    buckets: list[PerformanceBucket] = strawberry.field(
        resolver=_buckets,
        graphql_type=list[PerformanceBucket],
        metadata=INSIDE,
        description="The window in stretches of equal length, oldest first.",
    )
    slices: list[PerformanceSlice] = strawberry.field(
        resolver=_slices,
        graphql_type=list[PerformanceSlice],
        metadata=INSIDE,
        description="The rows by the values of the column `sliceBy`, the worst first; empty without it.",
    )
