"""Defines the schema of a table: the feature schema that a version, a model and a deployment carry unchanged.

It knows nothing of files or frames. A schema is plain data: it travels as JSON and compares by value.
"""

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from coreplex.errors.tree import Message


class ColumnType(StrEnum):
    """The meaning of a column, as a person would say it (contract C.4)."""

    integer = "integer"
    float = "float"
    boolean = "boolean"
    categorical = "categorical"
    datetime = "datetime"
    text = "text"
    id = "id"


SET_BY_USER = "set by the user"
"""The `reason` of a type that a person ordered."""
NUMERIC = frozenset({ColumnType.integer, ColumnType.float})
GEOMETRIES = frozenset(["wkt", "point"])
"""The formats of texts that are places, which models read by their coordinates."""

Scalar = str | int | float | bool | dt.date | dt.datetime


@dataclass(frozen=True)
class Column:
    """One column. `dtype` is how it is stored: int64, float64, bool, string, date, datetime, or a narrower number.

    `labels` maps canonical text to the spelling in the uploaded file, for small typed columns where the two differ.
    `format` says how its cells are written (a strptime pattern, a `NumberFormat` code, a key of
    `column_types.TEXT_FORMATS`); None means plainly. `reason` says why it got its type, when that was a judgement.
    `missing` are the texts and values read as missing besides what always is (`vocabulary.missing_texts`); None means
    the usual ones.
    """

    name: str
    type: ColumnType
    dtype: str
    nullable: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    format: str | None = None
    reason: str | None = None
    original_name: str | None = None
    missing: tuple[str, ...] | None = None

    def with_type(self, kind: ColumnType, reason: str | None = None) -> "Column":
        """The same column with another type, and why."""
        return replace(self, type=kind, reason=reason)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, all fields."""
        return {
            "name": self.name,
            "type": self.type.value,
            "dtype": self.dtype,
            "nullable": self.nullable,
            "labels": dict(self.labels),
            "format": self.format,
            "reason": self.reason,
            "original_name": self.original_name,
            "missing": None if self.missing is None else list(self.missing),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Column":
        """The column that `to_json` wrote; keys it does not know are left out."""
        known = {key: data[key] for key in cls.__dataclass_fields__ if key in data}
        known["labels"] = dict(known.get("labels") or {})
        known["missing"] = None if known.get("missing") is None else tuple(known["missing"])
        return cls(**{**known, "type": ColumnType(data["type"])})


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table, in file order, names unique."""

    columns: tuple[Column, ...]

    @property
    def names(self) -> list[str]:
        """Column names in file order."""
        return [column.name for column in self.columns]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def get(self, name: str) -> Column | None:
        """The column of that name, or None."""
        return self._by_name.get(name)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: `columns`, in file order."""
        return {"columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "TableSchema":
        """The schema that `to_json` wrote."""
        return cls(tuple(Column.from_json(column) for column in data["columns"]))


def canonical(value: Scalar) -> str:
    """The one text of a typed value: `true`, `12`, `1.5`, `2024-01-31`, `2024-01-31T10:00:00`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.date):
        return value.isoformat()
    return repr(value) if isinstance(value, float) else str(value)


def spell(column: Column, value: Scalar | None) -> str | int | float | bool | None:
    """A value as the uploaded file spells it; JSON-ready. Whole floats of an integer column become integers.

    Values that need no other spelling come back as themselves (dates as ISO text, NaN and infinity as None).
    """
    if value is None:
        return None
    if isinstance(value, float) and column.dtype.startswith(("int", "uint")) and value.is_integer():
        value = int(value)
    text = canonical(value)
    label = column.labels.get(text)
    if label is not None:
        return label
    if isinstance(value, dt.date):
        return text
    return None if isinstance(value, float) and not math.isfinite(value) else value


def no_column(name: str) -> Message:
    return Message("no_column", "There is no column {column!r} in this table.", column=name)
