"""@skip and @include: what is kept of a document is kept for each combination of what they are told, up to a bound."""

from typing import Any

import pytest
from graphql import GraphQLError, OperationDefinitionNode, execute, parse, validate
from graphql.execution.values import VariableValues

from schema.compiler.operation import MAX_OTHERS, MAX_SELECTIONS, Compiled, _other, selections_of
from schema.compiler.size import Uncounted
from tests.graphql.compiled_rows import Context, Row, answered_alike, core, planner

TEXT = """query($a: Boolean!, $b: Boolean = true) { items @skip(if: $a) { text ...More @include(if: $b) }
    all { id maybe @include(if: $a) @skip(if: $b) number @skip(if: false) ratio @include(if: false) } }
    fragment More on Item { flag @skip(if: $b) small @include(if: $a) { entry } ... on Item @include(if: $b) { words } }"""


@pytest.mark.parametrize("variables", [{"a": a, **b} for a in (True, False) for b in ({}, {"b": True}, {"b": False})])
def test_each_combination_selects_its_own(variables: dict[str, bool]) -> None:
    data, errors = answered_alike(TEXT, [Row(), Row("c")], variables)
    assert errors == []
    assert ("items" in data) is not variables["a"]
    assert list(data["all"][0]) == ["id", *(["maybe"] if variables["a"] and not variables.get("b", True) else []), "number"]


def compiled(text: str) -> Compiled:
    document = parse(text)
    assert validate(core, document) == []
    (definition, *_) = document.definitions
    assert isinstance(definition, OperationDefinitionNode)
    return Compiled(planner, document, definition)


async def both_ways(operation: Compiled, text: str, **variables: Any) -> tuple[Any, list[tuple[str, Any, Any]]]:
    """Data and errors, after holding them against graphql-core's."""
    values = operation.coerce(variables)
    assert not isinstance(values, list)
    found = await operation.run(values, Context([Row()]), Uncounted())
    general: Any = execute(core, parse(text), context_value=Context([Row()]), variable_values=variables)
    general = await general if hasattr(general, "__await__") else general
    assert (found.data, told(found.errors)) == (general.data, told(general.errors))
    return found.data, told(found.errors)


def told(errors: list[GraphQLError] | None) -> list[tuple[str, Any, Any]]:
    return [(error.message, error.path, error.locations) for error in errors or ()]


async def test_one_document_answers_each_caller_by_his_own_variables() -> None:
    operation = compiled(TEXT)
    for a, b in [(True, True), (False, True), (True, False), (False, False)] * 2:
        data, _ = await both_ways(operation, TEXT, a=a, b=b)
        assert ("maybe" in data["all"][0]) is (a and not b)
    assert operation.selections is not None
    assert len(operation.selections.others) == 3
    for a, b in [(True, True), (False, True), (True, False), (False, False)]:
        values = operation.coerce({"a": a, "b": b})
        assert isinstance(values, VariableValues)
        kept = operation.selections.kept(values)
        assert kept is not None
        assert kept.plans


async def test_more_combinations_than_are_kept_are_answered_all_the_same() -> None:
    names = [f"v{number}" for number in range(8)]
    fields = ("text", "maybe", "number", "ratio", "flag", "words", "id", "colour")
    selected = " ".join(f"{field} @include(if: ${name})" for field, name in zip(fields, names, strict=True))
    text = f"query({', '.join(f'${name}: Boolean!' for name in names)}) {{ all {{ {selected} }} }}"
    operation = compiled(text)
    for number in range(2 ** len(names)):
        told = {name: bool(number >> place & 1) for place, name in enumerate(names)}
        data, _ = await both_ways(operation, text, **told)
        assert list(data["all"][0]) == [field for field, name in zip(fields, names, strict=True) if told[name]]
    assert operation.selections is not None
    assert len(operation.selections.others) == MAX_SELECTIONS - 1
    values = operation.coerce(dict.fromkeys(names, True))
    assert isinstance(values, VariableValues)
    assert operation.selections.kept(values) is None, "the last of all"


async def test_all_documents_together_keep_so_many_combinations_besides_their_first() -> None:
    for number in range(MAX_OTHERS // 2):
        text = f"query($a: Boolean!, $b: Boolean!) {{ all {{ x{number}: text @skip(if: $a) number @skip(if: $b) }} }}"
        operation = compiled(text)
        for a in (True, False):
            for b in (True, False):
                await both_ways(operation, text, a=a, b=b)
    assert _other.cache_info().currsize == MAX_OTHERS


@pytest.mark.parametrize("place", ["all { text @skip(if: $a) }", "all @skip(if: $a) { text }", "all { ...F } first { text }"])
async def test_a_switch_that_is_null_is_an_error_as_graphql_core_says_it(place: str) -> None:
    text = f"query($a: Boolean = true) {{ {place} }}" + (
        " fragment F on Item { small { entry @include(if: $a) } }" if "...F" in place else ""
    )
    operation = compiled(text)
    for value in (None, True, None):
        _, errors = await both_ways(operation, text, a=value)
        assert bool(errors) is (value is None)


def test_directives_only_graphql_core_understands_are_left_to_it() -> None:
    assert selections_of(parse("{ all { text @later } }")) is None
