"""Tensors of a request and of an answer: in the JSON itself, or as bytes behind it in the order in which they are named there."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coreplex.errors.tree import BadInput, Message
from rest_compat.inference_protocol import datatypes

SIZE = "binary_data_size"


@dataclass(frozen=True)
class Tensor:
    """`values`: flat, in row-major order."""

    name: str
    datatype: str
    shape: Sequence[int]
    values: Sequence[Any]


class Binary:
    """The bytes behind the JSON, taken tensor by tensor."""

    def __init__(self, raw: bytes) -> None:
        self._raw, self._at = raw, 0

    def take(self, name: str, size: Any) -> bytes:
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(self._raw) - self._at:
            raise BadInput(
                Message(
                    "tensor_bytes_missing",
                    "input '{name}' has no {size} bytes behind the JSON: {left} are left",
                    name=name,
                    size=str(size)[:40],
                    left=len(self._raw) - self._at,
                )
            )
        self._at += size
        return self._raw[self._at - size : self._at]

    def end(self) -> None:
        """Raise BadInput where bytes are left that nobody named."""
        if self._at != len(self._raw):
            raise BadInput(
                Message("bytes_left", "{left} bytes behind the JSON belong to no input", left=len(self._raw) - self._at)
            )


def decoded(said: Mapping[str, Any], binary: Binary) -> Tensor:
    """One input of a request: a column of n rows. Raises BadInput saying what does not fit."""
    name = said.get("name")
    if not isinstance(name, str) or not name:
        raise BadInput(Message("tensor_without_name", "every input needs a name: that of a column"))
    datatype, shape = datatypes.known(name, said.get("datatype")), _shape(name, said.get("shape"))
    parameters = said.get("parameters") or {}
    if isinstance(parameters, Mapping) and SIZE in parameters:
        values = datatypes.from_bytes(name, datatype, binary.take(name, parameters[SIZE]), shape[0])
    else:
        values = datatypes.from_json(name, datatype, _flat(name, said.get("data"), len(shape)))
    if len(values) != shape[0]:
        raise BadInput(
            Message(
                "tensor_length_unfit",
                "input '{name}' has {length} values and the shape {shape}",
                name=name,
                length=len(values),
                shape=list(shape),
            )
        )
    return Tensor(name, datatype, shape, values)


def _shape(name: str, shape: Any) -> Sequence[int]:
    whole = isinstance(shape, list) and all(type(size) is int for size in shape)
    if not whole or not shape or shape[0] < 1 or shape[1:] not in ([], [1]):
        raise BadInput(
            Message(
                "tensor_shape_wrong",
                "input '{name}' has the shape {shape}; one tensor is one column: [n] or [n, 1] for n rows",
                name=name,
                shape=str(shape)[:60],
            )
        )
    return list(shape)


def _flat(name: str, data: Any, depth: int) -> Sequence[Any]:
    """Data may be flat or nested as its shape is."""
    if isinstance(data, list) and depth == 2 and data and all(isinstance(row, list) for row in data):
        data = [value for row in data for value in row]
    if not isinstance(data, list):
        raise BadInput(
            Message("tensor_without_data", "input '{name}' has no data: send a list, or bytes with binary_data_size", name=name)
        )
    return data


def encoded(tensors: Sequence[Tensor], binary: Mapping[str, bool]) -> tuple[list[dict[str, Any]], bytes]:
    """The outputs of an answer, and the bytes behind the JSON of those that are wanted so."""
    said, parts = [], []
    for one in tensors:
        assert math.prod(one.shape) == len(one.values), "a tensor is as large as it says"
        told: dict[str, Any] = {"name": one.name, "datatype": one.datatype, "shape": list(one.shape)}
        if binary[one.name]:
            parts.append(datatypes.to_bytes(one.datatype, one.values))
            told["parameters"] = {SIZE: len(parts[-1])}
        else:
            told["data"] = list(one.values)
        said.append(told)
    return said, b"".join(parts)
