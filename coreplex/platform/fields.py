"""Types of the text fields that inputs of many concepts have."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain the NUL character")
    return text


NO_NUL = Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})
SOMETHING_WITHOUT_NUL = Field(json_schema_extra={"pattern": r"^(?=[\s\S]*\S)[^\u0000]*$"})
"""What `_storable` enforces, as OpenAPI says it."""

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_storable), SOMETHING_WITHOUT_NUL
]
Description = Annotated[str, StringConstraints(max_length=10_000), AfterValidator(_storable), NO_NUL]
