"""What a caller must say about batches of predictions."""

from pydantic import BaseModel, Field, model_validator

from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.inputs import Description, Identifier, Name, OptionalObject, no_options
from coreplex.serving.inputs import OPTIONS

NEEDS_MODEL = Message("batch_needs_model", "name either a model_id or a deployment_id: what is to predict")


class CreateBatch(BaseModel):
    model_id: Identifier | None = Field(None, description="The model.")
    deployment_id: Identifier | None = Field(
        None, description="Or a deployment that serves: the model it has now answers, whatever it serves later."
    )
    dataset_version_id: Identifier | None = Field(None, description="A dataset version of the same project: its rows.")
    upload_id: Identifier | None = Field(
        None, description="Or a CSV or Parquet file sent to `POST /api/uploads`, which becomes no dataset."
    )
    options: OptionalObject = Field(
        default_factory=no_options,
        description="As of `predict`: `threshold`; `interval`: the probability, 0.9 for example; `strict`: true refuses odd "
        "rows, each by its `prediction_error`, and a table whose columns are not the model's.",
        json_schema_extra=OPTIONS,
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> "CreateBatch":
        if (self.model_id is None) == (self.deployment_id is None):
            raise WrongValue(NEEDS_MODEL)
        if (self.dataset_version_id is None) == (self.upload_id is None):
            raise WrongValue(
                Message(
                    "batch_needs_rows", "send a file, or name either a dataset_version_id or an upload_id: the rows to predict"
                )
            )
        return self


class DeleteBatch(BaseModel):
    batch_id: Identifier = Field(description="The batch.")


class SaveBatch(BaseModel):
    batch_id: Identifier = Field(description="The batch, which has succeeded.")
    name: Name | None = Field(None, description="Name of a new dataset, 1 to 200 characters; required without `datasetId`.")
    description: Description | None = Field(None, description="What a new dataset holds.")
    dataset_id: Identifier | None = Field(None, description="A dataset of the project, which gets a further version.")
