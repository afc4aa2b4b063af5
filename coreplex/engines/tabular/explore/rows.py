"""A page of the rows of a stored table: in file order or sorted, all or those that meet conditions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from coreplex.engines.tabular import frame
from coreplex.engines.tabular.explore.conditions import condition, named
from coreplex.engines.tabular.schema import TableSchema, spell
from coreplex.errors.tree import Message, TooLarge

if TYPE_CHECKING:
    from coreplex.engines.child import Report


def run(request: Mapping[str, Any], _report: "Report") -> dict[str, Any]:
    """`page` in a child process. request: `table`, `schema`, `offset`, `first`, `columns`, `sort`, `filter`, `most_bytes`."""
    keys = ("offset", "first", "columns", "sort", "filter", "most_bytes")
    schema = TableSchema.from_json(request["schema"])
    return page(Path(request["table"]), schema, **{key: request[key] for key in keys})


def page(
    table: Path,
    schema: TableSchema,
    *,
    offset: int,
    first: int,
    columns: Sequence[str] | None,
    sort: Sequence[Mapping[str, Any]],
    filter: Sequence[Mapping[str, Any]],
    most_bytes: int,
) -> dict[str, Any]:
    """`columns`, `rows` (lists of cells, spelled as uploaded, long texts cut) and `total` (rows that meet the conditions).

    What sorting does not tell apart stays in file order; missing values are last. Raises Invalid, and TooLarge beyond
    `most_bytes` of JSON.
    """
    shown = schema if columns is None else TableSchema(tuple(named(schema, n, "columns", at) for at, n in enumerate(columns)))
    order = [(named(schema, one["column"], "sort", at, "column").name, one["descending"]) for at, one in enumerate(sort)]
    scan = pl.scan_parquet(table, glob=False)
    wanted = condition(schema, filter)
    if wanted is not None:
        scan = scan.filter(wanted)
    total: int = scan.select(pl.len()).collect(engine="streaming").item()
    if order:
        names, falling = map(list, zip(*order, strict=True))
        scan = scan.sort(names, descending=falling, nulls_last=True, maintain_order=True)
    found = frame.cut(scan.select(shown.names).slice(offset, first), shown).collect(engine="streaming")
    rows: list[list[Any]] = []
    size = 0
    for row in found.iter_rows():
        cells = [spell(column, value) for column, value in zip(shown, row, strict=True)]
        size += len(orjson.dumps(cells))
        if size > most_bytes:
            raise TooLarge(
                Message(
                    "rows_too_large",
                    "These rows are more than an answer may have; ask for fewer rows or name the columns you want.",
                )
            )
        rows.append(cells)
    return {"columns": shown.names, "rows": rows, "total": total}
