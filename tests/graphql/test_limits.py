"""The guard: each limit at its edge, the price of an operation, and that judging takes work in proportion to the document."""

from contextlib import suppress
from typing import Any

import pytest
from graphql import get_introspection_query
from hypothesis import given, settings
from hypothesis import strategies as st

from coreplex.platform.permissions import Category
from schema.cost import MAX_COST, STATEMENT, TooExpensive, check_cost
from schema.errors import BadDocument, BadRequest
from schema.execution import prepare
from schema.limits import LIMITS, check, read
from tests.graphql.hostile import doubling

S = STATEMENT


def refused(document: str) -> str:
    with pytest.raises(BadRequest) as error:
        check(read(document))
    return error.value.message


def price(document: str, variables: dict[str, Any]) -> int:
    operation = prepare(document)
    return operation.cost(operation.coerce(variables))


def aliases(count: int) -> str:
    return "{ " + " ".join(f"a{n}: __typename" for n in range(count)) + " }"


def nested(depth: int) -> str:
    return "{ a " * (depth - 1) + "{ a }" + " }" * (depth - 1)


@pytest.mark.parametrize(
    ("at", "beyond", "word"),
    [
        (aliases(LIMITS.aliases), aliases(LIMITS.aliases + 1), "aliases"),
        (nested(LIMITS.depth), nested(LIMITS.depth + 1), "depth"),
        ("{ a " + "@x " * LIMITS.directives + "}", "{ a " + "@x " * (LIMITS.directives + 1) + "}", "directives"),
        ("{ " + "a " * 1_990 + "}", doubling(11, "__typename"), "fields"),
        (" ".join(["query q { a }"] * LIMITS.operations), " ".join(["query q { a }"] * 11), "operations"),
        (
            " ".join(f"fragment f{n} on Query {{ a }}" for n in range(LIMITS.fragments)),
            " ".join(f"fragment f{n} on Query {{ a }}" for n in range(LIMITS.fragments + 1)),
            "fragments",
        ),
        (
            "query(" + "$v: Int " * LIMITS.variables + ") { a }",
            "query(" + "$v: Int " * (LIMITS.variables + 1) + ") { a }",
            "variables",
        ),
    ],
    ids=["aliases", "depth", "directives", "fields", "operations", "fragments", "variables"],
)
def test_limits_at_their_edges(at: str, beyond: str, word: str) -> None:
    check(read(at))
    assert word in refused(beyond)


def test_source_tokens_comments_numbers() -> None:
    for document in (" " * 20_001, "{ " + "a " * 2_000 + "}", "# x\n" * 51 + "{ a }", "{ a(b: " + "9" * 301 + ") }"):
        with pytest.raises(BadRequest):
            read(document)


def test_fragments_are_counted_where_they_are_used() -> None:
    spread = "...f " * 11
    assert "aliases" in refused(f"{{ {spread} }} fragment f on Query {{ a: x b: x c: x }}")
    assert "depth" in refused("{ a { a { a { ...f } } } } fragment f on A " + nested(10))


def test_root_fields_are_counted_after_expansion() -> None:
    names = "__typename " * 11
    with pytest.raises(BadRequest, match="20 root fields"):
        prepare(f"{{ {names} ...f }} fragment f on Query {{ {names} }}")


def test_several_operations_need_a_name() -> None:
    document = "query a { __typename } mutation b { __typename }"
    with pytest.raises(BadRequest, match="operationName"):
        prepare(document)
    assert prepare(document, "b").kind.value == "mutation"
    with pytest.raises(BadRequest, match="no operation named"):
        prepare(document, "c")


def test_the_standard_introspection_passes() -> None:
    operation = prepare(get_introspection_query(specified_by_url=True, input_value_deprecation=True))
    assert operation.introspects
    assert operation.cost(operation.coerce({})) == 0
    with pytest.raises(BadRequest, match="aliases"):
        prepare("{ a: __schema { queryType { name } } }")


