"""What a model wants to be given and what it answers, in the public contract: all that a form of a dashboard needs."""

from typing import Any

import strawberry

from coreplex.engines.scoring.input_schema import json_schema
from coreplex.engines.tabular.schema import ColumnType
from coreplex.experiment.table import ProblemType
from schema.common import key
from schema.cost import INSIDE
from schema.document_fields import real
from schema.scalars import JSON, Long, Value


@strawberry.type(description="A column a model reads, as a form shows it.")
class InputField:
    name: str = key("name", "Name of the column.", str)
    type: str = key("type", "What the column is.", ColumnType)
    is_nullable: bool = key("is_nullable", "Whether a value may be missing; of other columns training always saw one.", bool)
    min: Value | None = key("min", "Smallest number, or earliest time, that training saw; else null.", Value | None)
    max: Value | None = key("max", "Largest number, or latest time, that training saw; else null.", Value | None)
    categories: list[Value] | None = key(
        "categories", "The first 100 categories that training saw, in natural order; null for what has none.", list[Value] | None
    )
    category_count: Long | None = key("category_count", "How many categories training saw.", Long | None)
    default: Value | None = key(
        "default", "What to begin with: the middle of numbers and times, the commonest category; null of texts.", Value | None
    )
    example: Value | None = key(
        "example", "Its value in a row of training, the same for all columns; null where missing.", Value | None
    )
    importance_percent: float | None = real(
        "importance_percent", "Its share of the importance of all columns; null where nobody knows.", float | None
    )


def _problem(root: strawberry.Parent[Any]) -> Any:
    return ProblemType(root["problem_type"])


@strawberry.type(description="What a model answers.")
class OutputSchema:
    column: str = key("column", "The column it predicts.", str)
    problem_type: ProblemType = strawberry.field(
        resolver=_problem, graphql_type=ProblemType, description="Whether it predicts a class or a number."
    )
    classes: list[Value] = key(
        "classes", "The classes, spelled as in the uploaded file, in the order of probabilities.", list[Value]
    )
    threshold: float | None = real(
        "threshold", "Two classes: from which probability on the second is predicted, unless a call says otherwise.", float | None
    )
    highest_interval: float | None = real(
        "highest_interval", "The highest probability an `interval` may be asked for; null where none can be.", float | None
    )


def json_schema_of(root: strawberry.Parent[Any]) -> Any:
    return json_schema(root)


@strawberry.type(description="What a model wants to be given, and what it answers.")
class InputSchema:
    fields: list[InputField] = strawberry.field(
        resolver=lambda root: root["fields"],
        graphql_type=list[InputField],
        metadata=INSIDE,
        description="The columns it reads, in the order of the table it learned from.",
    )
    json_schema: JSON = strawberry.field(
        resolver=json_schema_of,
        graphql_type=JSON,
        description="The same as JSON Schema (draft 2020-12) of a row: what is valid is answered without a warning about types, "
        "ranges and categories. Of times, and of more than 100 categories, it says no more than that they are texts.",
    )
    output: OutputSchema = key("output", "What it answers.", OutputSchema)
