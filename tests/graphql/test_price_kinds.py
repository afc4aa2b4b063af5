"""The price of what an interface or a union is asked: of the dearest type, in time linear in the document."""

import time
from typing import Any

import pytest
from graphql import FragmentDefinitionNode, OperationDefinitionNode, get_variable_values, parse, validate
from graphql.execution.values import VariableValues

from coreplex.platform.page import DEFAULT_PAGE
from schema.cost import MUCH, STATEMENT, Meter, prices_of
from schema.limits import check
from tests.graphql.compiled_kinds import kinds_schema

PRICES = prices_of(kinds_schema)


def price(text: str, **variables: Any) -> int:
    document = parse(text)
    assert validate(kinds_schema, document) == []
    return metered(document, variables)


def metered(document: Any, variables: dict[str, Any]) -> int:
    (operation,) = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    values = get_variable_values(kinds_schema, operation.variable_definitions or (), variables)
    assert isinstance(values, VariableValues)
    return Meter(kinds_schema, PRICES, fragments, operation, values).cost


@pytest.mark.parametrize(
    ("selection", "objects"),
    [
        ("name", 0),
        ("friend { name }", 1),
        ("... on Cat { friend { name } } ... on Dog { friend { name } }", 1),
        ("... on Cat { friend { name } } ... on Dog { x: friend { name } y: friend { name } }", 2),
        ("friend { name } ... on Cat { x: friend { name } } ... on Dog { x: friend { name } }", 2),
        ("... on Keeper { x: friend { name } } ... on Cat { y: friend { name } } ... on Fish { z: friend { name } }", 2),
        ("... on Pet { ... on Keeper { x: friend { name } ... on Cat { y: friend { name } } } }", 2),
        ("... on Thing { ... on Named { x: friend { name } } } ... on Pet { ... on Dog { y: friend { name } } }", 1),
        ("...F ... on Cat { ...F }", 2),
        ("... { friend { name } }", 1),
    ],
)
def test_an_object_costs_what_its_dearest_type_costs(selection: str, objects: int) -> None:
    fragment = " fragment F on Named { friend { name } }" if "...F" in selection else ""
    assert price(f"{{ one {{ {selection} }} }}{fragment}") == 1 + objects
    assert price(f"{{ named {{ {selection} }} }}{fragment}") == DEFAULT_PAGE * (1 + objects)


def test_statements_are_those_of_every_type() -> None:
    assert price("{ named { ... on Cat { loaded { __typename } } } }") == 2 * DEFAULT_PAGE + STATEMENT
    both = "{ named { ... on Cat { loaded { __typename } must { ... on Cat { must { name } } } } } }"
    assert price(both) == 4 * DEFAULT_PAGE + 3 * STATEMENT


def test_a_field_of_an_interface_costs_what_it_costs_on_the_dearest_type() -> None:
    assert PRICES["Named"].keys() == {"name", "number", "friend", "friends"}
    assert price("{ named { friends { friends { name } } } }") == DEFAULT_PAGE * (1 + DEFAULT_PAGE * (1 + DEFAULT_PAGE))


def test_hostile_documents_are_priced_in_time_and_refused() -> None:
    kinds = ("Named", "Keeper", "Cat", "Dog", "Fish", "Pet", "Thing", "Made")
    deep = "friends { name }"
    for _ in range(9):
        deep = f"friends {{ {deep} }}"
    wide = "friends { ...F0 }"
    spreads = " ".join(
        f"fragment F{number} on Named {{ {' '.join(f'... on {kind} {{ ...F{number + 1} }}' for kind in kinds)} }}"
        for number in range(20)
    )
    wide = f"{{ named {{ {wide} }} }} {spreads} fragment F20 on Named {{ friends {{ name }} }}"
    for text in (f"{{ named {{ {deep} }} }}", wide):
        begun = time.process_time()
        assert metered(parse(text), {}) == MUCH
        assert time.process_time() - begun < 0.5
    check_refuses = parse(wide)
    with pytest.raises(Exception, match="at most"):
        check(check_refuses)
