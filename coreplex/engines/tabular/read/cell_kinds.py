"""Tells what a cell of text looks like, before its column has a type."""

import re

from coreplex.engines.tabular.types import date_inference, vocabulary

NUMBER = re.compile(r"[(+-]?\s*[$€£¥]?\s*[+-]?\d[\d.,' ]*([eE][+-]?\d+)?\s*[%€$£)]?|[+-]?(inf|nan)", re.IGNORECASE)


def kind_of(cell: str) -> str:
    """What a cell looks like: `empty`, `number`, `date` (also true and false) or `text`."""
    cell = cell.strip()
    if cell in vocabulary.MISSING:
        return "empty"
    if NUMBER.fullmatch(cell):
        return "number"
    if date_inference.looks_like_date(cell) or cell.lower() in ("true", "false"):
        return "date"
    return "text"
