"""Curves of models and evaluations in the public contract: what charts are drawn from."""

from collections.abc import Callable
from typing import Annotated, Any

import strawberry

from coreplex.model import curves as domain
from schema.common import key
from schema.cost import INSIDE
from schema.document_fields import at, beside, bins, pairs, real
from schema.metric import MetricName
from schema.scalars import Long, Value

LabelWanted = Annotated[Value | None, strawberry.argument(description="Only that of this class.")]
ClassWanted = Annotated[
    Value | None, strawberry.argument(description="The class that is parted from all others; of two classes, the second.")
]
Threshold = Annotated[
    float | None,
    strawberry.argument(description="Predict the class from this probability on, instead of as the model does."),
]


def _points(*names: str) -> Callable[..., Any]:
    def read(root: strawberry.Parent[Any]) -> list[tuple[Any, ...]]:
        return beside(root, *names)

    return read


def _points_of(kind: Any, description: str, *names: str) -> Any:
    return strawberry.field(resolver=_points(*names), graphql_type=list[kind], metadata=INSIDE, description=description)


def _inside(kind: Any, resolver: Callable[..., Any], description: str) -> Any:
    return strawberry.field(resolver=resolver, graphql_type=kind, metadata=INSIDE, description=description)


CUT = "The probability from which on the class is predicted there."
LABEL = "The class that is parted from all others."


@strawberry.type(description="A point of a ROC curve.")
class RocPoint:
    false_positive_rate: float = at(0, "Share of the other rows that are predicted as the class.")
    true_positive_rate: float = at(1, "Share of the rows of the class that are predicted so.")
    threshold: float = at(2, CUT)


@strawberry.type(description="Receiver operating characteristic of a class: at most 200 points, from nobody predicted to all.")
class RocCurve:
    label: Value = key("label", LABEL, Value)
    points: list[RocPoint] = _points_of(RocPoint, "Its points, by falling threshold.", "fpr", "tpr", "threshold")


@strawberry.type(description="A point of a precision-recall curve.")
class PrecisionRecallPoint:
    recall: float = at(0, "Share of the rows of the class that are predicted so.")
    precision: float = at(1, "Share of the rows predicted as the class that are of it.")
    threshold: float = at(2, CUT)


@strawberry.type(description="Precision and recall of a class: at most 200 points.")
class PrecisionRecallCurve:
    label: Value = key("label", LABEL, Value)
    points: list[PrecisionRecallPoint] = _points_of(
        PrecisionRecallPoint, "Its points, by falling threshold.", "recall", "precision", "threshold"
    )


@strawberry.type(description="Rows whose predicted probability lies in one tenth of the range from 0 to 1.")
class CalibrationBin:
    predicted: float = at(0, "The mean predicted probability of the class.")
    observed: float = at(1, "The share of the rows that are of the class.")
    count: Long = at(2, "How many rows.", Long)


@strawberry.type(description="Whether the predicted probabilities of a class come true.")
class CalibrationCurve:
    label: Value = key("label", LABEL, Value)
    expected_calibration_error: float = real(
        "expected_calibration_error", "Mean distance of predicted and observed shares, weighted by rows: 0 is perfect."
    )
    bins: list[CalibrationBin] = _points_of(
        CalibrationBin, "The tenths in which there are rows, ascending.", "predicted", "observed", "count"
    )


@strawberry.type(description="A point of a gain curve.")
class GainPoint:
    share: float = at(0, "Share of all rows: those that score highest.")
    gain: float = at(1, "Share of the rows of the class that is among them.")
    lift: float | None = at(2, "How many times more of the class are among them than among all rows.", float | None)


@strawberry.type(description="Cumulative gains of a class: what is found of it when the rows that score highest are taken first.")
class GainCurve:
    label: Value = key("label", LABEL, Value)
    points: list[GainPoint] = _points_of(GainPoint, "Its points, from no row to all.", "share", "found", "lift")


@strawberry.type(description="How rows of each class are predicted.")
class ConfusionMatrix:
    labels: list[Value] = strawberry.field(
        description="The classes; beyond the twenty most frequent, and beside a single one, `(other)` is all the rest."
    )
    counts: list[list[Long]] = strawberry.field(
        description="Rows by true class (a line for each label) and predicted class (a place for each label)."
    )
    threshold: float | None = strawberry.field(
        description="The cut that was read: of those the curve keeps, the lowest not below what was asked for. Null where it is "
        "as the model predicts."
    )


@strawberry.type(description="The probability from which on predicting the second of two classes makes a metric best.")
class BestThreshold:
    metric: str = at(0, "Which metric.", MetricName)
    threshold: float = at(1, "The probability.")
    value: float = at(2, "The metric there, on the rows that chose it.")


