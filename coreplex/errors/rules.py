"""Pydantic's wrong values as ours: its rules have machine words and parameters already, ours raise WrongValue."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from coreplex.errors.tree import FieldError, Message, WrongValue


def wrong_values(error: ValidationError, prefix: Sequence[str | int] = ()) -> list[FieldError]:
    """Each wrong value, its place behind `prefix`."""
    found = error.errors(include_url=False, include_input=False)
    return [FieldError((*prefix, *item["loc"]), _message(item), item["type"]) for item in found]


def _message(item: Mapping[str, Any]) -> Message:
    context = item.get("ctx", {})
    raised = context.get("error")
    if isinstance(raised, WrongValue):
        return raised.message
    parameters = {name: value for name, value in context.items() if isinstance(value, str | int | float | None)}
    return Message.worded(item["type"], item["msg"].removeprefix("Value error, "), parameters)
