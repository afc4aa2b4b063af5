"""Descriptions as the public contract spells things: its enumerations are in upper case, and each page says what it is of.

Inputs are described where the domain declares them, in the domain's words, which are REST's.
"""

import re
from collections.abc import Iterator
from typing import Any

from graphql import GraphQLEnumType, GraphQLSchema, get_named_type

from schema.enums import plural_of

CONNECTION = "Connection"


def in_public_words(schema: GraphQLSchema) -> None:
    """Spell the values of enumerations as they are, wherever a description of something of the type names one."""
    for described, kind in _of_enumerations(schema):
        words = "|".join(name.lower() for name in kind.values)
        described.description = re.sub(rf"`({words})`", lambda found: found[0].upper(), described.description or "")


def _of_enumerations(schema: GraphQLSchema) -> Iterator[tuple[Any, GraphQLEnumType]]:
    """Everything described that is an enumeration, or of one."""
    for kind in schema.type_map.values():
        if isinstance(kind, GraphQLEnumType):
            yield from ((one, kind) for one in (kind, *kind.values.values()))
        for field in getattr(kind, "fields", {}).values():
            for one in (field, *getattr(field, "args", {}).values()):
                if isinstance(named := get_named_type(one.type), GraphQLEnumType):
                    yield one, named


def name_pages(schema: GraphQLSchema) -> None:
    """Say of each page what it is a page of."""
    for name, kind in schema.type_map.items():
        if name.endswith(CONNECTION):
            kind.description = f"A page of a list of {plural_of(name.removesuffix(CONNECTION))}."
