"""Predictions in the public contract."""

import strawberry

from coreplex.platform.permissions import Category, Permission, Scope
from coreplex.serving import inputs, service
from schema.common import key, published
from schema.field import answer
from schema.scalars import JSON

PREDICT = Permission(Scope.predict, category=Category.predictions, once=True)

published(inputs.Predict, "PredictInput", "Rows for a deployment.")
published(inputs.PredictModel, "PredictModelInput", "Rows for a model.")


@strawberry.type(description="The answer for one row.")
class Prediction:
    prediction: JSON = key("prediction", "The predicted class, spelled as in the uploaded file, or the predicted number.", JSON)
    probability: float | None = key("probability", "Classification: probability of the predicted class.", float | None)
    probabilities: JSON | None = key("probabilities", "Classification: class → probability.", JSON | None)
    lower: float | None = key("lower", "Regression, when an interval is asked for: its lower end.", float | None)
    upper: float | None = key("upper", "Regression, when an interval is asked for: its upper end.", float | None)
    prediction_set: JSON | None = key(
        "prediction_set",
        "Classification, when an interval is asked for: the classes among which the truth is, the likeliest first.",
        JSON | None,
    )
    contributions: JSON | None = key(
        "contributions", "When asked for: the strongest features with what each adds to the raw score.", JSON | None
    )
    residual: float | None = key("residual", "When contributions are asked for: what their sum leaves unexplained.", float | None)
    explanation: JSON | None = key("explanation", "When asked for: base value, raw score, space and method.", JSON | None)


@strawberry.type(description="Something about a row the caller should know: an unseen category, a missing or unknown column.")
class PredictionWarning:
    kind: str = key("kind", "missing_column, extra_column, unseen_category, unreadable_value, out_of_range, not_logged, …", str)
    column: str = key("column", "The column it is about.", str)
    message: str = key("message", "A sentence for people.", str)
    row: int | None = key("row", "The row, from 0; empty when it holds for every row.", int | None)


@strawberry.type(description="Answers for rows, in their order.")
class PredictPayload:
    predictions: list[Prediction] = strawberry.field(description="One answer per row.")
    warnings: list[PredictionWarning] = strawberry.field(description="What the rows had wrong and how it was taken.")
    count: int = strawberry.field(description="Number of answers.")
    model_id: strawberry.ID = strawberry.field(description="The model that answered.")
    deployment_id: strawberry.ID | None = strawberry.field(description="The deployment that was asked.")
    request_id: str = strawberry.field(description="Identifier of the request; the inference log carries it.")
    latency_ms: float = strawberry.field(description="Milliseconds the scoring took.")


@strawberry.type
class ServingMutation:
    predict: PredictPayload | None = answer(service.predict, PREDICT, "Answer rows through a deployment; each row is logged.")
    predict_model: PredictPayload | None = answer(service.predict_model, PREDICT, "Answer rows with a model; nothing is logged.")
