"""Reads one value that did not come in a file: a cell of a JSON row sent to a deployed model.

The same rules as for files (decimal comma, thousands, currency, missing words, yes and no, dates), one value at a time
and fast. Programs send typed JSON as well, so numbers and booleans are taken as they are.
"""

import datetime as dt
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from coreplex.engines.tabular.schema import Column, Scalar
from coreplex.engines.tabular.types import dates, numbers, vocabulary
from coreplex.engines.tabular.types.numbers import NumberFormat

Parser = Callable[[Any], Scalar | None]


def parse_value(column: Column, raw: Any) -> Scalar | None:
    """The typed value of one cell, or None where it is missing or does not fit. Never raises."""
    return parser(column.dtype, column.format, column.missing)(raw)


@lru_cache(maxsize=4096)
def parser(dtype: str, written: str | None, missing: tuple[str, ...] | None = None) -> Parser:
    """The function behind `parse_value`, for callers that read many values of one column; `dtype`, `written` and
    `missing` are its `dtype`, `format` and `missing`.
    """
    if dtype.startswith(("int", "uint")):
        parse: Parser = _integer_parser(NumberFormat.of(written))
    elif dtype.startswith("float"):
        parse = _float_parser(NumberFormat.of(written))
    elif dtype == "bool":
        parse = _boolean
    elif dtype in ("date", "datetime"):
        parse = _moment_parser(dtype == "date", written)
    else:
        return _text_parser(vocabulary.missing_texts("string", missing))
    return _except(parse, frozenset(sentinel_values(dtype, written, missing))) if missing else parse


def sentinel_values(dtype: str, written: str | None, missing: tuple[str, ...]) -> list[Scalar]:
    """The typed values of a column that its `missing` texts stand for; those that are only words stand for none."""
    values = map(parser(dtype, written), missing)
    return list(dict.fromkeys(value for value in values if value is not None))


def _except(parse: Parser, sentinel_values: frozenset[Scalar]) -> Parser:
    def without(raw: Any) -> Scalar | None:
        value = parse(raw)
        return None if value in sentinel_values else value

    return without


@lru_cache(maxsize=4096)
def means_missing(dtype: str, written: str | None, missing: tuple[str, ...] | None) -> Callable[[Any], bool]:
    """Tells a value that says "missing" in such a column from one that could not be read."""
    kind = {"string": "string", "bool": "boolean"}.get(dtype, "value")
    meaning = vocabulary.missing_texts(kind, missing)
    read, bare = parser(dtype, written, missing), parser(dtype, written)

    def says(raw: Any) -> bool:
        if raw is None or (isinstance(raw, float) and raw != raw):
            return True
        if isinstance(raw, str) and raw.strip() in meaning:
            return True
        return bool(missing) and read(raw) is None and bare(raw) is not None

    return says


def _integer_parser(written: NumberFormat) -> Parser:
    written = written.beside_numbers

    def parse(raw: Any) -> int | None:
        if type(raw) is int:
            return raw
        if isinstance(raw, float):
            return int(raw) if raw.is_integer() else None
        if isinstance(raw, str):
            text = raw.strip()
            found = numbers.integer(text, written)
            # Programs write `12.0` for 12 and leave thousands out, whatever the file did.
            return found if found is not None else numbers.whole(numbers.real(text, NumberFormat()))
        return int(raw) if isinstance(raw, bool) else None

    return parse


def _float_parser(written: NumberFormat) -> Parser:
    plain, written = NumberFormat(), written.beside_numbers

    def parse(raw: Any) -> float | None:
        if type(raw) is float:
            return None if raw != raw else raw
        if isinstance(raw, int):
            return _float_of(raw)
        if not isinstance(raw, str):
            return None
        text = raw.strip()
        found = numbers.real(text, written)
        return found if found is not None else numbers.real(text, plain)

    return parse


def _float_of(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _boolean(raw: Any) -> bool | None:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, (int, float)):
        return bool(raw) if raw in (0, 1) else None
    if not isinstance(raw, str):
        return None
    word = raw.strip().lower()
    if word in vocabulary.YES or word == "1":
        return True
    return False if word in vocabulary.NO or word == "0" else None


def _moment_parser(date_only: bool, pattern: str | None) -> Parser:
    digits = pattern in dates.DIGITS

    @lru_cache(maxsize=1024)
    def read(text: str) -> dt.date | None:
        if pattern and (found := dates.value(text, pattern)) is not None:
            return found
        return dates.iso(text, date_only)

    def parse(raw: Any) -> dt.date | None:
        if digits and type(raw) in (int, float):
            # A column of a program holds whole numbers as floats where one of them is missing.
            return read(str(int(raw) if type(raw) is float and raw.is_integer() else raw))
        if isinstance(raw, str) and len(raw) <= 64:
            return read(raw.strip())
        if isinstance(raw, dt.datetime):
            return raw.date() if date_only else raw
        return raw if isinstance(raw, dt.date) else None

    return parse


def _text_parser(meaning: frozenset[str]) -> Parser:
    def parse(raw: Any) -> str | None:
        if isinstance(raw, str):
            return None if raw.strip() in meaning else raw
        if raw is None or isinstance(raw, (dict, list)):
            return None
        if isinstance(raw, bool):
            return "true" if raw else "false"
        if isinstance(raw, float) and math.isnan(raw):
            return None
        return None if str(raw) in meaning else str(raw)

    return parse
