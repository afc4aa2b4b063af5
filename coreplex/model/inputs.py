"""What a caller must say about models and predictions."""

from pydantic import BaseModel, Field, model_validator

from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.inputs import Description, Identifier


class EvaluateModel(BaseModel):
    model_id: Identifier = Field(description="The model.")
    dataset_version_id: Identifier | None = Field(
        None, description="A dataset version of the model's project with the target in it."
    )
    upload_id: Identifier | None = Field(None, description="Or a file sent to `POST /api/uploads`, which becomes no dataset.")
    sheet: str | None = Field(None, max_length=255, description="Of an Excel workbook: the sheet, by name or number from 1.")

    @model_validator(mode="after")
    def _one_table(self) -> "EvaluateModel":
        if (self.dataset_version_id is None) == (self.upload_id is None):
            raise WrongValue(
                Message("labelled_rows_missing", "name either a dataset_version_id or an upload_id: the labelled rows")
            )
        return self


class UpdateModel(BaseModel):
    model_id: Identifier = Field(description="The model.")
    notes: Description | None = Field(None, description="What is to be known of it, at most 10,000 characters.")


class DeleteModel(BaseModel):
    model_id: Identifier = Field(description="The model.")
