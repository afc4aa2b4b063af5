"""Merges what a caller says of columns with what was said before, into what the reader of the file takes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from coreplex.dataset.inputs import ColumnOverride, Marked, OverrideColumnTypes, UploadDataset
from coreplex.dataset.suggested_calls import SENTINELS
from coreplex.engines.tabular.read.interface import unknown_column, with_missing
from coreplex.engines.tabular.schema import SET_BY_USER, Column, TableSchema
from coreplex.errors.tree import FieldError, Invalid


@dataclass(frozen=True)
class ColumnOverrides:
    """`types` and `missing` by column, `everywhere` for all columns; `force` takes every loss."""

    types: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)
    everywhere: Sequence[str] = ()
    force: bool = False

    def request(self) -> dict[str, Any]:
        """The part of the reader's request that says so."""
        return {
            "overrides": dict(self.types),
            "missing": {name: list(values) for name, values in self.missing.items()},
            "everywhere": list(self.everywhere),
            "force": self.force,
        }


def of_upload(wanted: UploadDataset) -> ColumnOverrides:
    return _said(wanted.columns or [], ColumnOverrides(everywhere=wanted.missing_values or (), force=wanted.force))


def of_override(wanted: OverrideColumnTypes, schema: TableSchema) -> ColumnOverrides:
    """What is said now, and of the other columns what was said before. Raises Invalid when nothing is, or of no column."""
    if not wanted.columns and not wanted.missing_values:
        raise Invalid.field("name the columns that are to be read otherwise, or missing values", "columns")
    _refuse_unknown(wanted.columns or [], schema)
    return _said(wanted.columns or [], _before(schema, wanted.missing_values or (), wanted.force))


def of_marks(marks: Sequence[Marked], schema: TableSchema, force: bool) -> ColumnOverrides:
    """The values are added to what is missing in their columns."""
    _refuse_unknown(marks, schema)
    before = _before(schema, (), force)
    more = {mark.name: with_missing(_column(schema, mark.name), mark.values) for mark in marks}
    return ColumnOverrides(before.types, {**before.missing, **more}, (), force)


def offered(quality: Mapping[str, Any]) -> list[Marked]:
    """What the version's quality offers to mark. Raises Invalid when it offers nothing."""
    found = [
        Marked(name=issue["column"], values=issue["evidence"]["values"])
        for issue in quality["issues"]
        if issue["kind"] == SENTINELS
    ]
    if not found:
        raise Invalid.field("this version's quality names no sentinel values: name columns and values yourself", "columns")
    return found


def _said(columns: Sequence[ColumnOverride], before: ColumnOverrides) -> ColumnOverrides:
    types, missing = dict(before.types), dict(before.missing)
    for index, column in enumerate(columns):
        if column.type is None and column.missing_values is None:
            raise Invalid.field("say a type, missing values, or both", "columns", index)
        if column.type is not None:
            types[column.name] = column.type.value
        if column.missing_values is not None:
            missing[column.name] = column.missing_values
    return ColumnOverrides(types, missing, before.everywhere, before.force)


def _before(schema: TableSchema, everywhere: Sequence[str], force: bool) -> ColumnOverrides:
    """What a person, or the first reading, said of the columns."""
    types = {column.name: column.type.value for column in schema if column.reason == SET_BY_USER}
    missing = {column.name: column.missing for column in schema if column.missing is not None}
    return ColumnOverrides(types, missing, everywhere, force)


def _column(schema: TableSchema, name: str) -> Column:
    column = schema.get(name)
    assert column is not None, "asked before"
    return column


def _refuse_unknown(columns: Sequence[ColumnOverride | Marked], schema: TableSchema) -> None:
    for index, column in enumerate(columns):
        if schema.get(column.name) is None:
            raise Invalid.field(unknown_column(column.name, schema.names), "columns", index, "name")


def check_marks(marks: Sequence[Marked], before: Mapping[str, Any], after: Mapping[str, Any], *, force: bool) -> None:
    """Raises Invalid for a mark that no cell met, and for one that leaves nothing, by the profiles before and after."""
    missed, left = ({c["name"]: c["missing_count"] for c in profile["columns"]} for profile in (before, after))
    for index, mark in enumerate(marks):
        values = ", ".join(mark.values)
        if left[mark.name] == missed[mark.name]:
            raise Invalid.field(f"No cell of {mark.name!r} says {values}: nothing would change.", "columns", index, "values")
        if left[mark.name] == after["row_count"] and not force:
            message = f"{mark.name!r} would have no values left without {values}. Leave the column out, or say force: true."
            raise Invalid.field(message, "columns", index, "values")


def check_emptied(columns: Sequence[ColumnOverride], after: Mapping[str, Any], *, force: bool) -> None:
    """Raises Invalid for a column that has no value left for what is said to be missing in it, by the profile of the table."""
    left = {c["name"]: c["missing_count"] for c in after["columns"]}
    for index, column in enumerate(columns):
        if column.missing_values and left[column.name] == after["row_count"] and not force:
            values = ", ".join(column.missing_values[:20])
            message = f"{column.name!r} has no values left without {values}. Leave the column out, or say force: true."
            raise Invalid.field(message, "columns", index, "missing_values")


@contextmanager
def placed(columns: Sequence[ColumnOverride | Marked]) -> Iterator[None]:
    """The reader's complaints about a column, at its place among the caller's."""
    index = {column.name: at for at, column in enumerate(columns)}
    try:
        yield
    except Invalid as error:
        errors = [_placed(one, index) for one in error.errors]
        raise Invalid(error.message, errors=errors) from None


def _placed(error: FieldError, index: Mapping[str, int]) -> FieldError:
    if error.loc[:1] != ("overrides",):
        return error
    at = index.get(str(error.loc[1]))
    return FieldError(("columns",) if at is None else ("columns", at, *error.loc[2:]), error.msg, error.type)
