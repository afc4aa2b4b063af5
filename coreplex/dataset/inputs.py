"""What a caller must say about datasets. Bytes never pass here: an upload is named by the id it was staged under."""

from collections import Counter
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from coreplex.engines.tabular.schema import ColumnType
from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.document import Value as Cell
from coreplex.platform.inputs import Description, Identifier, Name


class TableFormat(StrEnum):
    """What a table can be downloaded as."""

    csv = "csv"
    parquet = "parquet"
    xlsx = "xlsx"


Value = Annotated[str, StringConstraints(max_length=200)]
Values = Annotated[list[Value], Field(max_length=200)]
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=300)]
FORCE = "Read so even where most values of a column cannot be read and are lost; refused otherwise, with examples."


class ColumnOverride(BaseModel):
    name: ColumnName = Field(description="Name of the column.")
    type: ColumnType | None = Field(None, description="What the column is; left out, what it was or is recognised as.")
    missing_values: Values | None = Field(
        None,
        description="Words and values that mean missing there, such as `None` or `-200`; in a column of text only they do, and "
        "empty cells, `NaN`, `NULL`, `#N/A` and `\\N`, so `[]` keeps `?` and `NA`. Left out: `NA`, `None` and `unknown` are "
        "categories beside words, and missing among numbers, dates and codes.",
    )


class Marked(BaseModel):
    name: ColumnName = Field(description="Name of the column.")
    values: Annotated[list[Value], Field(min_length=1, max_length=200)] = Field(
        description="Words and values that mean missing there too, numbers and dates as text; -200 covers `-200.0` and `-200,0`."
    )


Named = TypeVar("Named", ColumnOverride, Marked)


def _once_each(columns: list[Named] | None) -> list[Named] | None:
    for name, times in Counter(column.name for column in columns or ()).most_common(1):
        if times > 1:
            raise WrongValue(Message("named_twice", "name {name!r} once, not {times} times", name=name, times=times))
    return columns


Overrides = Annotated[list[ColumnOverride], Field(max_length=5_000), AfterValidator(_once_each)]


class UploadDataset(BaseModel):
    upload_id: Identifier = Field(
        description="The uploaded file: the `upload_id` that `POST /api/uploads` answered, or of a finished resumable upload."
    )
    project_id: Identifier | None = Field(None, description="The project of a new dataset; not needed with `datasetId`.")
    dataset_id: Identifier | None = Field(None, description="An existing dataset, which gets a further version.")
    name: Name | None = Field(None, description="Name of a new dataset, 1 to 200 characters; required without `datasetId`.")
    description: Description | None = Field(None, description="What a new dataset holds.")
    sheet: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        None,
        description="Of an Excel workbook: the sheet to read, by name or number from 1; left out, the first that is not empty.",
    )
    columns: Overrides | None = Field(None, description="What columns are and what is missing in them, where that is known.")
    missing_values: Values | None = Field(
        None, description="Words and values that mean missing in every column, besides the usual."
    )
    force: bool = Field(False, description=FORCE)


class OverrideColumnTypes(BaseModel):
    version_id: Identifier | None = Field(
        None, description="The version whose file is read again; left out, the latest of `datasetId`."
    )
    dataset_id: Identifier | None = Field(None, description="Its dataset; not needed with `versionId`.")
    columns: Overrides | None = Field(
        None, description="The columns that are something else than was recognised; the others stay as they are."
    )
    missing_values: Values | None = Field(None, description="Words and values that mean missing in every column, too.")
    force: bool = Field(False, description=FORCE)


class MarkMissing(BaseModel):
    version_id: Identifier | None = Field(None, description="The version; left out, the latest of `datasetId`.")
    dataset_id: Identifier | None = Field(None, description="Its dataset; not needed with `versionId`.")
    columns: Annotated[list[Marked], Field(max_length=5_000), AfterValidator(_once_each)] | None = Field(
        None, description="What is missing; left out, all that the version's quality names as sentinels."
    )
    force: bool = Field(False, description="Mark even what leaves a column without values; refused otherwise.")


class UpdateDataset(BaseModel):
    dataset_id: Identifier = Field(description="The dataset to change.")
    name: Name | None = Field(None, description="New name; left out, the old one stays.")
    description: Description | None = Field(None, description="New description; left out, the old one stays.")


class DeleteDataset(BaseModel):
    dataset_id: Identifier = Field(description="The dataset.")


class RowOperator(StrEnum):
    equal = "equal"
    not_equal = "not_equal"
    less = "less"
    at_most = "at_most"
    greater = "greater"
    at_least = "at_least"
    contains = "contains"
    one_of = "one_of"
    missing = "missing"
    present = "present"


class RowFilter(BaseModel):
    column: str = Field(max_length=300, description="Name of the column.")
    operator: RowOperator = Field(description="How its values are compared.")
    value: Cell | None = Field(None, description="With what, spelled as in the file; nothing for `MISSING` and `PRESENT`.")
    values: list[Cell] | None = Field(None, max_length=1000, description="For `ONE_OF`: the values that are wanted.")


class RowSort(BaseModel):
    column: str = Field(max_length=300, description="Name of the column.")
    descending: bool = Field(False, description="Whether the largest come first. Missing values are last either way.")
