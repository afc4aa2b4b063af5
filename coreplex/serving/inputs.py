"""What a caller must say about predictions."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from coreplex.platform.document import JSON, JSONObject
from coreplex.platform.inputs import Identifier


class PredictOptions(BaseModel):
    """What to add to a prediction. Strict: 0 is not false, "true" is not true."""

    model_config = ConfigDict(strict=True, use_attribute_docstrings=True)

    contributions: bool | Annotated[int, Field(ge=1, le=1000)] = False
    """True: the five strongest features; a number: that many."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """Binary: the second class from this probability on, instead of the model's own."""

    interval: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Lower and upper end (for classes: the set) that hold the truth with this probability."""

    @property
    def top(self) -> int | None:
        """Features wanted, None for no contributions."""
        if self.contributions is False:
            return None
        return 5 if self.contributions is True else self.contributions


MAX_ROWS = 10_000
ROW: JsonDict = {"type": "object", "minProperties": 1, "additionalProperties": True}
AS_ROWS: JsonDict = {"anyOf": [ROW, {"type": "array", "items": ROW, "minItems": 1, "maxItems": MAX_ROWS}]}
OPTIONS: JsonDict = {"properties": PredictOptions.model_json_schema()["properties"]}
ROWS = "One row (an object of feature values) or a list of at most 10,000 rows; of at most 500 where contributions are asked for."


class PredictModel(BaseModel):
    model_id: Identifier = Field(description="The model.")
    inputs: JSON = Field(description=ROWS, json_schema_extra=AS_ROWS)
    options: JSONObject = Field(
        default_factory=lambda: JSONObject({}),
        description="`contributions`: true or a number of features; `threshold`; `interval`: the probability, 0.9 for example.",
        json_schema_extra=OPTIONS,
    )


class Predict(BaseModel):
    deployment_id: Identifier = Field(description="The deployment.")
    inputs: JSON = Field(description=ROWS, json_schema_extra=AS_ROWS)
    options: JSONObject = Field(
        default_factory=lambda: JSONObject({}),
        description="`contributions`: true or a number of features; `threshold`; `interval`: the probability, 0.9 for example.",
        json_schema_extra=OPTIONS,
    )
