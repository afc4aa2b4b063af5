"""Writes and reads entries of the inference log as lines of JSON."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import orjson

from coreplex.platform.document import storable
from coreplex.platform.identifier import new_text_ids

NUL = rb"\u0000"
"""As JSON spells it. Behind a backslash it is six letters of a text."""

Entry = Mapping[str, Any]


def spelled(
    common: Entry,
    rows: Sequence[Entry],
    outputs: Sequence[Entry | None],
    name: UUID | None = None,
    places: Sequence[int] | None = None,
    more: Sequence[Entry] | None = None,
) -> bytes:
    """One line per row, each under an id of its own, which follows from `name` where the same may be written again.

    `places`: of each row in its request; the first row of those it has there is marked, by which requests are counted. `more`:
    what the entry of each row has besides.
    What JSON has no spelling for is replaced, never a reason to fail.
    """
    indexes = range(len(rows)) if places is None else places
    ids = new_text_ids(len(rows)) if name is None else [str(uuid5(name, str(index))) for index in indexes]
    head = _line(dict(common))[:-2] + b","  # all lines begin with what is common to them
    parts: list[bytes] = []
    for made, index, row, output in zip(ids, indexes, rows, outputs, strict=True):
        entry: dict[str, Any] = {"id": made, "row_index": index, "inputs": row, "output": output}
        if index and not parts:
            entry["first"] = True
        if more is not None:
            entry |= more[len(parts) // 2]
        parts += head, _line(entry)[1:]
    return b"".join(parts)


def _line(entry: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE, default=str)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, lists in lists in lists
        return orjson.dumps(storable(entry), option=orjson.OPT_APPEND_NEWLINE, default=str)


def without_nul(line: bytes) -> bytes:
    """The line as PostgreSQL can hold it. One that is no JSON is left for PostgreSQL to refuse."""
    if NUL not in line:
        return line
    try:
        return orjson.dumps(storable(orjson.loads(line)))
    except orjson.JSONDecodeError:
        return line


def shortened(line: bytes, reason: str) -> bytes | None:
    """The entry with a note in the place of its row and answer. None for a line that is no entry."""
    try:
        entry = orjson.loads(line)
        return orjson.dumps(
            storable({**entry, "inputs": _note(entry["inputs"], reason), "output": _note(entry["output"], reason)})
        )
    except (ValueError, TypeError, KeyError):
        return None


def _note(value: Any, reason: str) -> dict[str, str] | None:
    size = len(orjson.dumps(value))
    return None if value is None else {"not_stored": f"{size:,} bytes were left out: {reason}"}


def id_of(line: bytes) -> str | None:
    """The id of the entry. None for a line that is no entry."""
    try:
        return str(orjson.loads(line)["id"])
    except (ValueError, TypeError, KeyError):
        return None
