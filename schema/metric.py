"""Metrics of models in the public contract: which there are, and what a model reached."""

from typing import Any

import strawberry

from coreplex.engines.automl.evaluation import metrics as engine
from coreplex.model.table import Evaluation, Model
from schema.common import key
from schema.cost import PRICE, Price
from schema.document_fields import at, number, real
from schema.enums import enum
from schema.scalars import Long

MetricName: Any = engine.MetricName
enum(
    MetricName,
    "How good predictions are. Of more than two classes, a metric of classes is the mean over them.",
    {
        "auc": "Area under the ROC curve: 0.5 is chance, 1 perfect.",
        "aucpr": "Area under the precision-recall curve (average precision), 0 to 1.",
        "logloss": "Mean negative log-likelihood of the true class: 0 is perfect, lower is better.",
        "accuracy": "Share of rows whose class is predicted, 0 to 1.",
        "mean_per_class_error": "Mean over the classes of the share of their rows that is predicted otherwise, 0 to 1; lower is "
        "better.",
        "balanced_accuracy": "Mean recall over the classes, 0 to 1.",
        "f1": "Harmonic mean of precision and recall, 0 to 1; of two classes that of the second.",
        "mcc": "Matthews correlation coefficient, -1 to 1.",
        "rmse": "Root mean squared error, in the target's unit; lower is better.",
        "mse": "Mean squared error, in the square of the target's unit; lower is better.",
        "mae": "Mean absolute error, in the target's unit; lower is better.",
        "r2": "Share of the target's variance that is explained: 1 is perfect, 0 as good as the mean.",
        "rmsle": "Root mean squared error of log(1 + value); none where the target goes below zero. Lower is better.",
        "deviance": "Mean residual deviance; lower is better.",
        "mape": "Mean absolute error as a share of the value (0.1 is 10 %), over rows whose value is not zero; lower is better.",
        "smape": "Symmetric MAPE, 0 to 2: the error as a share of the mean of value and prediction; lower is better.",
        "wape": "Sum of absolute errors as a share of the sum of absolute values; lower is better.",
        "pinball": "Loss of a quantile, of models that predict one; lower is better.",
    },
)
FEW = {PRICE: Price(items=8)}
"""Lists as long as there are metrics of a task."""
Pair = tuple[str, Any]
"""The name of a metric, and the model it is of."""


def _pairs(root: strawberry.Parent[Any]) -> list[Pair]:
    kept = root.metrics
    return [(name, root) for name in MetricName.__members__ if name in kept]


def _values(root: strawberry.Parent[Evaluation]) -> list[Pair]:
    kept = root.metrics
    return [(name, kept[name]) for name in MetricName.__members__ if name in kept]


def _higher(root: strawberry.Parent[Any]) -> bool:
    return root[0] in engine.HIGHER_IS_BETTER


def _value(root: strawberry.Parent[Any]) -> float | None:
    return number(root[1].metrics[root[0]])


def _alone(root: strawberry.Parent[Any]) -> float | None:
    return number(root[1])


def _of_folds(part: str) -> Any:
    def read(root: strawberry.Parent[Any]) -> float | None:
        found = root[1].cv_metrics.get(root[0])
        return None if found is None else number(found[part])

    return read


def _interval(root: strawberry.Parent[Any]) -> Any:
    return next((one for one in root[1].metric_intervals if one["metric"] == root[0]), None)


@strawberry.type(description="What a metric of a model will be on a new holdout, in nine such holdouts of ten.")
class MetricInterval:
    lower: float = real("low", "Lower end.")
    upper: float = real("high", "Upper end.")
    level: float = real("level", "The share of holdouts that fall inside: 0.9.")
    row_count: Long = key("rows", "Rows the metric was measured on (MAPE leaves out rows whose value is 0).", Long)
    holdout_row_count: Long = key("holdout_rows", "Rows of the holdout that is meant: a fifth of those judged.", Long)


HIGHER = "Whether a higher value is a better one."


@strawberry.type(description="A metric of a model, from out-of-fold predictions.")
class ModelMetric:
    name: str = at(0, "Which metric.", MetricName)
    value: float | None = strawberry.field(
        resolver=_value, description="What it is on all rows that were judged; null where it is not defined on them."
    )
    higher_is_better: bool = strawberry.field(resolver=_higher, description=HIGHER)
    fold_mean: float | None = strawberry.field(
        resolver=_of_folds("mean"), graphql_type=float | None, description="Mean of the metric over the folds."
    )
    fold_std: float | None = strawberry.field(
        resolver=_of_folds("std"), graphql_type=float | None, description="Its standard deviation over the folds."
    )
    interval: MetricInterval | None = strawberry.field(
        resolver=_interval,
        graphql_type=MetricInterval | None,
        description="What it will be on a new holdout. Null for MAPE where values lie next to zero, for metrics that are not "
        "defined, and for models trained before such intervals were kept.",
    )


@strawberry.type(description="A metric on labelled rows that came after the training.")
class EvaluationMetric:
    name: str = at(0, "Which metric.", MetricName)
    value: float | None = strawberry.field(resolver=_alone, description="What it is; null where it is not defined on the rows.")
    higher_is_better: bool = strawberry.field(resolver=_higher, description=HIGHER)


MODEL_METRICS: Any = strawberry.field(
    resolver=_pairs,
    graphql_type=list[ModelMetric],
    metadata=FEW,
    description="The metrics of its task, from out-of-fold predictions.",
)
EVALUATION_METRICS: Any = strawberry.field(
    resolver=_values,
    graphql_type=list[EvaluationMetric],
    metadata=FEW,
    description="The metrics of the task, at the model's threshold.",
)


def metric_of(model: Model, name: str) -> Pair | None:
    return (name, model) if name in model.metrics else None
