"""What REST callers say of columns: `column_types` {name: type} and `missing_values`, a list or {name: list}.

In a form both are JSON texts. The operations take them as one list of columns, and complaints are told in the caller's words.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import orjson
from graphql import get_named_type

from coreplex.errors.tree import FieldError, Invalid, Message
from rest_compat.bounds import limited, of_field
from rest_compat.response_schema import leaf
from schema.execution import STORED

TYPES, MISSING, FORCE = "column_types", "missing_values", "force"
WORDS = {"true": True, "1": True, "false": False, "0": False}
"""What a form says of a truth, in any case: Python's clients write `True`."""
TABLE_FILE = "The table: CSV, TSV, JSON, JSON Lines, Excel (.xlsx) or Parquet, plain or in gzip, zip or zstd."
"""What a file is that holds a table."""
OVERRIDES, MARKS = "missingValues", "values"
"""The two kinds of input, by the key of a column's values: what is missing in it, or what is missing in it too."""


def schemas(kind: str) -> dict[str, dict[str, Any]]:
    """How OpenAPI describes what is said of columns."""
    whole: Any = STORED.schema.type_map["MarkMissingInput" if kind == MARKS else "UploadDatasetInput"]
    column: Any = get_named_type(whole.fields["columns"].type)
    listed = limited({"type": "array", "items": {"type": ["string", "number"]}}, of_field(column, kind))
    by_name = _by_name(whole, column, listed)
    if kind == MARKS:
        return {MISSING: {**by_name, "description": "Column name to the values that mean missing there; left out, all offered."}}
    types = "What columns are: name to type (integer, float, boolean, categorical, datetime, text or id)."
    missing = "Words and values that mean missing: a list for all columns, or name to list."
    return {
        TYPES: {**_by_name(whole, column, leaf(get_named_type(column.fields["type"].type))), "description": types},
        MISSING: {"oneOf": [listed, by_name], "description": missing},
    }


def _by_name(whole: Any, column: Any, value: dict[str, Any]) -> dict[str, Any]:
    """An object of column names, as many and as long as the list of columns may have."""
    names = {key: limit for key, limit in of_field(column, "name").items() if key != "type"}
    most = of_field(whole, "columns")["maxItems"]
    return {"type": "object", "propertyNames": names, "maxProperties": most, "additionalProperties": value}


def keys(kind: str) -> set[str]:
    """What a caller may say of columns."""
    return {MISSING, FORCE} if kind == MARKS else {TYPES, MISSING, FORCE}


def into_input(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The body with `columns` in place of what it says of single ones. Raises Invalid at the caller's key."""
    missing = _missing(body, kind)
    found = {key: value for key, value in body.items() if key not in (TYPES, MISSING, FORCE, "columns")}
    columns: dict[str, dict[str, Any]] = {}
    for name, type_ in (_types(body) if kind == OVERRIDES else {}).items():
        columns[name] = {"name": name, "type": type_}
    if isinstance(missing, list):
        found[MISSING] = missing
    elif missing is not None:
        for name, values in missing.items():
            columns.setdefault(name, {"name": name})[kind] = values
    if columns:
        found["columns"] = list(columns.values())
    if FORCE in body:
        said = body[FORCE]
        found[FORCE] = WORDS.get(said.lower(), said) if isinstance(said, str) else said
    return found


@contextmanager
def in_callers_words(found: Mapping[str, Any]) -> Iterator[None]:
    """Complaints about the columns of an input, told of `column_types` and `missing_values`."""
    try:
        yield
    except Invalid as error:
        errors = [_told(one, found.get("columns", ())) for one in error.errors]
        listed = error.message == Invalid.fields(error.errors, skip=1).message
        raise (Invalid.fields(errors, skip=1) if listed else Invalid(error.message, errors=errors)) from None


def _told(error: FieldError, columns: Sequence[Mapping[str, Any]]) -> FieldError:
    if error.loc[:2] != ("body", "columns"):
        return error
    if len(error.loc) < 3 or not isinstance(error.loc[2], int):
        key = TYPES if any("type" in column for column in columns) else MISSING
        return replace(error, loc=("body", key))
    column, part = columns[error.loc[2]], error.loc[3:]
    key = TYPES if "type" in column and part[:1] in ((), ("type",), ("name",)) else MISSING
    return replace(error, loc=("body", key, column["name"], *part[1:]))


def _types(body: Mapping[str, Any]) -> dict[str, Any]:
    found = _parsed(body, TYPES)
    if found is not None and not isinstance(found, dict):
        raise Invalid.field(Message("no_object_of_types", "must be an object: column name to type"), "body", TYPES)
    return found or {}


def _missing(body: Mapping[str, Any], kind: str) -> list[str] | dict[str, list[str]] | None:
    found = _parsed(body, MISSING)
    if found is None:
        return None
    if isinstance(found, dict):
        return {name: _texts(listed, name) for name, listed in found.items()}
    if kind == MARKS:
        raise Invalid.field(Message("no_object_of_lists", "must be an object: column name to list of values"), "body", MISSING)
    return _texts(found)


def _texts(listed: Any, *place: str) -> list[str]:
    if type(listed) in (str, int, float):
        listed = [listed]
    if not isinstance(listed, list) or not all(type(value) in (str, int, float) for value in listed):
        raise Invalid.field(Message("no_list_of_values", "must be a list of texts and numbers"), "body", MISSING, *place)
    return [value if isinstance(value, str) else orjson.dumps(value).decode() for value in listed]


def _parsed(body: Mapping[str, Any], key: str) -> Any:
    value = body.get(key)
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise no_json(key, '{"age": "float"}' if key == TYPES else '["-200", "None"]') from None


def no_json(key: str, example: str) -> Invalid:
    """The refusal of a field of a form that is to be JSON and is none."""
    return Invalid.field(Message("no_json", "must be JSON, such as {example}", example=example), "body", key)
