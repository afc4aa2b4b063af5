"""Enumerations of the contract, each value described."""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry
from strawberry.types.enum import has_enum_definition


def enum(kind: type[Enum], description: str, values: Mapping[str, str], name: str | None = None) -> Any:
    """Publish an enumeration; `values` says of each member what it means. Raises TypeError where one is missing or unknown."""
    if values.keys() != set(kind.__members__):
        raise TypeError(
            f"{kind.__name__}: {sorted(values.keys() ^ set(kind.__members__))} described, or not, against its members"
        )
    made: Any = strawberry.enum(kind, name=name, description=description)
    assert has_enum_definition(made)
    for value in made.__strawberry_definition__.values:
        value.description = values[value.name]
    return made


def plural_of(noun: str) -> str:
    """What several of a type are called in a sentence: `DatasetVersion` → dataset versions."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", noun).lower().replace("api", "API")
    return f"{words[:-1]}ies" if words.endswith("y") and not words.endswith("ey") else f"{words}s"
