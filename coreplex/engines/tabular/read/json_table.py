"""Turns JSON objects into rows: keys are columns in the order they are first seen, null is missing, objects are
flattened one level.

`{"address": {"city": "Paris"}}` is the column `address.city`; what is nested deeper, and lists, stay as JSON text. A
string keeps its meaning by the rules for text: "007" is a code, "12" a number.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from coreplex.engines.tabular.findings import Finding
from coreplex.engines.tabular.read import conversion, file_encoding
from coreplex.engines.tabular.read.interface import Limits
from coreplex.engines.tabular.read.intermediate_csv import IntermediateCsv
from coreplex.engines.tabular.read.json_values import Number, Record, Values, written
from coreplex.errors.tree import Invalid, Message

_BLOCK_ROWS = 5_000
_LINES = (".jsonl", ".ndjson")
_CALLED: dict[type, str] = {str: "text", Number: "numbers", bool: "true and false", list: "lists", dict: "objects"}


class JsonTable:
    """A JSON file written as CSV without a line of names; those are in `names`."""

    def __init__(self, source: Path, filename: str, scratch: Path, limits: Limits) -> None:
        self._limits = limits
        found = file_encoding.detect_encoding(source)
        pieces = _letters(found.chunks(source))
        self._values = Values(pieces, limits, lines=filename.lower().endswith(_LINES))
        self._kinds: dict[str, set[type]] = {}
        self._table = IntermediateCsv(scratch / "records.csv", limits)
        self._read()
        if not self._table.rows or not self.names:
            raise Invalid(Message("json_without_rows", "The JSON holds no rows. Upload a list of at least one object."))
        self.path = self._table.finish(keep_empty=True)
        self.findings = [*found.findings, *self._findings()]

    @property
    def names(self) -> list[str]:
        """The keys of all objects, in the order they were first seen."""
        return list(self._kinds)

    @property
    def format(self) -> Literal["json", "jsonl"]:
        """`jsonl` for objects one after the other, else `json`."""
        return "jsonl" if self._values.sequence else "json"

    def _read(self) -> None:
        block: list[Record] = []
        loaded = 0
        for record in self._values.records():
            block.append(_flattened(record))
            if len(block) == _BLOCK_ROWS or self._values.loaded != loaded:
                self._add(block)
                block, loaded = [], self._values.loaded
        self._add(block)

    def _add(self, block: list[Record]) -> None:
        for record in block:
            if not record.keys() <= self._kinds.keys():
                self._kinds |= {key: set() for key in record if key not in self._kinds}
                self._check_width()
        columns = []
        for name, kinds in self._kinds.items():
            values = [record.get(name) for record in block]
            seen = set(map(type, values))
            kinds |= seen
            columns.append(values if seen <= _PLAIN else list(map(_cell, values)))
        self._table.add(list(zip(*columns, strict=True)))

    def _check_width(self) -> None:
        if len(self._kinds) > self._limits.columns:
            last = list(self._kinds)[-1]
            raise Invalid(
                Message(
                    "too_many_keys",
                    "The objects have more than {most} different keys (such as {key!r}), which is the most columns that "
                    "can be used. Keys that are values belong into a column of their own.",
                    most=self._limits.columns,
                    key=last[:80],
                )
            )

    def _findings(self) -> list[Finding]:
        findings = []
        nested = [name for name, kinds in self._kinds.items() if kinds & {list, dict}]
        if nested:
            findings.append(conversion.json_text(nested))
        for name, kinds in self._kinds.items():
            told = [text for kind, text in _CALLED.items() if kind in kinds]
            if len(told) > 1:
                message = f"{name!r} holds {' and '.join(told)}; it was read by what explains them all."
                findings.append(Finding("mixed_types", "low", message, evidence={"kinds": told}, column=name))
        if self._values.repeated_keys:
            count = self._values.repeated_keys
            findings.append(
                Finding("repeated_keys", "medium", f"Keys that stand twice in their object: {count}; the last value was taken.")
            )
        if self._values.not_numbers:
            count = self._values.not_numbers
            findings.append(Finding("not_a_number", "low", f"Values that are NaN, taken as missing: {count}."))
        return findings


_PLAIN = {str, Number, type(None)}


def _letters(pieces: Iterator[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for piece in pieces:
        yield decoder.decode(piece)


def _flattened(record: Record) -> Record:
    if dict not in map(type, record.values()):
        return record
    flat: Record = {}
    for key, value in record.items():
        if type(value) is dict:
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            flat[key] = value
    return flat


def _cell(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return written(value) if isinstance(value, (list, dict)) else value
