"""What a caller must say about predictions."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.document import JSON
from coreplex.platform.inputs import Identifier, OptionalObject, no_options

USUAL_FEATURES = 5
MOST_OF_KEY = 300
Features = Annotated[int, Field(ge=1, le=1000)]


class Explain(BaseModel):
    """What to say of the reasons for each answer."""

    model_config = ConfigDict(strict=True, use_attribute_docstrings=True)

    top_k: Features = USUAL_FEATURES
    """That many of the strongest features, each with what it adds to the raw score."""


def _key(value: Any) -> Any:
    """A key of a row. Said in one sentence: of a value of two kinds Pydantic says what it is not of either."""
    if type(value) is int or (type(value) is str and len(value) <= MOST_OF_KEY):
        return value
    raise WrongValue(
        Message("key_not_valid", "each key must be a text of at most {most} characters, or a whole number", most=MOST_OF_KEY)
    )


def _explain(value: Any) -> Any:
    if value is None or isinstance(value, dict):
        return value
    raise WrongValue(Message("explain_no_object", "must be an object, such as {example}", example='{"top_k": 5}'))


class PredictOptions(BaseModel):
    """What to add to a prediction. Strict: 0 is not false, "true" is not true."""

    model_config = ConfigDict(strict=True, use_attribute_docstrings=True)

    explain: Annotated[Explain | None, BeforeValidator(_explain), WithJsonSchema(Explain.model_json_schema())] = None
    """What the strongest features add to the raw score of each answer, and the residual of that sum."""
    contributions: bool | Features = False
    """The same, said otherwise: true for the five strongest features, or a number of them."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Binary: the second class from this probability on, instead of the model's own."""
    interval: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Lower and upper end (for classes: the set) that hold the truth with this probability. The likeliest class is always in the
    set, which holds the truth more often where that class alone does."""
    strict: bool = False
    """True: what is odd about a row, or about these options, is refused; false: it is answered, with a warning."""
    keys: list[Annotated[Annotated[str, Field(max_length=MOST_OF_KEY)] | int, BeforeValidator(_key)]] | None = None
    """One per row: rows of one key are answered by the same side of a canary; without keys, rows of the same values are."""

    @model_validator(mode="after")
    def _one_number_of_features(self) -> "PredictOptions":
        if self.explain is not None and "contributions" in self.model_fields_set and self._contributions != self.explain.top_k:
            raise WrongValue(
                Message("explained_twice", "explain and contributions ask for different numbers of features; send one of the two")
            )
        return self

    @property
    def _contributions(self) -> int | None:
        return USUAL_FEATURES if self.contributions is True else self.contributions or None

    @property
    def top(self) -> int | None:
        """Features wanted, None for no contributions."""
        return self._contributions if self.explain is None else self.explain.top_k


MAX_ROWS = 10_000
ROW: JsonDict = {"type": "object", "minProperties": 1, "additionalProperties": True}
AS_ROWS: JsonDict = {"anyOf": [ROW, {"type": "array", "items": ROW, "minItems": 1, "maxItems": MAX_ROWS}]}
OPTIONS: JsonDict = {"properties": PredictOptions.model_json_schema()["properties"]}
ROWS = "One row (an object of feature values) or a list of at most 10,000 rows; of at most 500 where they are explained."


def _options() -> Any:
    return Field(
        default_factory=no_options,
        description="`explain`: `{top_k}`, that many features; `threshold`; `interval`: the probability, 0.9 for example; "
        "`strict`: true refuses odd rows; `keys`: one a row, by which a canary chooses who answers it.",
        json_schema_extra=OPTIONS,
    )


class PredictModel(BaseModel):
    model_id: Identifier = Field(description="The model.")
    inputs: JSON = Field(description=ROWS, json_schema_extra=AS_ROWS)
    options: OptionalObject = _options()


class Predict(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
    inputs: JSON = Field(description=ROWS, json_schema_extra=AS_ROWS)
    options: OptionalObject = _options()
