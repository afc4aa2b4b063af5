"""How strongly chosen columns of a stored table go together, weakly related ones included."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from coreplex.engines.tabular.explore.conditions import named
from coreplex.engines.tabular.profile import correlation
from coreplex.engines.tabular.profile.table_profile import sample
from coreplex.engines.tabular.schema import NUMERIC, ColumnType, TableSchema
from coreplex.errors.tree import Invalid, Message

if TYPE_CHECKING:
    from coreplex.engines.child import Report

ROWS = 20_000
_MOST_LEVELS = 50
_WORDS = (ColumnType.categorical, ColumnType.boolean)


def run(request: Mapping[str, Any], _report: "Report") -> dict[str, Any]:
    """`correlations` in a child process. request: `table`, `schema`, `columns`."""
    return {"pairs": correlations(Path(request["table"]), TableSchema.from_json(request["schema"]), request["columns"])}


def correlations(table: Path, schema: TableSchema, names: list[str]) -> list[dict[str, Any]]:
    """Every pair of the columns, from an even sample of rows. Raises Invalid for columns that hold neither numbers nor words, or
    more than fifty different words."""
    chosen = [named(schema, name, "columns", at) for at, name in enumerate(names)]
    for at, column in enumerate(chosen):
        if column.type not in (*NUMERIC, *_WORDS):
            raise Invalid.field(
                Message(
                    "column_not_comparable",
                    "'{column}' is {type}; name numbers, words, or yes and no",
                    column=column.name,
                    type=column.type,
                ),
                "columns",
                at,
            )
    scan = pl.scan_parquet(table, glob=False)
    found = sample(scan.select(names), scan.select(pl.len()).collect().item(), ROWS)
    words = [column.name for column in chosen if column.type in _WORDS]
    for name in words:
        if found.get_column(name).n_unique() > _MOST_LEVELS:
            at = names.index(name)
            raise Invalid.field(
                Message(
                    "too_many_words",
                    "'{column}' has more than {most} different words, too many to compare",
                    column=name,
                    most=_MOST_LEVELS,
                ),
                "columns",
                at,
            )
    return correlation.matrix(found, [column.name for column in chosen if column.type in NUMERIC], words)
