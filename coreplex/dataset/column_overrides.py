"""What people say of columns, for the reader of the file (`Overrides`): merged with what was said before, checked, and offered.

A quality issue that one call settles carries that call in its evidence, ready to be sent.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from coreplex.dataset.inputs import ColumnOverride, Marked, OverrideColumnTypes, UploadDataset
from coreplex.dataset.table import DatasetVersion
from coreplex.engines.tabular.read.interface import Overrides, unknown_column, with_missing
from coreplex.engines.tabular.schema import SET_BY_USER, Column, TableSchema
from coreplex.errors.tree import FieldError, Invalid, Message

SENTINELS = "sentinel_values"


def of_upload(wanted: UploadDataset) -> Overrides:
    return _said(wanted.columns or [], Overrides(everywhere=tuple(wanted.missing_values or ()), force=wanted.force))


def of_override(wanted: OverrideColumnTypes, schema: TableSchema) -> Overrides:
    """What is said now, and of the other columns what was said before. Raises Invalid when nothing is, or of no column."""
    if not wanted.columns and not wanted.missing_values:
        raise Invalid.field(
            Message("nothing_to_read_otherwise", "name the columns that are to be read otherwise, or missing values"), "columns"
        )
    _refuse_unknown(wanted.columns or [], schema)
    before = replace(_before(schema), everywhere=tuple(wanted.missing_values or ()), force=wanted.force)
    return _said(wanted.columns or [], before)


def of_marks(marks: Sequence[Marked], schema: TableSchema, force: bool) -> Overrides:
    """The values are added to what is missing in their columns."""
    _refuse_unknown(marks, schema)
    before = _before(schema)
    more = {mark.name: with_missing(_column(schema, mark.name), mark.values) for mark in marks}
    return replace(before, missing={**before.missing, **more}, force=force)


def _said(columns: Sequence[ColumnOverride], before: Overrides) -> Overrides:
    types, missing = dict(before.types), dict(before.missing)
    for index, column in enumerate(columns):
        if column.type is None and column.missing_values is None:
            raise Invalid.field(Message("nothing_said_of_column", "say a type, missing values, or both"), "columns", index)
        if column.type is not None:
            types[column.name] = column.type
        if column.missing_values is not None:
            missing[column.name] = tuple(column.missing_values)
    return replace(before, types=types, missing=missing)


def _before(schema: TableSchema) -> Overrides:
    """What a person, or the first reading, said of the columns."""
    types = {column.name: column.type for column in schema if column.reason == SET_BY_USER}
    return Overrides(types, {column.name: column.missing for column in schema if column.missing is not None})


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
        if left[mark.name] == missed[mark.name]:
            raise Invalid.field(
                Message(
                    "value_in_no_cell",
                    "No cell of {column!r} says {values}: nothing would change.",
                    column=mark.name,
                    values=list(mark.values),
                ),
                "columns",
                index,
                "values",
            )
        if left[mark.name] == after["row_count"] and not force:
            message = Message(
                "column_would_be_emptied",
                "{column!r} would have no values left without {values}. Leave the column out, or say force: true.",
                column=mark.name,
                values=list(mark.values),
            )
            raise Invalid.field(message, "columns", index, "values")


def check_emptied(columns: Sequence[ColumnOverride], after: Mapping[str, Any], *, force: bool) -> None:
    """Raises Invalid for a column that has no value left for what is said to be missing in it, by the profile of the table."""
    left = {c["name"]: c["missing_count"] for c in after["columns"]}
    for index, column in enumerate(columns):
        if column.missing_values and left[column.name] == after["row_count"] and not force:
            message = Message(
                "column_emptied",
                "{column!r} has no values left without {values}. Leave the column out, or say force: true.",
                column=column.name,
                values=list(column.missing_values[:20]),
            )
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
    return replace(error, loc=("columns",) if at is None else ("columns", at, *error.loc[2:]))


def offered(quality: Mapping[str, Any]) -> list[Marked]:
    """What the version's quality offers to mark. Raises Invalid when it offers nothing."""
    found = [
        Marked(name=issue["column"], values=issue["evidence"]["values"])
        for issue in quality["issues"]
        if issue["kind"] == SENTINELS
    ]
    if not found:
        raise Invalid.field(
            Message("no_sentinels_known", "this version's quality names no sentinel values: name columns and values yourself"),
            "columns",
        )
    return found


def attach_calls(version: DatasetVersion) -> None:
    """Puts `graphql` and `rest` into the evidence of each issue that one call settles."""
    for issue in version.quality["issues"]:
        call = _call(version, issue)
        if call is not None:
            issue["evidence"] = {**issue["evidence"], **call}


def sentinel_warnings(version: DatasetVersion, target: str) -> list[Message]:
    """What an experiment on the version is warned of when its target has suspected sentinels: they are trained on as values.

    A cap looks the same, so nothing is left out on suspicion.
    """
    found = [i for i in version.quality["issues"] if i["kind"] == SENTINELS and i["column"] == target]
    return [_warning(target, issue["evidence"], issue["affected_rows"], version.row_count) for issue in found]


def _warning(target: str, evidence: dict[str, Any], cells: int, rows: int) -> Message:
    others, rest = evidence["others"], evidence["rest"]
    return Message(
        "target_has_sentinels",
        "The target {column!r} holds {values}, far outside the rest ({least} to {most}), in {cells:,} of {rows:,} rows. They are "
        "trained on and scored as values. If they stand for missing ones, train on the version that this call makes: {graphql} "
        "(REST: POST {path}).",
        column=target,
        values=_counted(evidence),
        least=others["min"],
        most=others["max"],
        cells=cells,
        rows=rows,
        graphql=evidence["graphql"],
        path=rest["path"],
    )


def _counted(evidence: dict[str, Any]) -> str:
    return " and ".join(f"{value} ({count:,} times)" for value, count in evidence["counts"].items())


def _call(version: DatasetVersion, issue: dict[str, Any]) -> dict[str, Any] | None:
    name, evidence = issue["column"], issue["evidence"]
    column = f"name: {json.dumps(name)}"
    if issue["kind"] in (SENTINELS, "missing_words") and "values" in evidence:
        columns = f"{column}, values: {json.dumps(evidence['values'])}"
        return _both(version, "markMissing", columns, "missing", {"missing_values": {name: evidence["values"]}})
    if evidence.get("read_as") == "missing":
        return _both(version, "overrideColumnTypes", f"{column}, missingValues: []", "columns", {"missing_values": {name: []}})
    if evidence.get("read_as") == "boolean":
        columns, body = f"{column}, type: CATEGORICAL", {"column_types": {name: "categorical"}}
        return _both(version, "overrideColumnTypes", columns, "columns", body)
    return None


def _both(version: DatasetVersion, mutation: str, column: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    said = {"version_id": str(version.id), **body}
    made = f'{mutation}(input: {{versionId: "{version.id}", columns: [{{{column}}}]}})'
    return {
        "graphql": f"mutation {{ {made} {{ version {{ id }} }} }}",
        "rest": {"method": "POST", "path": f"/api/datasets/{version.dataset_id}/{path}", "body": said},
    }
