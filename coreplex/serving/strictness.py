"""`strict`: what is a warning otherwise is refused, by row and column."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from coreplex.engines.encoding.rows import shown
from coreplex.errors.nearest import hint
from coreplex.errors.tree import FieldError, Invalid, Message

Warnings = Iterable[Mapping[str, Any]]
Rows = Sequence[Mapping[str, Any]]
_MOST_NAMED = 20

ODD: Mapping[str, Callable[[str], Message]] = {
    "missing_column": lambda _: Message("strict_missing_column", "is not in the row"),
    "missing_value": lambda _: Message("strict_missing_value", "is missing, and training always saw a value"),
    "extra_column": lambda _: Message("strict_extra_column", "is no column that the model knows."),
    "matched_column": lambda _: Message("strict_matched_column", "is spelled otherwise in the row"),
    "unreadable_value": lambda value: Message("strict_unreadable_value", "cannot be read: {value}", value=value),
    "unseen_category": lambda value: Message("strict_unseen_category", "training never saw the category {value}", value=value),
    "out_of_range": lambda value: Message("strict_out_of_range", "{value} lies outside the range that training saw", value=value),
}
"""By kind of warning what is said in its place: the warning says how the value is taken, and here it is not."""


def refuse_odd(warnings: Warnings, rows: Rows, names: Sequence[str], *, single: bool) -> None:
    """Raise Invalid for the first warnings, at the rows and columns they are about. A warning about every row is about the first.

    `names`: the columns the model looks at. `single`: one row was sent, not a list of one.
    """
    found = [_refusal(one, rows, names, single) for one in islice(warnings, _MOST_NAMED) if one["kind"] in ODD]
    if found:
        raise Invalid.fields(found)


def _refusal(warning: Mapping[str, Any], rows: Rows, names: Sequence[str], single: bool) -> FieldError:
    place, column = warning.get("row", 0), warning["column"]
    said = ODD[warning["kind"]](shown(rows[place].get(column)))
    if warning["kind"] == "extra_column":
        said = said.then(hint(column, names))
    return FieldError(("inputs", column) if single else ("inputs", place, column), said)
