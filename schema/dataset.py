"""Datasets, their versions, and what the profile knows about them, in the public contract."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import strawberry

from coreplex.dataset import inputs, service, versions
from coreplex.dataset.table import Dataset as Row
from coreplex.dataset.table import DatasetStatus, VersionSource
from coreplex.dataset.table import DatasetVersion as VersionRow
from coreplex.dataset.targets import MAX_TARGETS, targets
from coreplex.dataset.version_issues import Judging
from coreplex.dataset.versions import VERSIONS
from coreplex.experiment.table import ProblemType
from coreplex.platform.permissions import READ, WRITE
from resolvers import dataset as resolve
from resolvers import explore
from resolvers.context import Info
from resolvers.dataset import datasets, latest_versions, version_counts, version_documents
from schema.column import Column, columns
from schema.common import key, name_warnings, published
from schema.cost import BATCHED, INSIDE, PRICE, STATEMENT, Price
from schema.deleted import DeletedFromProjectPayload
from schema.enums import enum
from schema.explore import ROWS, WHOLE_TABLE, ColumnDifference, MissingMap, RowDifference, TableRows
from schema.field import by_id, command, guarded, loaded, mutation, resolved, row
from schema.file import File
from schema.links import link, owner
from schema.node import node
from schema.notice import Notice
from schema.pagination import Connection, connection, nested
from schema.profile import Analysis, Correlation, Quality
from schema.scalars import JSON, Long

MAX_PREVIEW = 500
PREVIEW = Price(each=STATEMENT, row=5)
"""How many columns a row has is known when it runs; the limit of the answer's bytes sees to tables with many."""

enum(DatasetStatus, "State of a dataset.", {"ready": "It can be used."})
enum(
    VersionSource,
    "How a version came to be. `builder`, `privacy` and `synthgen` do not occur yet.",
    {
        "upload": "A file was uploaded.",
        "override": "An earlier version was read again, with other types or missing values.",
        "builder": "The dataset builder made it; does not occur yet.",
        "privacy": "Personal data was protected; does not occur yet.",
        "synthgen": "It was synthesised; does not occur yet.",
        "prediction": "It is the result of a batch of predictions.",
        "outcomes": "Rows that a deployment was asked, with their outcomes, were appended to an earlier version.",
    },
)
enum(
    inputs.TableFormat,
    "What a table can be downloaded as.",
    {
        "csv": "Comma-separated values, UTF-8. Cells cannot run as formulas.",
        "parquet": "Apache Parquet.",
        "xlsx": "An Excel workbook.",
    },
)
published(inputs.DeleteDataset, "DeleteDatasetInput", "A dataset to remove.")
published(inputs.ColumnOverride, "ColumnOverrideInput", "What a column is, and what is missing in it.")
published(inputs.Marked, "MarkedColumnInput", "What is missing in a column, besides what is known to be.")
published(inputs.MarkMissing, "MarkMissingInput", "Values that stand for missing ones.")
published(inputs.UploadDataset, "UploadDatasetInput", "A staged file to make a dataset, or a further version of one, from.")
published(inputs.OverrideColumnTypes, "OverrideColumnTypesInput", "Columns that are something else than was recognised.")
published(inputs.UpdateDataset, "UpdateDatasetInput", "What changes in a dataset.")

LazyDataset = Annotated["Dataset", strawberry.lazy("schema.dataset")]
LazyDifference = Annotated["VersionDifference", strawberry.lazy("schema.dataset")]
TargetWanted = Annotated[str | None, strawberry.argument(description="The column to be predicted.")]
ProblemWanted = Annotated[
    ProblemType | None,
    strawberry.argument(description="How it is to be predicted; left out, as its type and values suggest."),
]
OtherVersion = Annotated[strawberry.ID, strawberry.argument(description="The version that is compared with this one.")]
RowsWanted = Annotated[int, strawberry.argument(description=f"Rows wanted, 1 to {MAX_PREVIEW}.")]


def _document(kind: Any, read: Callable[[Any, Any], Any], description: str) -> Any:
    """What is kept beside a version: `read(documents, version)`."""

    def read_known(found: Any, version: VersionRow) -> Any:
        return read(resolve.known(found), version)

    return loaded(kind, version_documents, by_id, description, read_known)


def _of_latest(name: str, kind: Any, description: str) -> Any:
    """A fact of the latest version, shown on the dataset."""

    def fact(version: Any, _dataset: Row) -> Any:
        return getattr(version, name)

    return loaded(kind, latest_versions, by_id, description, fact)


async def _preview(root: strawberry.Parent[VersionRow], info: Info, rows: RowsWanted = 20) -> JSON:
    return JSON(await resolve.preview(info, root, min(max(rows, 1), MAX_PREVIEW)))


async def _difference(root: strawberry.Parent[VersionRow], info: Info, to: OtherVersion) -> Any:
    after, found = await resolve.difference(info, root, to)
    return {**found, "to": after}


