"""What a model goes by, in the public contract: importances and SHAP values."""

from typing import Annotated, Any

import strawberry

from coreplex.errors.tree import Message
from schema.common import key, named_enum
from schema.cost import INSIDE
from schema.document_fields import at, real
from schema.enums import enum
from schema.notice import Notice
from schema.scalars import Long, Value

ExplanationMethod: Any = named_enum("ExplanationMethod", ("tree_shap", "linear", "sampling", "permutation", "none"))
enum(
    ExplanationMethod,
    "How it was found out what a model goes by.",
    {
        "tree_shap": "Exact Shapley values of trees (TreeSHAP).",
        "linear": "Exact Shapley values of a linear model: weight times distance from the mean.",
        "sampling": "Shapley values from sampled orders of the columns, with standard errors.",
        "permutation": "How much worse the model gets when a column is shuffled.",
        "none": "It could not be found out; `error` says why.",
    },
)
ScoreSpace: Any = named_enum("ScoreSpace", ("identity", "log", "logit", "softmax"))
enum(
    ScoreSpace,
    "What a raw score is.",
    {
        "identity": "The predicted number itself.",
        "log": "The logarithm of the predicted number.",
        "logit": "The log-odds of the second of two classes.",
        "softmax": "The score of one of several classes: probabilities are their softmax.",
    },
)
MostImportant = Annotated[int | None, strawberry.argument(description="How many, the most important first; all when left out.")]


@strawberry.type(description="How much a model goes by a column.")
class FeatureImportance:
    feature: str = key("feature", "The column.", str)
    importance: float | None = real(
        "importance",
        "Mean size of its contributions, or what the loss rises by when it is shuffled. Null for a column there was no time for.",
        float | None,
    )
    relative_importance: float | None = real("relative_importance", "Compared with the most important: 0 to 1.", float | None)
    percent: float | None = real("percentage", "Share of the importance of all columns, in percent.", float | None)
    std: float | None = real("std", "Of shuffling: deviation over repeats.", float | None)


@strawberry.type(description="How strongly a column contributes over the explained rows.")
class FeatureStrength:
    feature: str = at(0, "The column.", str)
    mean_abs: float = at(1, "Mean size of its contributions.")


@strawberry.type(description="What a column adds to the raw score of one row.")
class Contribution:
    feature: str = key("feature", "The column.", str)
    value: Value | None = key("value", "Its value in the row; null for a missing one.", Value | None)
    contribution: float = real("contribution", "What it adds to the raw score.")
    std_error: float | None = real("std_error", "Of sampled contributions: the standard error.", float | None)


def _of_row(root: strawberry.Parent[Any]) -> Any:
    features, row = root
    return [
        {"feature": feature, "value": value, "contribution": part}
        for feature, value, part in zip(features, row["values"], row["contributions"], strict=True)
    ]


def _class(root: strawberry.Parent[Any]) -> Any:
    return root[1].get("class")


@strawberry.type(description="A row and what its columns add to its raw score.")
class ExplainedRow:
    label: Value | None = strawberry.field(
        resolver=_class, graphql_type=Value | None, description="Of more than two classes: the predicted one, which is explained."
    )
    contributions: list[Contribution] = strawberry.field(
        resolver=_of_row, graphql_type=list[Contribution], metadata=INSIDE, description="In the order of `features`."
    )


def _strengths(root: strawberry.Parent[Any]) -> Any:
    return list(zip(root["features"], root["mean_abs"], strict=True))


def _bases(root: strawberry.Parent[Any]) -> Any:
    kept = root["base_value"]
    return kept if isinstance(kept, list) else [kept]


def _rows(root: strawberry.Parent[Any]) -> Any:
    return [(root["features"], row) for row in root["sample"]]


@strawberry.type(
    description="SHAP values of a sample of rows: base value + contributions = raw score, up to the contributions of columns "
    "that are not among `features`."
)
class ShapValues:
    method: str = key("method", "How they were found.", ExplanationMethod)
    space: str = key("space", "What the raw score is.", ScoreSpace)
    row_count: Long = key("rows", "Rows that were explained.", Long)
    features: list[FeatureStrength] = strawberry.field(
        resolver=_strengths,
        graphql_type=list[FeatureStrength],
        metadata=INSIDE,
        description="At most 50 columns, the strongest first.",
    )
    base_values: list[float] = strawberry.field(
        resolver=_bases,
        graphql_type=list[float],
        description="The mean raw score: one, or one for each of more than two classes.",
    )
    sample: list[ExplainedRow] = strawberry.field(
        resolver=_rows, graphql_type=list[ExplainedRow], metadata=INSIDE, description="At most 50 of the rows, for a chart."
    )
    max_residual: float = real("max_residual", "The most that contributions left unexplained in any row.")
    mean_std_error: float | None = real(
        "mean_std_error", "Of sampled values: mean standard error of a contribution.", float | None
    )


def _importance(root: strawberry.Parent[Any], first: MostImportant = None) -> Any:
    found = root["feature_importance"]
    return found if first is None else found[: max(first, 0)]


def _error(root: strawberry.Parent[Any]) -> Any:
    """The model's file has what the library said."""
    said = root.get("error")
    return None if said is None else Message("not_explained", "{error}", error=said)


@strawberry.type(description="What a model goes by. It speaks of the model, not of the world.")
class Explanation:
    method: str = key("method", "How the importances were found.", ExplanationMethod)
    importance: list[FeatureImportance] = strawberry.field(
        resolver=_importance,
        graphql_type=list[FeatureImportance],
        metadata=INSIDE,
        description="Its columns, the most important first.",
    )
    shap: ShapValues | None = key("shap", "SHAP values of a sample of rows; null where there are none.", ShapValues | None)
    note: str | None = key("note", "Says so when the model uses no column.", str | None)
    error: Notice | None = strawberry.field(
        resolver=_error, graphql_type=Notice | None, description="Why there is no explanation."
    )
