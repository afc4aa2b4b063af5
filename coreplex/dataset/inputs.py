"""What a caller must say about datasets. Bytes never pass here: an upload is named by the id it was staged under."""

from collections import Counter
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from coreplex.engines.tabular.schema import ColumnType
from coreplex.project.inputs import Description, Name


class TableFormat(StrEnum):
    """What a table can be downloaded as."""

    csv = "csv"
    parquet = "parquet"
    xlsx = "xlsx"


class UploadDataset(BaseModel):
    upload_id: str = Field(description="The staged file: the `upload_id` that `POST /api/uploads` answered.")
    project_id: str | None = Field(None, description="The project of a new dataset; not needed with `datasetId`.")
    dataset_id: str | None = Field(None, description="An existing dataset, which gets a further version.")
    name: Name | None = Field(None, description="Name of a new dataset, 1 to 200 characters; required without `datasetId`.")
    description: Description | None = Field(None, description="What a new dataset holds.")


class ColumnOverride(BaseModel):
    name: Annotated[str, StringConstraints(min_length=1, max_length=300)] = Field(description="Name of the column.")
    type: ColumnType = Field(description="What the column is.")


def _once_each(columns: list[ColumnOverride]) -> list[ColumnOverride]:
    name, times = Counter(column.name for column in columns).most_common(1)[0]
    if times > 1:
        raise ValueError(f"name {name!r} once, not {times} times")
    return columns


class OverrideColumnTypes(BaseModel):
    version_id: str = Field(description="The version whose file is read again.")
    columns: Annotated[list[ColumnOverride], Field(min_length=1, max_length=5_000), AfterValidator(_once_each)] = Field(
        description="The columns that are something else than was recognised; the others stay as they are."
    )


class UpdateDataset(BaseModel):
    dataset_id: str = Field(description="The dataset to change.")
    name: Name | None = Field(None, description="New name; left out, the old one stays.")
    description: Description | None = Field(None, description="New description; left out, the old one stays.")


class DatasetFilter(BaseModel):
    project_id: str | None = Field(None, description="Only datasets of this project.")