@pytest.mark.parametrize(
    ("document", "variables", "cost"),
    [
        ("{ __typename }", {}, 0),
        ("{ project(id: 1) { id name } }", {}, S + 1),
        ("{ projects { totalCount } }", {}, 2 * S + 1),
        ("{ projects { nodes { id } } }", {}, S + 51),
        ("{ projects(first: 500) { nodes { id } } }", {}, S + 501),
        ("{ projects(first: 500) { nodes { id } edges { cursor node { id } } pageInfo { hasNextPage } } }", {}, S + 1502),
        ("{ projects(first: 500) { nodes { datasetCount modelCount } } }", {}, S + 501 + 2 * S),
        ("query($n: Int!) { projects(first: $n) { nodes { id } } }", {"n": 7}, S + 8),
        ("query($n: Int! = 9) { projects(first: $n) { nodes { id } } }", {}, S + 10),
        ("query($n: Int! = 9) { projects(first: $n) { nodes { id } } }", {"n": "many"}, 0),
        ("{ projects(first: 99999) { nodes { id } } }", {}, S + 501),
        ("{ projects(first: -5) { nodes { id } } }", {}, S + 1),
        ("{ projects(first: 10) { nodes { members(first: 20) { nodes { id } } } } }", {}, 2 * S + 1 + 10 * (1 + 1 + 20)),
        ("{ projects(first: 10) { ...p } } fragment p on ProjectConnection { nodes { id } }", {}, S + 11),
        (
            "{ a: projects(first: 2) { ...p } b: projects(first: 3) { ...p } } fragment p on ProjectConnection { nodes { id } }",
            {},
            2 * S + 7,
        ),
        ("{ projects(first: 10) { ... { nodes { id } } ... on ProjectConnection { nodes { id } } } }", {}, S + 21),
        ("{ datasetVersion(id: 1) { preview(rows: 500) } }", {}, 2 * S + 1 + 500 * 5),
        ("query($n: Int!) { datasetVersion(id: 1) { preview(rows: $n) } }", {"n": 100.0}, 2 * S + 1 + 100 * 5),
        ("{ deployments(first: 100) { nodes { config } } }", {}, S + 1 + 100 * (1 + 1)),
        ("{ jobs(first: 100) { nodes { result { modelCount } } } }", {}, S + 1 + 100 * (1 + 1)),
        ("{ models(first: 10) { nodes { curves { roc { points { threshold } } } } } }", {}, S + 1 + 10 * (1 + 25 + 1 + 1 + 1)),
        ("{ models(first: 10) { nodes { metrics { name value } } } }", {}, S + 1 + 10 * (1 + 8)),
    ],
)
def test_cost(document: str, variables: dict[str, Any], cost: int) -> None:
    assert price(document, variables) == cost


def test_the_cap() -> None:
    check_cost(MAX_COST)
    with pytest.raises(TooExpensive, match="5000"):
        check_cost(MAX_COST + 1)


def test_errors_keep_their_places() -> None:
    with pytest.raises(BadDocument) as error:
        prepare("{ projects { nothing } }")
    assert error.value.found[0].locations


def test_charges_are_per_root_field_of_a_category() -> None:
    wanted = '{projectId: "p", datasetVersionId: "v", targetColumn: "y", problemType: REGRESSION, name: "n"}'
    train = f"createExperiment(input: {wanted}) {{ __typename }}"
    predict = 'predict(input: {deploymentId: "d", inputs: {}}) { requestId }'
    predict_model = 'predictModel(input: {modelId: "m", inputs: {}}) { requestId }'
    operation = prepare(f"mutation {{ {train} {predict} {predict_model} }}")
    assert operation.charges == {Category.training: 1, Category.predictions: 2}
    assert prepare("{ projects { totalCount } }").charges == {Category.general: 1}


GRAPHS = st.lists(st.lists(st.integers(0, 7), min_size=0, max_size=4), min_size=8, max_size=8)


@settings(max_examples=200, deadline=None)
@given(GRAPHS, st.lists(st.integers(0, 7), min_size=1, max_size=4))
def test_any_graph_of_fragments_is_judged(graph: list[list[int]], used: list[int]) -> None:
    """Cycles, diamonds, fans: refused or measured, never an accident."""
    parts = [
        f"fragment f{n} on Project {{ x{n}: id "
        + " ".join(f"m{t}: members {{ nodes {{ ...f{t} }} }} ...f{t}" for t in targets)
        + " }"
        for n, targets in enumerate(graph)
    ]
    document = "{ projects { nodes { " + " ".join(f"...f{n}" for n in used) + " } } } " + " ".join(parts)
    with suppress(BadRequest):
        assert price(document, {}) >= 0
