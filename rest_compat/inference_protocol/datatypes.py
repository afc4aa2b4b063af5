"""Values of tensors by datatype, as JSON and as the bytes of the binary tensor data extension.

Texts are BYTES: each with its length before it, four bytes, little-endian. A missing value is null in JSON and NaN among floats.
"""

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coreplex.errors.nearest import hint
from coreplex.errors.tree import BadInput, Message

Values = list[Any]
FLOATS: Mapping[str, str] = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BF16": "<u2"}
"""BF16 is the upper half of an FP32, which NumPy has no type for."""
INTEGERS: Mapping[str, str] = {
    f"{sign}INT{size * 8}": f"<{'u' if sign else 'i'}{size}" for sign in ("", "U") for size in (1, 2, 4, 8)
}
NUMBERS = {**FLOATS, **INTEGERS}
DATATYPES = ("BOOL", *NUMBERS, "BYTES")
_KINDS: Mapping[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
    **dict.fromkeys(INTEGERS, frozenset({int})),
    **dict.fromkeys(FLOATS, frozenset({int, float})),
}
_LENGTH = struct.Struct("<I")


def known(name: str, datatype: Any) -> str:
    """A datatype that there is. Raises BadInput naming the nearest."""
    if isinstance(datatype, str) and datatype in DATATYPES:
        return datatype
    said = str(datatype)[:40]
    told = Message("tensor_datatype_unknown", "input '{name}': there is no datatype '{datatype}'.", name=name, datatype=said)
    raise BadInput(told.then(hint(said, DATATYPES)))


def from_json(name: str, datatype: str, data: Sequence[Any]) -> Values:
    """The values of `data`, flat. Raises BadInput where one is none of the datatype."""
    found = list(data)
    kinds, allowed = set(map(type, found)) - {type(None)}, _KINDS[datatype]
    if not kinds <= allowed:
        wrong = next(value for value in found if value is not None and type(value) not in allowed)
        raise _unfit(name, datatype, wrong)
    if datatype in INTEGERS:
        bounds = np.iinfo(INTEGERS[datatype])
        wide = next((value for value in found if value is not None and not bounds.min <= value <= bounds.max), None)
        if wide is not None:
            raise _unfit(name, datatype, wide)
    return found


def from_bytes(name: str, datatype: str, raw: bytes, count: int) -> Values:
    """The values in the bytes of one tensor. Raises BadInput where they are not `count` of the datatype."""
    if datatype == "BYTES":
        return _texts(name, raw, count)
    dtype = np.dtype("<u1" if datatype == "BOOL" else NUMBERS[datatype])
    if len(raw) != count * dtype.itemsize:
        raise _size(name, len(raw), count)
    values = np.frombuffer(raw, dtype)
    if datatype in FLOATS:
        return _floats(datatype, values)
    if datatype == "BOOL":
        if values.max(initial=0) > 1:
            raise _unfit(name, datatype, int(values.max()))
        return values.astype(bool).tolist()
    return values.tolist()


def _floats(datatype: str, values: np.ndarray) -> Values:
    """Floats as JSON spells them. The FP32 nearest to 0.1 means 0.1, as the table has it, not 0.10000000149."""
    if datatype == "BF16":
        values = (values.astype("<u4") << 16).view("<f4")
    if datatype != "FP64":
        values = values.astype(str).astype("<f8")
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _texts(name: str, raw: bytes, count: int) -> Values:
    found, at = [], 0
    for _ in range(count):
        end = at + _LENGTH.size
        if end > len(raw):
            raise _size(name, len(raw), count)
        at, end = end, end + _LENGTH.unpack_from(raw, at)[0]
        if end > len(raw):
            raise _size(name, len(raw), count)
        try:
            found.append(raw[at:end].decode())
        except UnicodeDecodeError:
            raise BadInput(
                Message(
                    "tensor_text_not_utf8",
                    "input '{name}': text {place} is not UTF-8",
                    name=name,
                    place=len(found),
                )
            ) from None
        at = end
    if at != len(raw):
        raise _size(name, len(raw), count)
    return found


def to_bytes(datatype: str, values: Sequence[Any]) -> bytes:
    """The bytes of one tensor."""
    if datatype == "BYTES":
        texts = [value.encode("utf-8", "replace") for value in values]
        return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))
    if datatype == "BOOL":
        return np.array(values, dtype="<u1").tobytes()
    if datatype == "BF16":
        return (_numbers("<f4", values).view("<u4") >> 16).astype("<u2").tobytes()
    return _numbers(NUMBERS[datatype], values).tobytes()


def _numbers(dtype: str, values: Sequence[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=dtype)


def _unfit(name: str, datatype: str, value: Any) -> BadInput:
    other = "an object" if isinstance(value, dict) else "a list"
    shown = str(value)[:60] if isinstance(value, str | int | float | bool) else other
    return BadInput(
        Message(
            "tensor_value_unfit",
            "input '{name}': {value} is no {datatype}",
            name=name,
            value=shown,
            datatype=datatype,
        )
    )


def _size(name: str, size: int, count: int) -> BadInput:
    return BadInput(
        Message(
            "tensor_bytes_unfit",
            "input '{name}' has {size} bytes, which are not the {count} values that its shape says",
            name=name,
            size=size,
            count=count,
        )
    )
