"""Which tensors a model takes and gives: its columns as inputs, what it answers as outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from coreplex.errors.nearest import hint
from coreplex.errors.tree import BadInput, Message
from rest_compat.inference_protocol.datatypes import FLOATS, INTEGERS
from rest_compat.inference_protocol.tensors import Tensor

Field = Mapping[str, Any]
_WHOLE = frozenset({"BOOL", *INTEGERS})
_USUAL: Mapping[str, str] = {"integer": "INT64", "float": "FP64", "boolean": "BOOL"}
_TAKEN: Mapping[str, frozenset[str]] = {
    "integer": _WHOLE | frozenset(FLOATS),
    "float": _WHOLE | frozenset(FLOATS),
    "boolean": _WHOLE | {"BYTES"},
    "categorical": _WHOLE | frozenset(FLOATS) | {"BYTES"},
}
"""By type of column the datatypes it may come in; other columns come as BYTES."""


def inputs(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """The inputs of a model's metadata: one tensor per column."""
    return [{"name": one["name"], "datatype": _USUAL.get(one["type"], "BYTES"), "shape": [-1]} for one in fields]


def outputs(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The outputs that every answer can have."""
    classes = schema["classes"]
    if not classes:
        return [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]
    return [
        {"name": "prediction", "datatype": datatype_of(classes), "shape": [-1]},
        {"name": "probability", "datatype": "FP64", "shape": [-1]},
        {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(classes)], "parameters": {"classes": classes}},
    ]


def datatype_of(labels: Sequence[Any]) -> str:
    """In what classes are told."""
    kinds = set(map(type, labels))
    if kinds == {bool}:
        return "BOOL"
    return "INT64" if kinds == {int} else "FP64" if kinds <= {int, float} else "BYTES"


def rows_of(tensors: Sequence[Tensor], fields: Sequence[Field]) -> list[dict[str, Any]]:
    """The rows that the columns make. Raises BadInput where a column is missing, unknown, twice there, or of another datatype."""
    by_name = {one["name"]: one for one in fields}
    said = [tensor.name for tensor in tensors]
    for tensor in tensors:
        if tensor.name not in by_name:
            told = Message("input_unknown", "the model has no input '{name}'.", name=tensor.name[:100])
            raise BadInput(told.then(hint(tensor.name, list(by_name))))
        _require_taken(tensor, by_name[tensor.name])
    if len(set(said)) < len(said):
        raise BadInput(Message("input_twice", "an input is there twice; one tensor is one column"))
    missing = [name for name, one in by_name.items() if name not in said and not one["is_nullable"]]
    if missing:
        raise BadInput(Message("input_missing", "these inputs are missing: {names}", names=missing[:20]))
    lengths = {len(tensor.values) for tensor in tensors}
    if len(lengths) > 1:
        raise BadInput(
            Message("inputs_of_other_lengths", "inputs have different numbers of rows: {lengths}", lengths=sorted(lengths))
        )
    return [dict(zip(said, row, strict=True)) for row in zip(*(tensor.values for tensor in tensors), strict=True)]


def _require_taken(tensor: Tensor, field: Field) -> None:
    taken = _TAKEN.get(field["type"], frozenset({"BYTES"}))
    if tensor.datatype not in taken:
        raise BadInput(
            Message(
                "input_of_other_datatype",
                "input '{name}' is {datatype}; the column is {type} and comes as {taken}",
                name=tensor.name,
                datatype=tensor.datatype,
                type=field["type"],
                taken=sorted(taken),
            )
        )
