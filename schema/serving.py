"""Predictions in the public contract."""

from collections.abc import Callable, Mapping
from typing import Any

import strawberry

from coreplex.deployment.table import DeploymentStatus
from coreplex.platform.permissions import Category, Permission, Scope
from coreplex.serving import inputs, service
from resolvers import serving as resolve
from schema.common import key, published
from schema.cost import INSIDE
from schema.document_fields import at, number, real
from schema.explanation import Contribution, ExplanationMethod, ScoreSpace
from schema.field import answer, guarded
from schema.input_schema import InputSchema
from schema.links import link, linked
from schema.row_warning import RowWarningKind
from schema.scalars import Value

PREDICT = Permission(Scope.predict, category=Category.predictions, once=True)

ASK = Permission(Scope.predict)
"""What may be predicted with may be known by the key that predicts, which need not be one that reads."""

published(inputs.Predict, "PredictInput", "Rows for a deployment.")
published(inputs.PredictModel, "PredictModelInput", "Rows for a model.")


def _whole(text: str) -> int | str:
    return int(text) if text.removeprefix("-").isdecimal() and str(int(text)) == text else text


def _number(text: str) -> float | str:
    try:
        return float(text) if str(float(text)) == text else text
    except ValueError:
        return text


SPELLED: Mapping[type, Callable[[str], Any]] = {bool: lambda text: text == "true", int: _whole, float: _number}
"""Classes that are no texts, out of the keys of `probabilities`, which are."""


def _probabilities(root: strawberry.Parent[Any]) -> Any:
    found = root.get("probabilities")
    if found is None:
        return None
    spelled = SPELLED.get(type(root["prediction"]))
    return list(found.items()) if spelled is None else [(spelled(text), share) for text, share in found.items()]


def _of_arm(name: str) -> Callable[[Any], Any]:
    return lambda root: root.get(name)


def _explanation(root: strawberry.Parent[Any]) -> Any:
    return root if "explanation" in root else None


def _of_explanation(name: str, description: str, kind: Any) -> Any:
    def read(root: strawberry.Parent[Any]) -> Any:
        found = root["explanation"].get(name)
        return number(found) if kind is float else found

    return strawberry.field(resolver=read, graphql_type=kind, description=description)


@strawberry.type(description="How likely a class is.")
class ClassProbability:
    label: Value = at(0, "The class, spelled as in the uploaded file.", Value)
    probability: float = at(1, "Its probability, 0 to 1.")


@strawberry.type(description="What the columns of a row add to the raw score of its answer. It says nothing of causes.")
class PredictionExplanation:
    method: str = _of_explanation("method", "How it was found out.", ExplanationMethod)
    space: str = _of_explanation("space", "What the raw score is.", ScoreSpace)
    label: Value | None = _of_explanation(
        "class", "The class whose raw score is explained: the second of two, the predicted one of more.", Value | None
    )
    base_value: float = _of_explanation("base_value", "The mean raw score, from which the contributions start.", float)
    raw_score: float = _of_explanation("raw_score", "The raw score of this row.", float)
    contributions: list[Contribution] = strawberry.field(
        resolver=lambda root: root["contributions"],
        graphql_type=list[Contribution],
        metadata=INSIDE,
        description="The strongest columns, the strongest first.",
    )
    others: float = _of_explanation("others", "What all other columns add together.", float)
    residual: float = real("residual", "What is left unexplained: rounding, or a fault.")


@strawberry.type(description="The answer for one row.")
class Prediction:
    prediction: Value = key("prediction", "The predicted class, spelled as in the uploaded file, or the predicted number.", Value)
    probability: float | None = key("probability", "Classification: probability of the predicted class.", float | None)
    probabilities: list[ClassProbability] | None = strawberry.field(
        resolver=_probabilities,
        graphql_type=list[ClassProbability] | None,
        metadata=INSIDE,
        description="Classification: the probability of each class, in the order of the model's `classes` (in a log, in none).",
    )
    lower: float | None = real("lower", "Regression, when an interval is asked for: its lower end.", float | None)
    upper: float | None = real("upper", "Regression, when an interval is asked for: its upper end.", float | None)
    prediction_set: list[Value] | None = key(
        "prediction_set",
        "Classification, when an interval is asked for: the classes among which the truth is, the likeliest first.",
        list[Value] | None,
    )
    explanation: PredictionExplanation | None = strawberry.field(
        resolver=_explanation,
        graphql_type=PredictionExplanation | None,
        description="When contributions are asked for: what the columns add to the raw score.",
    )
    deployment_id: strawberry.ID | None = key(
        "deployment_id",
        "Identifier of the deployment that answered this row, where rows are split between two; else null: see the answer's.",
        strawberry.ID | None,
    )
    deployment: Any = linked("Deployment", _of_arm("deployment_id"), "That deployment; null for a key that may not read.")
    model_id: strawberry.ID | None = key("model_id", "Identifier of its model, in the same case.", strawberry.ID | None)
    model: Any = linked("Model", _of_arm("model_id"), "Its model; null for a key that may not read.")


def _column(root: strawberry.Parent[Any]) -> str | None:
    return root["column"] or None


@strawberry.type(description="Something about a row the caller should know: an unseen category, a missing or unknown column.")
class PredictionWarning:
    kind: str = key("kind", "What is odd.", RowWarningKind)
    column: str | None = strawberry.field(
        resolver=_column, graphql_type=str | None, description="The column it is about; null where it is none."
    )
    message: str = key("message", "A sentence for people.", str)
    row: int | None = key("row", "The row, from 0; null when it holds for every row.", int | None)


@strawberry.type(description="Answers for rows, in their order.")
class ModelAnswers:
    predictions: list[Prediction] = strawberry.field(description="One answer per row.")
    warnings: list[PredictionWarning] = strawberry.field(description="What the rows had wrong and how it was taken.")
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model that answered.")
    model: Any = link("Model", "model_id", "The model that answered; null for a key that may not read.")
    request_id: str = strawberry.field(description="Identifier of the request.")
    latency_ms: float = strawberry.field(description="Milliseconds the scoring took.")


@strawberry.type(description="Answers for rows, in their order; the inference log has them under `requestId`.")
class DeploymentAnswers(ModelAnswers):
    deployment_id: strawberry.ID = strawberry.field(
        description="Identifier of the deployment that answered; where several have, of the one in production: see `predictions`."
    )
    deployment: Any = link("Deployment", "deployment_id", "That deployment; null for a key that may not read.")


@strawberry.type(description="The model that a deployment serves, for whoever may predict with it.")
class ServedModel:
    deployment_id: strawberry.ID = strawberry.field(description="Identifier of the deployment.")
    deployment: Any = link("Deployment", "deployment_id", "The deployment; null for a key that may not read.")
    model_id: strawberry.ID = strawberry.field(description="Identifier of the model.")
    model: Any = link("Model", "model_id", "The model; null for a key that may not read.")
    status: DeploymentStatus = strawberry.field(description="Whether the deployment serves.")
    input_schema: InputSchema = strawberry.field(
        description="What the model wants to be given, and what it answers; not how important columns are."
    )


@strawberry.type
class ServingQuery:
    served_model: ServedModel | None = guarded(
        resolve.served_model, ASK, "What a deployment serves and wants to be given, for whoever may predict with it."
    )


@strawberry.type
class ServingMutation:
    predict: DeploymentAnswers | None = answer(service.predict, PREDICT, "Answer rows through a deployment; each row is logged.")
    predict_model: ModelAnswers | None = answer(service.predict_model, PREDICT, "Answer rows with a model; nothing is logged.")
