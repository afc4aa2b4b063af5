"""Conditions on the rows of a stored table, as a caller says them, as expressions over its typed columns."""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from coreplex.engines.tabular.schema import Column, TableSchema
from coreplex.errors.nearest import hint
from coreplex.errors.tree import Invalid, Message

_ORDERED: Mapping[str, Callable[[pl.Expr, Any], pl.Expr]] = {
    "equal": lambda column, value: column == value,
    "not_equal": lambda column, value: column != value,
    "less": lambda column, value: column < value,
    "at_most": lambda column, value: column <= value,
    "greater": lambda column, value: column > value,
    "at_least": lambda column, value: column >= value,
}
_NUMBERS = ("int", "uint", "float")


def named(schema: TableSchema, name: str, *place: str | int) -> Column:
    """The column. Raises Invalid, with the nearest one, where there is none of that name."""
    found = schema.get(name)
    if found is None:
        raise Invalid.field(
            Message("no_column_of_table", "there is no column '{column}' in this table", column=name).then(
                hint(name, schema.names)
            ),
            *map(str, place),
        )
    return found


def condition(schema: TableSchema, wanted: Sequence[Mapping[str, Any]]) -> pl.Expr | None:
    """All of the conditions `{column, operator, value, values}` together; None without any."""
    found = [_one(named(schema, one["column"], "filter", at, "column"), one, at) for at, one in enumerate(wanted)]
    return pl.all_horizontal(found) if found else None


def _one(column: Column, wanted: Mapping[str, Any], at: int) -> pl.Expr:
    values, operator = pl.col(column.name), wanted["operator"]
    if operator in ("missing", "present"):
        return values.is_null() if operator == "missing" else values.is_not_null()
    if operator == "one_of":
        given = wanted.get("values")
        if not given:
            raise Invalid.field(Message("values_missing", "must name the values that are wanted"), "filter", at, "values")
        return values.is_in([_typed(column, value, "filter", at, "values") for value in given])
    value = wanted.get("value")
    if value is None:
        raise Invalid.field(Message("value_missing", "must say a value"), "filter", at, "value")
    if operator == "contains":
        return _shown(column).str.to_lowercase().str.contains(str(value).lower(), literal=True)
    return _ORDERED[operator](values, _typed(column, value, "filter", at, "value"))


def _shown(column: Column) -> pl.Expr:
    """The cells as texts."""
    texts = pl.col(column.name).cast(pl.String)
    return texts.replace(dict(column.labels)) if column.labels else texts


def _typed(column: Column, value: Any, *place: str | int) -> Any:
    """A value as the column keeps it, from how the file spells it or as JSON has it. Raises Invalid for what it cannot hold."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = next((kept for kept, label in column.labels.items() if label == text), text)
    try:
        return _parsed(column.dtype, text)
    except ValueError:
        raise Invalid.field(
            Message(
                "no_value_of_column",
                "'{value}' is no value of '{column}', which holds {kind}",
                value=text[:100],
                column=column.name,
                kind=column.dtype,
            ),
            *place,
        ) from None


def _parsed(dtype: str, text: str) -> Any:
    if dtype.startswith(_NUMBERS):
        return float(text) if dtype.startswith("float") or not text.lstrip("+-").isdecimal() else int(text)
    if dtype == "bool":
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if dtype == "date":
        return dt.date.fromisoformat(text[:10])
    if dtype == "datetime":
        moment = dt.datetime.fromisoformat(text)
        return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return text
