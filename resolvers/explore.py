"""Looks into the tables of dataset versions: what `coreplex.dataset.explore` finds, for a version."""

from typing import Annotated, Any

import strawberry

from coreplex.dataset import explore, inputs
from coreplex.dataset.table import DatasetVersion
from resolvers.context import Info
from resolvers.dataset import table_of

First = Annotated[int, strawberry.argument(description=f"Rows wanted, 0 to {explore.MOST_ROWS}.")]
Offset = Annotated[int, strawberry.argument(description="Rows to skip.")]
Chosen = Annotated[list[str] | None, strawberry.argument(description="The columns wanted, in that order; left out, all.")]
Sorted = Annotated[list[inputs.RowSort] | None, strawberry.argument(description="What to sort by; left out, as in the file.")]
Filtered = Annotated[list[inputs.RowFilter] | None, strawberry.argument(description="Conditions that rows must all meet.")]
Bins = Annotated[int, strawberry.argument(description=f"Into how many stretches the rows are parted, 1 to {explore.MOST_BINS}.")]
Compared = Annotated[
    list[str],
    strawberry.argument(description=f"2 to {explore.MOST_CORRELATED} columns of numbers, words, or yes and no."),
]


async def rows(
    root: strawberry.Parent[DatasetVersion],
    info: Info,
    first: First = 50,
    offset: Offset = 0,
    columns: Chosen = None,
    sort: Sorted = None,
    filter: Filtered = None,
) -> Any:
    table, known = await table_of(info, root)
    wanted: dict[str, Any] = {"first": first, "offset": offset, "columns": columns, "sort": sort or (), "filter": filter or ()}
    return await explore.rows(info.context.services, table, known, **wanted)


async def missing_map(root: strawberry.Parent[DatasetVersion], info: Info, bins: Bins = 50) -> Any:
    return await explore.missing_map(info.context.services, *await table_of(info, root), bins)


async def correlations(root: strawberry.Parent[DatasetVersion], info: Info, columns: Compared) -> Any:
    return await explore.correlations(info.context.services, *await table_of(info, root), columns)
