"""The limits an input enforces, as keywords of JSON Schema, read from the Pydantic model behind the GraphQL input.

GraphQL's own types know none, so a description made from them alone would promise what is refused.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from graphql import GraphQLInputObjectType
from pydantic import BaseModel

from rest_compat.stored import snake

KEYWORDS = (
    *("minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "enum", "const", "description"),
)


def of_field(kind: Any, name: str) -> dict[str, Any]:
    """The limits of one field of an input type; none where the type has no model."""
    definition = kind.extensions.get("strawberry-definition") if isinstance(kind, GraphQLInputObjectType) else None
    model = getattr(definition, "origin", None)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {}
    whole = _schema(model)
    defs = whole.get("$defs", {})
    if "$ref" in whole:  # a model that holds others of itself
        whole = defs[whole["$ref"].rpartition("/")[2]]
    found = _limits(whole["properties"].get(snake(name), {}), defs)
    return {key: value for key, value in found.items() if key != "description"}


def limited(schema: Mapping[str, Any], limits: Mapping[str, Any]) -> dict[str, Any]:
    """A schema and the limits of what it describes. Where both say something the schema stays; of an enum what both have."""
    merged = {**limits, **schema}
    if merged.get("const", 0) is None:
        return {"type": "null"} | ({"description": merged["description"]} if "description" in merged else {})
    if "enum" in schema and "enum" in limits:
        merged["enum"] = [word for word in schema["enum"] if word in limits["enum"]]
    if "items" in schema and "items" in limits:
        merged["items"] = limited(schema["items"], limits["items"])
    return merged


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _limits(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    found = {key: schema[key] for key in KEYWORDS if key in schema}
    if "$ref" in schema:
        return {**_limits(defs[schema["$ref"].rpartition("/")[2]], defs), **found}
    # What may be null may as well be left out, which is how REST says it.
    kinds = [one for key in ("anyOf", "oneOf") for one in schema.get(key, ()) if one.get("type") != "null"]
    if len(kinds) == 1:
        found = {**_limits(kinds[0], defs), **found}
    elif kinds:
        found["anyOf"] = [_limits(one, defs) for one in kinds]
    if "type" in schema:
        found["type"] = schema["type"]
    if schema.get("additionalProperties") is True:
        found["additionalProperties"] = True
    if "items" in schema:
        found["items"] = _limits(schema["items"], defs)
    if "properties" in schema:
        found["properties"] = {name: _limits(one, defs) for name, one in schema["properties"].items()}
    return found