async def _quality(
    root: strawberry.Parent[VersionRow], info: Info, target: TargetWanted = None, problem_type: ProblemWanted = None
) -> Quality:
    judging = Judging(root.id, target, problem_type)
    return Quality.of(judging, await resolve.quality(info, root, judging))


def _sheet(root: strawberry.Parent[VersionRow]) -> str | None:
    return root.read_options.get("sheet")


@strawberry.type(description="A column that could be predicted.")
class TargetCandidate:
    column: str = strawberry.field(description="The column.")
    problem_type: ProblemType = strawberry.field(description="How it would be predicted, by its type and values.")
    unique_count: Long = strawberry.field(description="Different values.")
    missing_pct: float = strawberry.field(name="missingPercent", description="Share of rows without a value, in percent.")
    refusal: str | None = strawberry.field(description="Why it cannot be predicted; null for one that can.")


CandidatesWanted = Annotated[int, strawberry.argument(description=f"Columns wanted, 1 to {MAX_TARGETS}.")]


async def _targets(root: strawberry.Parent[VersionRow], info: Info, first: CandidatesWanted = 20) -> list[TargetCandidate]:
    found: Any = targets(await resolve.documents(info, root), first)
    return found


@node(VersionRow, versions.visible)
@strawberry.type(description="One frozen state of a dataset: a table with its column types, profile and quality.")
class DatasetVersion:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    dataset_id: strawberry.ID = strawberry.field(description="Identifier of the dataset.")
    dataset: "Dataset" = loaded(LazyDataset, datasets, lambda version: version.dataset_id, "The dataset.")
    version: int = strawberry.field(name="number", description="Number within the dataset, from 1.")
    row_count: Long = strawberry.field(description="Rows.")
    column_count: int = strawberry.field(description="Columns.")
    size_bytes: Long = strawberry.field(description="Size of the file it was read from, in bytes.")
    file_format: str = strawberry.field(
        description="Format of the file it was read from: csv, tsv, json, jsonl, xlsx or parquet; packed, with .gz, .zip or .zst."
    )
    sheet: str | None = strawberry.field(resolver=_sheet, description="The sheet that was read, when the file is a workbook.")
    source: VersionSource = strawberry.field(description="How it came to be.")
    quality_score: float = strawberry.field(description="Overall quality, 0 to 100.")
    artifact_id: strawberry.ID = strawberry.field(description="Identifier of the stored table.")
    artifact: Any = owner("Artifact", "artifact_id", "The stored table.")
    upload_artifact_id: strawberry.ID | None = strawberry.field(description="Identifier of the file as it was uploaded.")
    upload_artifact: Any = link("Artifact", "upload_artifact_id", "The file as it was uploaded.")
    parent_version_id: strawberry.ID | None = strawberry.field(description="Identifier of the version it was made from.")
    parent_version: Any = link("DatasetVersion", "parent_version_id", "The version it was made from.")
    columns: list[Column] = _document(list[Column], lambda found, _: columns(found), "The columns, in the order of the file.")
    quality: Quality = strawberry.field(
        resolver=_quality,
        description="How good the data is, and what is wrong with it; with a target also what gives it away, how its classes are "
        "spread and which columns tell something of it, which takes seconds when it is first asked.",
    )
    analysis: Analysis = _document(Analysis, lambda found, _: Analysis.of(found), "The profile: what is in the table.")
    targets: list[TargetCandidate] = strawberry.field(
        resolver=_targets, description="The columns that could be predicted, the likeliest first."
    )
    rows: TableRows | None = guarded(
        explore.rows,
        READ,
        "A page of its rows, spelled as in the uploaded file; long texts are cut as in `preview`.",
        graphql_type=TableRows | None,
        metadata={PRICE: ROWS},
    )
    missing_map: MissingMap | None = guarded(
        explore.missing_map,
        READ,
        "Where values are missing, and which are missing together.",
        graphql_type=MissingMap | None,
        metadata={PRICE: WHOLE_TABLE},
    )
    correlations: list[Correlation] | None = guarded(
        explore.correlations,
        READ,
        "How strongly chosen columns go together: every pair, from at most 20,000 rows.",
        graphql_type=list[Correlation] | None,
        metadata={PRICE: WHOLE_TABLE},
    )
    difference: LazyDifference | None = guarded(
        _difference,
        READ,
        "What another version has that this one has not, and the other way round.",
        graphql_type=LazyDifference | None,
        metadata={PRICE: WHOLE_TABLE},
    )
    preview: JSON = guarded(
        _preview,
        READ,
        "The first rows, spelled as in the uploaded file. A text of more than 1,000 characters is cut there and ends "
        "in its length: `… (1234 characters)`.",
        metadata={PRICE: PREVIEW},
    )
    file: File | None = guarded(
        resolve.file,
        READ,
        "Its table as a file to download. Cells cannot run as formulas.",
        graphql_type=File | None,
        metadata={PRICE: WHOLE_TABLE},
    )
    created_by: Any = link("User", "created_by", "Who made it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was made.")


