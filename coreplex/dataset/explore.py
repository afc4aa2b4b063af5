"""Looks into stored tables: a page of rows, where values are missing, how columns go together, what two versions differ in.

A page in file order is read in a thread; everything else reads whole columns, in a child with limits, in the caller's turn.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from coreplex.artifact.service import whole
from coreplex.artifact.table import Artifact
from coreplex.dataset.inputs import RowFilter, RowSort
from coreplex.dataset.table_tasks import TableTasks
from coreplex.dataset.versions import Documents
from coreplex.engines.tabular.schema import TableSchema
from coreplex.errors.tree import Invalid, Message
from coreplex.platform.deferred_import import child_task
from coreplex.platform.page import between
from coreplex.platform.services import Services

ROWS = child_task("coreplex.engines.tabular.explore.rows:run")
MISSING = child_task("coreplex.engines.tabular.explore.missing:run")
CORRELATIONS = child_task("coreplex.engines.tabular.explore.correlations:run")
DIFFERENCE = child_task("coreplex.engines.tabular.explore.difference:run")
MOST_ROWS = 500
MOST_CONDITIONS = 20
MOST_BINS = 200
MOST_CORRELATED = 50
Found = dict[str, Any]


async def rows(
    services: Services,
    table: Artifact,
    known: Documents,
    *,
    first: int,
    offset: int,
    columns: Sequence[str] | None,
    sort: Sequence[RowSort],
    filter: Sequence[RowFilter],
) -> Found:
    """`columns`, `rows` and `total`. Raises Invalid, also for columns that are not there, and TooLarge."""
    if not 0 <= first <= MOST_ROWS:
        raise Invalid.field(between(0, MOST_ROWS), "first")
    if offset < 0:
        raise Invalid.field(Message("negative_offset", "must be 0 or more"), "offset")
    for name, given in (("sort", sort), ("filter", filter)):
        if len(given) > MOST_CONDITIONS:
            raise Invalid.field(Message("too_many_filters", "may have at most {most}", most=MOST_CONDITIONS), name)
    wanted: Found = {
        "offset": offset,
        "first": first,
        "columns": None if columns is None else list(columns),
        "sort": [one.model_dump(mode="json") for one in sort],
        "filter": [one.model_dump(mode="json") for one in filter],
        "most_bytes": services.settings.max_answer_bytes,
    }
    path = await whole(services.storage, table)
    if sort or filter:
        return await TableTasks.of(services).run(ROWS, {"table": str(path), "schema": known.table_schema, **wanted})

    def read() -> Found:
        # Half a second to import, once, as for a preview.
        from coreplex.engines.tabular.explore.rows import page

        return page(path, TableSchema.from_json(known.table_schema), **wanted)

    return await asyncio.to_thread(read)


async def missing_map(services: Services, table: Artifact, known: Documents, bins: int) -> Found:
    """Shares of missing cells by column and stretch of rows, and which columns are missing together."""
    if not 1 <= bins <= MOST_BINS:
        raise Invalid.field(between(1, MOST_BINS), "bins")
    names = [column["name"] for column in known.profile["columns"] if column["missing_count"]]
    path = await whole(services.storage, table)
    return await TableTasks.of(services).run(MISSING, {"table": str(path), "names": names, "bins": bins})


async def correlations(services: Services, table: Artifact, known: Documents, columns: Sequence[str]) -> list[Found]:
    """Every pair of the columns. Raises Invalid for columns that cannot be compared."""
    if not 2 <= len(set(columns)) == len(columns) <= MOST_CORRELATED:
        raise Invalid.field(
            Message("wrong_number_of_columns", "must name 2 to {most} different columns", most=MOST_CORRELATED), "columns"
        )
    path = await whole(services.storage, table)
    request = {"table": str(path), "schema": known.table_schema, "columns": list(columns)}
    pairs: list[Found] = (await TableTasks.of(services).run(CORRELATIONS, request))["pairs"]
    return pairs


async def difference(services: Services, before: tuple[Artifact, Documents], after: tuple[Artifact, Documents]) -> Found:
    """What `after` has that `before` has not, and the other way round: of columns, rows, and values."""
    sides = [
        {"table": str(await whole(services.storage, table)), "schema": known.table_schema} for table, known in (before, after)
    ]
    found = await TableTasks.of(services).run(DIFFERENCE, dict(zip(("before", "after"), sides, strict=True)))
    return {**found, "columns": _columns(before[1], after[1], found["drift"])}


def _columns(before: Documents, after: Documents, drift: Mapping[str, float | None]) -> list[Found]:
    """Common columns, each as it was and as it is."""
    sides = [_known(one) for one in (before, after)]
    return [{"name": name, "before": sides[0][name], "after": sides[1][name], "drift": drift[name]} for name in drift]


def _known(documents: Documents) -> dict[str, tuple[Found, Found]]:
    facts = {one["name"]: one for one in documents.profile["columns"]}
    return {one["name"]: (one, facts.get(one["name"], {})) for one in documents.table_schema["columns"]}
