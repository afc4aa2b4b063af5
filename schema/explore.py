"""Looks into the rows of a table, in the public contract: a page of them, what is missing where, what two versions differ in."""

from typing import Any

import strawberry

from coreplex.dataset import inputs
from schema.column import Column
from schema.common import key, published
from schema.cost import INSIDE, Price
from schema.document_fields import real
from schema.enums import enum
from schema.scalars import Long, Value

ROWS = Price(each=50, row=5)
"""Sorting and conditions read whole columns; how many columns a row has is known when it runs."""
WHOLE_TABLE = Price(each=250, items=1)

enum(
    inputs.RowOperator,
    "How the values of a column are compared. Numbers and times by their order, words by their spelling.",
    {
        "equal": "The same as `value`.",
        "not_equal": "Another than `value`; missing ones are neither.",
        "less": "Less than `value`.",
        "at_most": "Less than `value`, or the same.",
        "greater": "Greater than `value`.",
        "at_least": "Greater than `value`, or the same.",
        "contains": "Has the text `value` in it, whatever its case.",
        "one_of": "One of `values`.",
        "missing": "There is none.",
        "present": "There is one.",
    },
)
published(inputs.RowFilter, "RowFilter", "A condition that rows must meet.")
published(inputs.RowSort, "RowSort", "A column to sort rows by.")


@strawberry.type(description="A page of the rows of a table.")
class TableRows:
    columns: list[str] = key("columns", "Names of the columns, in the order of the cells.", list[str])
    rows: list[list[Value | None]] = key(
        "rows", "The rows: a cell for each column; null where it is missing.", list[list[Value | None]]
    )
    total_count: Long = key("total", "Rows that meet the conditions.", Long)


@strawberry.type(description="A stretch of rows.")
class RowStretch:
    first_row: Long = key("first_row", "Its first row, from 0.", Long)
    row_count: Long = key("row_count", "Rows in it.", Long)


@strawberry.type(description="Columns that are missing together in the same rows.")
class MissingPattern:
    columns: list[str] = key("columns", "All columns that are missing there; the others are present.", list[str])
    row_count: Long = key("rows", "How many rows.", Long)
    percent: float = real("pct", "Share of all rows, in percent.")


@strawberry.type(description="Where values are missing in a table.")
class MissingMap:
    columns: list[str] = key("columns", "Columns with missing values, at most 200.", list[str])
    stretches: list[RowStretch] = strawberry.field(
        resolver=lambda root: root["bins"],
        graphql_type=list[RowStretch],
        metadata=INSIDE,
        description="The rows in file order, in stretches of nearly equal length.",
    )
    shares: list[list[float]] = key(
        "shares", "Share of missing cells, 0 to 1: a line for each column, a place for each stretch.", list[list[float]]
    )
    patterns: list[MissingPattern] = strawberry.field(
        resolver=lambda root: root["patterns"],
        graphql_type=list[MissingPattern],
        metadata=INSIDE,
        description="Which columns are missing together, the most frequent first, at most 30.",
    )


@strawberry.type(description="How many rows two versions have in common.")
class RowDifference:
    kept: Long = key("kept", "Rows that both have.", Long)
    added: Long = key("added", "Rows that only the other version has.", Long)
    removed: Long = key("removed", "Rows that the other version has no more.", Long)


def _type_changed(root: strawberry.Parent[Any]) -> bool:
    return bool(root["before"][0]["type"] != root["after"][0]["type"])


@strawberry.type(description="A column in two versions.")
class ColumnDifference:
    name: str = key("name", "Its name.", str)
    type_changed: bool = strawberry.field(resolver=_type_changed, description="Whether it is of another type.")
    before: Column = key("before", "As it was.", Column)
    after: Column = key("after", "As it is in the other version.", Column)
    drift: float | None = real(
        "drift",
        "How far its values have moved, 0 (not at all) to 1, from an even sample: of numbers and times the Kolmogorov-Smirnov "
        "distance, of words half the sum of the differences of their shares. Null for other columns.",
        float | None,
    )
