"""Inputs of the contract as models of the domain: what Pydantic refuses is Invalid, with its rule and its place."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError
from strawberry.pydantic.conversion import _get_location, _to_python_data
from strawberry.types.arguments import InputContext

from coreplex.errors.rules import wrong_values
from coreplex.errors.tree import Invalid


def read_input(model: type[BaseModel], value: Mapping[str, Any], context: InputContext) -> BaseModel:
    """The model of an input as it was sent. Raises Invalid; the argument's own name is left out of the places.

    Strawberry's own reader says of a broken rule neither its word nor its parameters.
    """
    data = _to_python_data(model, value, context, ())
    try:
        return model.model_validate(data, by_alias=False, by_name=True)
    except ValidationError as refused:
        wrong = [replace(one, loc=_place(model, one.loc, context)) for one in wrong_values(refused)]
    raise Invalid.fields(wrong)


def _place(model: type[BaseModel], loc: tuple[str | int, ...], context: InputContext) -> tuple[str | int, ...]:
    """The place by the names the caller used; in a list by a number, which Strawberry makes a text."""
    located = _get_location(model, loc, context)[1:]
    return tuple(part if isinstance(part, int) else name for part, name in zip(loc, located, strict=False))