@strawberry.type(description="What has changed from one version to another.")
class VersionDifference:
    to: DatasetVersion = key("to", "The other version.", DatasetVersion)
    columns_added: list[str] = key("columns_added", "Columns that only the other version has.", list[str])
    columns_removed: list[str] = key("columns_removed", "Columns that the other version has no more.", list[str])
    columns: list[ColumnDifference] = strawberry.field(
        resolver=lambda root: root["columns"],
        graphql_type=list[ColumnDifference],
        metadata=INSIDE,
        description="The columns that both have, in the other version's order.",
    )
    rows: RowDifference = key("rows", "Rows, compared by the columns that both have.", RowDifference)


@node(Row)
@strawberry.type(description="A table of a project, in one or more versions.")
class Dataset:
    id: strawberry.ID = strawberry.field(description="Identifier.")
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = owner("Project", "project_id", "The project.")
    name: str = strawberry.field(description="Name.")
    description: str = strawberry.field(description="What it holds.")
    status: DatasetStatus = strawberry.field(description="State.")
    version_count: int = loaded(int, version_counts, by_id, "How many versions it has.")
    latest_version_id: strawberry.ID = _of_latest("id", strawberry.ID, "Identifier of the latest version.")
    latest_version: DatasetVersion = loaded(DatasetVersion, latest_versions, by_id, "The latest version.")
    row_count: Long = _of_latest("row_count", Long, "Rows of the latest version.")
    column_count: int = _of_latest("column_count", int, "Columns of the latest version.")
    size_bytes: Long = _of_latest("size_bytes", Long, "Size in bytes of the file the latest version was read from.")
    file_format: str = _of_latest("file_format", str, "Format of the file the latest version was read from.")
    quality_score: float = _of_latest("quality_score", float, "Overall quality of the latest version, 0 to 100.")
    version: DatasetVersion = resolved(resolve.version, "One version of it.", metadata={PRICE: BATCHED})
    versions: Connection[DatasetVersion] = nested(VERSIONS, "Its versions, newest first.")
    created_by: Any = link("User", "created_by", "Who made it; null for an account that is gone.")
    created_at: datetime = strawberry.field(description="When it was uploaded.")
    updated_at: datetime = strawberry.field(description="When it last changed.")


@strawberry.type(description="The version that was made, and its dataset.")
class DatasetVersionPayload:
    dataset: Dataset = strawberry.field(description="The dataset as it is now.")
    version: DatasetVersion = strawberry.field(description="The new version.")
    warnings: list[Notice] = name_warnings("dataset")


@strawberry.type(description="The dataset that was changed.")
class DatasetPayload:
    dataset: Dataset = strawberry.field(description="The dataset as it is now.")
    warnings: list[Notice] = name_warnings("dataset")


@strawberry.type(description="Where an upload would go: the caller may put it there.")
class UploadTarget:
    project_id: strawberry.ID = strawberry.field(description="Identifier of the project.")
    project: Any = link("Project", "project_id", "The project; null for a key that may not read.")
    dataset_id: strawberry.ID | None = strawberry.field(description="Identifier of the dataset that would get a further version.")
    dataset: Any = link("Dataset", "dataset_id", "The dataset that would get a further version.")


@strawberry.type
class ProjectDatasets:
    datasets: Connection[Dataset] = nested(service.DATASETS, "Its datasets.")


@strawberry.type
class DatasetQuery:
    dataset: Dataset | None = row(Row, READ, "One dataset.")
    datasets: Connection[Dataset] | None = connection(service.DATASETS, "Datasets of the caller's projects.")
    dataset_version: DatasetVersion | None = row(VersionRow, READ, "One version of a dataset.", "Dataset version")
    upload_target: UploadTarget | None = guarded(
        resolve.target, WRITE, "Ask before uploading whether the upload would be accepted there."
    )


@strawberry.type
class DatasetMutation:
    upload_dataset: DatasetVersionPayload | None = mutation(
        resolve.upload,
        DatasetVersionPayload,
        WRITE,
        "Make a dataset, or a further version of one, from a file sent to `POST /api/uploads`.",
    )
    override_column_types: DatasetVersionPayload | None = mutation(
        resolve.override,
        DatasetVersionPayload,
        WRITE,
        "Read a version's file again with other column types or missing values: a new version.",
    )
    mark_missing: DatasetVersionPayload | None = mutation(
        resolve.mark,
        DatasetVersionPayload,
        WRITE,
        "Make values such as -200, 999 or 9999-12-31 missing: a new version, and models made from it read them so, too.",
    )
    update_dataset: DatasetPayload | None = command(
        service.update, DatasetPayload, WRITE, "Change a dataset's name or description."
    )
    delete_dataset: DeletedFromProjectPayload | None = command(
        service.delete_one,
        DeletedFromProjectPayload,
        WRITE,
        "Delete a dataset with its versions, their files, and the finished experiments on it. Refused while an experiment on it "
        "is not finished or a model made from it is deployed.",
    )
