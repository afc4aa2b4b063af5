"""Inputs that many concepts take, and types of text fields that many have."""

from collections.abc import Callable
from typing import Annotated, Any, NewType

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from coreplex.errors.tree import Message, WrongValue
from coreplex.platform.document import JSONObject


def null_as(default: Callable[[], Any]) -> BeforeValidator:
    """Of what may be left out null says the same."""
    return BeforeValidator(lambda value: default() if value is None else value)


def storable(text: str) -> str:
    """A text the database can hold."""
    if "\0" in text:
        raise WrongValue(Message("nul_character", "must not contain the NUL character"))
    return text


NO_NUL = Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})
SOMETHING_WITHOUT_NUL = Field(json_schema_extra={"pattern": r"^(?=[\s\S]*\S)[^\u0000]*$"})
"""What `storable` enforces, as OpenAPI says it."""

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(storable), SOMETHING_WITHOUT_NUL
]
Description = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(storable), NO_NUL]


Identifier = NewType("Identifier", str)
"""An identifier in an input: a plain text, which the contract shows as what it is."""
Long = NewType("Long", int)
"""A whole number beyond 32 bits; the contract has a scalar for it."""


def no_options() -> JSONObject:
    return JSONObject({})


OptionalObject = Annotated[JSONObject, null_as(no_options)]
"""Options of which none need be given."""


Force = Annotated[
    bool, Field(description="Delete it though it is in use, which is a conflict else: training is cancelled, deployments end.")
]
"""Said of what deletes things that may be in use."""