@strawberry.type(description="A bar of a histogram.")
class HistogramBin:
    lower: float = at(0, "Its lower end.")
    upper: float = at(1, "Its upper end.")
    count: Long = at(2, "Values in it: the lower end included, the upper one in the last bar only.", Long)


@strawberry.type(description="A quantile: the share of the values that lie below a value.")
class Quantile:
    probability: float = at(0, "The share, 0 to 1.")
    value: float | None = at(1, "The value.", float | None)


def _bins(root: strawberry.Parent[Any]) -> Any:
    return bins(root["histogram"])


def _quantiles(root: strawberry.Parent[Any]) -> Any:
    return [(float(share), value) for share, value in pairs(root["quantiles"])]


@strawberry.type(description="Errors of predicted numbers: truth minus prediction, in the target's unit.")
class Residuals:
    mean: float = real("mean", "Their mean.")
    std: float = real("std", "Their standard deviation.")
    histogram: list[HistogramBin] = _inside(list[HistogramBin], _bins, "How they are spread.")
    quantiles: list[Quantile] = _inside(list[Quantile], _quantiles, "Their quantiles, ascending.")


@strawberry.type(description="A row: what was predicted, and what was true.")
class PredictedActual:
    actual: float = at(0, "The truth.")
    predicted: float = at(1, "The prediction.")
    residual: float = at(2, "Truth minus prediction.")


@strawberry.type(description="How far predictions of numbers were off.")
class ErrorBand:
    level: float = at(0, "The share of the rows meant, 0 to 1.")
    half_width: float = at(1, "That share of the predictions was off by no more than this.")


def _curve(kind: str) -> Callable[..., Any]:
    def read(root: strawberry.Parent[Any], label: LabelWanted = None) -> Any:
        return domain.of_label(root, kind, label)

    return read


def _gain(root: strawberry.Parent[Any], label: LabelWanted = None) -> Any:
    return domain.gain(root, label)


def _confusion(root: strawberry.Parent[Any], threshold: Threshold = None, label: ClassWanted = None) -> Any:
    return domain.confusion(root, threshold, label)


def _best(root: strawberry.Parent[Any]) -> Any:
    kept = root.get("thresholds")
    return kept and [(name.removeprefix("max_"), one["threshold"], one["value"]) for name, one in pairs(kept)]


def _residuals(root: strawberry.Parent[Any]) -> Any:
    return root.get("residuals")


def _predicted(root: strawberry.Parent[Any]) -> Any:
    kept = root.get("predicted_actual")
    return kept and beside(kept, "actual", "predicted", "residual")


def _bands(root: strawberry.Parent[Any]) -> Any:
    kept = root.get("intervals")
    return kept and [(float(level), size) for level, size in pairs(kept)]


NUMBERS = "Null for classes."
CLASSES = "One for the second of two classes; of more, one for each of the twenty most frequent. Null for numbers."


@strawberry.type(description="Curves and tables of a model's predictions beside the truth. What does not fit the task is null.")
class Curves:
    labels: list[Value] | None = key("labels", "The classes; null for numbers.", list[Value] | None)
    roc: list[RocCurve] | None = _inside(list[RocCurve] | None, _curve("roc"), f"ROC curves. {CLASSES}")
    precision_recall: list[PrecisionRecallCurve] | None = _inside(
        list[PrecisionRecallCurve] | None, _curve("pr"), f"Precision-recall curves. {CLASSES}"
    )
    calibration: list[CalibrationCurve] | None = _inside(
        list[CalibrationCurve] | None, _curve("calibration"), f"Whether probabilities come true. {CLASSES}"
    )
    gain: list[GainCurve] | None = _inside(list[GainCurve] | None, _gain, f"Cumulative gain curves. {CLASSES}")
    confusion: ConfusionMatrix | None = strawberry.field(
        resolver=_confusion,
        graphql_type=ConfusionMatrix | None,
        description="How rows of each class are predicted, as the model decides or at another threshold. Null for numbers.",
    )
    best_thresholds: list[BestThreshold] | None = _inside(
        list[BestThreshold] | None, _best, "Two classes: where to predict the second one to make a metric best."
    )
    residuals: Residuals | None = strawberry.field(
        resolver=_residuals, graphql_type=Residuals | None, description=f"Errors of the predictions. {NUMBERS}"
    )
    predicted_vs_actual: list[PredictedActual] | None = _inside(
        list[PredictedActual] | None, _predicted, f"At most 200 rows, evenly spread over the truth, ascending. {NUMBERS}"
    )
    error_bands: list[ErrorBand] | None = _inside(list[ErrorBand] | None, _bands, f"How far off predictions were. {NUMBERS}")
