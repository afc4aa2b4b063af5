"""What a model wants to be given and what it answers: its columns with types, ranges, categories and typical values.

All of it is in the model's file, where the reader of rows has it from: what is described here is what that reader takes without
a warning. `json_schema` says the same in JSON Schema (draft 2020-12), for validators and for forms that are made from it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from statistics import median_low
from typing import Any

from coreplex.engines.encoding.categories import natural
from coreplex.engines.encoding.rows import Known, RowReader
from coreplex.engines.scoring.bundle import Manifest
from coreplex.engines.scoring.calibration import Conformal
from coreplex.engines.tabular.schema import NUMERIC, Column, ColumnType, Scalar, spell

Document = dict[str, Any]
MOST_CATEGORIES = 100
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (canonical moments are UTC without a zone)
_ORDERED = NUMERIC | {ColumnType.datetime}


def described(manifest: Manifest, reader: RowReader, shares: Mapping[str, float]) -> Document:
    """`fields` in the order of the table, `output`, and the `versions` that made the model.

    `shares`: by column its percentage of the importance of all.
    """
    known = {one.column.name: one for one in reader.known}
    typical = _typical_row(manifest.background, reader.names)
    names = [name for name in manifest.schema_.names if name in known]
    fields = [_field(known[name], manifest.background, typical.get(name), shares.get(name)) for name in names]
    return {"fields": fields, "output": _output(manifest), "versions": manifest.versions}


def as_document(found: Mapping[str, Any]) -> Document:
    """What was `described`, to be read without this server."""
    return {"fields": found["fields"], "output": found["output"], "json_schema": json_schema(found)}


def _field(known: Known, rows: Sequence[Mapping[str, Any]], example: Any, share: float | None) -> Document:
    column = known.column
    categories = _categories(known)
    low, high = _range(known)
    return {
        "name": column.name,
        "type": column.type.value,
        "dtype": column.dtype,
        "is_nullable": column.nullable,
        "min": low,
        "max": high,
        "categories": None if categories is None else categories[:MOST_CATEGORIES],
        "category_count": None if categories is None else len(categories),
        "default": _usual(column, [row[column.name] for row in rows if row.get(column.name) is not None]),
        "example": _spelled(column, example),
        "importance_percent": share,
        "labels": dict(column.labels),
    }


def _typical_row(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Mapping[str, Any]:
    """The first of the rows of training with the fewest missing values."""
    return min(rows, key=lambda row: sum(row.get(name) is None for name in names), default={})


def _categories(known: Known) -> list[Any] | None:
    """As the uploaded file spells them, in natural order; None for what is no category."""
    column = known.column
    if column.type is ColumnType.boolean:
        return [spell(column, value) for value in (False, True)]
    if column.type is not ColumnType.categorical or known.levels is None:
        return None
    return [spell(column, _typed(column, level)) for level in sorted(known.levels, key=natural)]


def _typed(column: Column, level: str) -> Scalar:
    """A level as the table stores it."""
    try:
        if column.dtype.startswith(("int", "uint")):
            return int(level)
        return float(level) if column.dtype.startswith("float") else level == "true" if column.dtype == "bool" else level
    except ValueError:
        return level


def _range(known: Known) -> tuple[Any, Any]:
    if known.column.type not in _ORDERED:
        return None, None
    low, high = (_bound(known.column, value) for value in (known.low, known.high))
    return low, high


def _bound(column: Column, value: float) -> Any:
    """A bound as the table stores it."""
    if column.type is not ColumnType.datetime:
        return int(value) if column.type is ColumnType.integer and value.is_integer() else value
    moment = _EPOCH + timedelta(microseconds=int(value))
    return moment.date().isoformat() if column.dtype == "date" else moment.isoformat()


def _usual(column: Column, values: Sequence[Any]) -> Any:
    """The middle of numbers and times, the most frequent of categories; None for texts, of which none is usual."""
    if not values or column.type not in {*_ORDERED, ColumnType.categorical, ColumnType.boolean}:
        return None
    return _spelled(column, median_low(values) if column.type in _ORDERED else Counter(values).most_common(1)[0][0])


def _spelled(column: Column, value: Any) -> Any:
    return spell(column, value) if column.type in {ColumnType.categorical, ColumnType.boolean} else value


def _output(manifest: Manifest) -> Document:
    kept = manifest.conformal
    return {
        "column": manifest.target,
        "problem_type": "regression" if manifest.task == "regression" else "classification",
        "classes": list(manifest.classes),
        "threshold": manifest.threshold if manifest.task == "binary" else None,
        "highest_interval": None if kept is None else Conformal.from_json(kept).highest,
    }


def json_schema(found: Mapping[str, Any]) -> Document:
    """Of what was `described`: a row that the model takes without a warning."""
    fields = found["fields"]
    return {
        "$schema": DRAFT,
        "title": f"A row to predict {found['output']['column']}",
        "type": "object",
        "properties": {field["name"]: _property(field) for field in fields},
        "required": [field["name"] for field in fields if not field["is_nullable"]],
        "minProperties": 1,
    }


def _property(field: Document) -> Document:
    notes = {"default": field["default"], "examples": None if field["example"] is None else [field["example"]]}
    more = {"x-type": field["type"], "x-importance-percent": field["importance_percent"]}
    return {**_values(field), **{name: note for name, note in (notes | more).items() if note is not None}}


def _values(field: Document) -> Document:
    """What a cell may hold. Values that the file spells otherwise than the table may come either way."""
    spelled, null = list(field["labels"].values()), [None] if field["is_nullable"] else []
    if field["categories"] is not None and len(field["categories"]) == field["category_count"]:
        stored = [False, True] if field["type"] == "boolean" else [_typed_label(field, label) for label in field["labels"]]
        return {"enum": list(_unique(chain(field["categories"], stored, null)))}
    plain = _plain(field)
    if field["is_nullable"]:
        plain["type"] = [plain["type"], "null"]
    return {"anyOf": [plain, {"enum": spelled}]} if spelled else plain


def _typed_label(field: Document, label: str) -> Any:
    return _typed(Column(field["name"], ColumnType(field["type"]), field["dtype"]), label)


def _plain(field: Document) -> Document:
    match field["type"]:
        case "integer" | "float":
            kind = "integer" if field["type"] == "integer" else "number"
            return {"type": kind, "minimum": field["min"], "maximum": field["max"]}
        case "datetime":
            form = {"format": "date"} if field["dtype"] == "date" else {}
            return {"type": "string", **form, "x-minimum": field["min"], "x-maximum": field["max"]}
        case _ if field["dtype"] == "string":
            return {"type": "string"}
        case _:
            return {"type": "integer" if field["dtype"].startswith(("int", "uint")) else "number"}


def _unique(values: Any) -> Any:
    """Without what came before: `true` is not 1 here, though Python says so."""
    return {(type(value), value): value for value in values}.values()
