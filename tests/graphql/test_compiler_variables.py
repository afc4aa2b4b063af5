"""Variables read by prepared functions are what graphql-core makes of them, whatever a caller sends."""

import random
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    get_variable_values,
    parse,
)

from rest_compat.stored import operations
from schema.compiler.coercion import Variables
from schema.execution import core_schema, from_document

ODD: list[Any] = [
    None,
    True,
    0,
    7,
    2**31,
    2**53 + 1,
    1.5,
    "",
    "text",
    "2026-01-01T00:00:00Z",
    [],
    [None],
    {},
    {"a": [1]},
    [["x"]],
    "asc",
]
USUAL: dict[str, list[Any]] = {
    "String": ["text", ""],
    "ID": ["01a2"],
    "Int": [3],
    "Long": [2**40],
    "Float": [0.5, 2],
    "Boolean": [True],
    "DateTime": ["2026-01-01T00:00:00Z"],
}
ROUNDS = 60


def value(kind: Any, chance: random.Random, odd: float, depth: int = 4) -> Any:
    """Something for an input type: of it, or with the chance of `odd` anything. Filters hold filters, down to `depth`."""
    if chance.random() < odd:
        return chance.choice(ODD)
    if isinstance(kind, GraphQLNonNull):
        return value(kind.of_type, chance, odd, depth)
    if isinstance(kind, GraphQLList):
        return [value(kind.of_type, chance, odd, depth) for _ in range(chance.randrange(3))]
    if isinstance(kind, GraphQLEnumType):
        return chance.choice(list(kind.values))
    if not isinstance(kind, GraphQLInputObjectType):
        return chance.choice(USUAL.get(kind.name, ODD[1:]))
    found = {}
    for name, field in kind.fields.items():
        if isinstance(field.type, GraphQLNonNull) or (depth and chance.random() < 0.7):
            found[name] = value(field.type, chance, odd, depth - 1)
    return found | ({"unknown": 1} if chance.random() < odd else {})


def read(prepared: Variables, given: dict[str, Any]) -> Any:
    """What the prepared reader makes of them; None when it leaves them to graphql-core."""
    try:
        return prepared.coerce(given)
    except Exception:
        return None


@pytest.mark.parametrize("name", [name for name, one in operations().items() if one.definition.variable_definitions])
def test_variables_of_stored_operations(name: str) -> None:
    nodes = operations()[name].definition.variable_definitions or ()
    prepared, chance = Variables(core_schema, nodes), random.Random(name)
    taken = 0
    for number in range(ROUNDS):
        odd = 0.0 if number % 2 else 0.15
        given = {s.name: value(s.type, chance, odd) for s, _ in prepared.known if odd == 0 or chance.random() < 0.9}
        general = get_variable_values(core_schema, nodes, given, 50)
        quick = read(prepared, given)
        if isinstance(general, list):
            assert quick is None, given
        elif quick is not None:
            taken += 1
            assert repr(quick.coerced) == repr(general.coerced)
            assert {key: one.value for key, one in quick.sources.items()} == {
                key: one.value for key, one in general.sources.items()
            }
    assert taken >= ROUNDS / 4


def test_defaults_of_an_operation() -> None:
    document = parse("query($n: Int = 3, $s: String) { projects(first: $n, search: $s) { totalCount } }")
    nodes = from_document(document).definition.variable_definitions or ()
    prepared = Variables(core_schema, nodes)
    for given in ({}, {"n": 5}, {"n": None}, {"s": None}, {"s": "x", "n": 1}):
        assert read(prepared, given) == get_variable_values(core_schema, nodes, given)


def test_a_default_that_somebody_could_change_is_made_anew_each_time() -> None:
    document = parse('query($f: DatasetFilter = { projectId: "x" }) { datasets(filter: $f) { totalCount } }')
    prepared = Variables(core_schema, from_document(document).definition.variable_definitions or ())
    assert read(prepared, {}) is None
