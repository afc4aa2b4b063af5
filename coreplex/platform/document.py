"""JSON documents whose shape is the user's own: how deep they may come, what of them can be stored, how they are read back.

GraphQL publishes JSON and JSONObject as the scalar JSON.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NewType, TypeVar

import orjson

from coreplex.errors.tree import Message, WrongValue

JSON = NewType("JSON", Any)  # type: ignore[valid-newtype]
"""Any JSON value."""

JSONObject = NewType("JSONObject", dict[str, Any])
"""A JSON object; Pydantic refuses anything else."""

Value = NewType("Value", Any)  # type: ignore[valid-newtype]
"""A cell of a table: a text, a number, true or false. GraphQL publishes it as a scalar of that name."""

MAX_JSON_DEPTH = 32
MAX_JSON_CONTAINERS = 100_000
"""Lists and objects in one body: each costs fifty times its two bytes in memory, and time in which nobody else is served."""
MAX_DEPTH = 200
"""Levels of lists and objects that are stored; orjson writes 254."""
MOST_KEPT = 128 << 10
"""Bytes of JSON of a document that is kept beside a row as it was sent: a page of 500 rows reads them all."""
STORED_AT_ONCE = 256 << 10
"""Bytes on the database's disk that are read together. They may be compressed, 90 times at most (pglz)."""
_NOT_STORED = re.compile("[\0\ud800-\udfff]")
Key = TypeVar("Key")


def containers(raw: bytes | str) -> int:
    """At most how many lists and objects a JSON text has, counted without reading it. Brackets within strings count too."""
    return raw.count(b"[") + raw.count(b"{") if isinstance(raw, bytes) else raw.count("[") + raw.count("{")


def too_deep(value: Any, limit: int = MAX_JSON_DEPTH, parts: int = sys.maxsize) -> bool:
    """Whether lists and objects nest deeper than `limit`; walks level by level, never recursing.

    `parts`: at most how many there are (`containers`). As soon as the others are too few to reach so deep, nobody looks further.
    """
    level = [value] if isinstance(value, dict | list) else []
    left = parts - len(level)
    for depth in range(1, limit + 1):
        if not level or depth + left <= limit:
            return False
        level = [item for one in level for item in _items(one) if isinstance(item, dict | list)]
        left -= len(level)
    return any(level)


def _items(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def storable(value: Any, depth: int = 0) -> Any:
    """The same document as far as JSON text and PostgreSQL's JSONB hold it.

    NUL and lone surrogates become U+FFFD, integers beyond 64 bits floats, and what is nested deeper than MAX_DEPTH null.
    """
    if isinstance(value, str):
        return _NOT_STORED.sub("\ufffd", value)
    if isinstance(value, dict | list) and depth >= MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {storable(str(key)): storable(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    return _in_range(value) if type(value) is int else value


def _in_range(number: int) -> float | int | str:
    if -(1 << 63) <= number < 1 << 64:
        return number
    try:
        return float(number)
    except OverflowError:
        return f"{number:#x}"


def kept(value: Any) -> Any:
    """A document that may be kept as it was sent. Raises ValueError for one that is too large."""
    if value is not None and len(orjson.dumps(value, default=str)) > MOST_KEPT:
        raise WrongValue(Message("document_too_large", "must have at most {most} KiB as JSON", most=MOST_KEPT >> 10))
    return value


def read_together(sizes: Iterable[tuple[Key, int]]) -> Iterator[list[Key]]:
    """Keys of rows whose documents are read by one statement, one at least; `sizes`: of each the bytes they have on the disk."""
    chunk: list[Key] = []
    room = STORED_AT_ONCE
    for key, size in sizes:
        if chunk and size > room:
            yield chunk
            chunk, room = [], STORED_AT_ONCE
        chunk.append(key)
        room -= size
    if chunk:
        yield chunk
