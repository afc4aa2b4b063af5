"""Scalars of the contract: time, large whole numbers, and JSON where the shape is the user's own."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import strawberry
from graphql import GraphQLError, ValueNode, value_from_ast_untyped
from strawberry.schema.types.scalar import DEFAULT_SCALAR_REGISTRY
from strawberry.types.scalar import ScalarDefinition

from coreplex.platform.document import JSON, MAX_JSON_DEPTH, JSONObject, Value, too_deep
from coreplex.platform.inputs import Identifier, Long
from schema.compiler.leaf import Quick

__all__ = ["JSON", "SCALARS", "JSONObject", "Long", "Value"]

_dumps = orjson.dumps
SECONDS = orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z


def _time_out(value: datetime) -> str:
    return _dumps(value if value.tzinfo is UTC else value.astimezone(UTC), None, SECONDS)[1:-1].decode()


def _time_in(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise GraphQLError("must be an ISO 8601 time such as 2026-02-10T09:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _long_in(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**53:
        raise GraphQLError("must be a whole number of at most 53 bits")
    return value


def _value_out(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise GraphQLError(f"a {type(value).__name__} is no text, number, true or false")
    return value


def _value_in(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise GraphQLError("must be a text, a number, true or false")
    return value


def _value_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    return _value_in(_json_literal(node, variables))


def _json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    """A literal of a document, read as the same text in a body would be: Python keeps numbers JSON has no place for.

    A variable in it that has no value, as none has while the document is validated, is null.
    """
    value = value_from_ast_untyped(node, variables)
    if too_deep(value):
        raise GraphQLError(f"must not be nested deeper than {MAX_JSON_DEPTH} levels")
    try:
        return orjson.loads(json.dumps(value, default=_nothing))
    except orjson.JSONDecodeError:
        raise GraphQLError("must hold no number beyond what JSON can carry") from None


def _nothing(_undefined: Any) -> None:
    """What `json` has no words for: GraphQL's `Undefined`."""


_json = strawberry.scalar(
    name="JSON",
    description="Any JSON value. Used only where the shape is the user's own: a row of features, a configuration.",
    specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
    serialize=lambda value: value,
    parse_value=lambda value: value,  # every door has looked at the depth of the whole body already
    parse_literal=_json_literal,
)

SCALARS: dict[object, ScalarDefinition] = {
    **DEFAULT_SCALAR_REGISTRY,
    datetime: strawberry.scalar(
        name="DateTime",
        description="A moment in UTC, ISO 8601 with seconds: `2026-02-10T09:00:00Z`.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_time_out,
        parse_value=_time_in,
    ),
    Long: strawberry.scalar(
        name="Long",
        description="A whole number of up to 53 bits, written as a JSON number.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-6",
        serialize=int,
        parse_value=_long_in,
    ),
    JSON: _json,
    Value: strawberry.scalar(
        name="Value",
        description="A single value of a table, as JSON: a text, a number, true or false. Dates and times are ISO 8601 texts.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-3",
        serialize=_value_out,
        parse_value=_value_in,
        parse_literal=_value_literal,
    ),
    JSONObject: _json,
    Identifier: DEFAULT_SCALAR_REGISTRY[strawberry.ID],
}
QUICK: Quick = {
    "DateTime": ({datetime}, _time_out),
    "Long": ({int}, None),
    "JSON": ({dict, list, str, int, float, bool}, None),
    "Value": ({str, int, float, bool}, None),
}
"""What the compiler may do itself with values of exactly these types; the same as the scalars' own."""
