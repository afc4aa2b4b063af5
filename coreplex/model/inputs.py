"""What a caller must say about models."""

from pydantic import BaseModel, Field

from coreplex.document import JSON, JSONObject


class ModelFilter(BaseModel):
    project_id: str | None = Field(None, description="Only models of this project.")
    experiment_id: str | None = Field(None, description="Only models of this experiment.")
    algo: str | None = Field(None, max_length=64, description="Only this algorithm, for example GBM, XGBoost, GLM.")
    is_best: bool | None = Field(None, description="True: only the best model of each experiment.")
    is_production: bool | None = Field(None, description="Whether an active production deployment serves the model.")
    is_staging: bool | None = Field(None, description="Whether an active staging deployment serves the model.")


class PredictInput(BaseModel):
    model_id: str = Field(description="The model.")
    inputs: JSON = Field(description="One row (an object of feature values) or a list of rows.")
    options: JSONObject = Field(
        default_factory=lambda: JSONObject({}), description="`contributions: true` or a number of top features."
    )
