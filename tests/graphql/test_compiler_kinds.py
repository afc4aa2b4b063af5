"""Interfaces and unions: compiled and by graphql-core alone the same, whatever a row is."""

import asyncio
import gc
import random
import weakref
from collections import Counter
from itertools import chain
from typing import Any

import pytest
import strawberry
from graphql import parse

from schema.compiler.executor import CompilingExecutor
from schema.shown import shows, tell_types
from tests.graphql.compiled_kinds import CatRow, DogRow, fish, kinds_planner, operation, row, stone
from tests.graphql.compiled_rows import Context, answered_alike, executed, kept_for

OPERATIONS = 120


def alike(text: str, rows: Any, **variables: Any) -> tuple[Any, list[str]]:
    return answered_alike(text, rows, variables, kinds_planner)


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a part of an answer was left to graphql-core."""
    count, plain = Counter[str](), CompilingExecutor._general

    def counted(self: CompilingExecutor) -> CompilingExecutor:
        count["parts"] += 1
        return plain(self)

    monkeypatch.setattr(CompilingExecutor, "_general", counted)
    return count


@pytest.mark.parametrize("odd", [0.0, 0.05, 0.3])
def test_any_operation_on_any_rows(odd: float, general: Counter[str]) -> None:
    chance, failed, whole = random.Random(f"kinds {odd}"), 0, 0
    for _ in range(OPERATIONS):
        text, before = operation(chance), general["parts"]
        rows = [row(chance, 2, odd) for _ in range(chance.randrange(1, 4))]
        variables = {"b": chance.random() < 0.5} | ({"a": chance.random() < 0.5} if chance.random() < 0.5 else {})
        _, errors = alike(text, rows, **variables)
        failed += bool(errors)
        whole += not errors and general["parts"] == before
    assert whole >= OPERATIONS / 5, "what is usual is compiled"
    assert failed >= OPERATIONS / 10, "a stone has no name that an interface asks for"


PETS = """{ pets { __typename ... on Named { name } ...Two ... on Cat { x: lives pet { ...Two } } ... on Dog { x: barks } } }
    fragment Two on Pet { ... on Keeper { friends { name number ... on Fish { y: name } ... on Cat { y: lives } } }
        ... on Fish { number } ... on Thing { ... on Stone { weight } } }"""


def test_rows_of_several_types_are_built_together_in_their_order(general: Counter[str]) -> None:
    text = PETS.replace("... on Cat { y: lives } ", "")
    friends = [fish(name="f", number=1), CatRow("c")]
    rows = [DogRow("a", friends=friends), None, fish(number=4), CatRow("b", 9, pet=fish()), DogRow("d", None)]
    data, errors = alike(text, rows)
    assert (errors, general["parts"]) == ([], 0)
    assert data["pets"] == [
        {
            "__typename": "Dog",
            "name": "a",
            "friends": [{"name": "f", "number": 1, "y": "f"}, {"name": "c", "number": 1}],
            "x": 1,
        },
        None,
        {"__typename": "Fish", "name": "fish", "number": 4},
        {"__typename": "Cat", "name": "b", "friends": [], "x": 9, "pet": {"number": 3}},
        {"__typename": "Dog", "name": "d", "friends": [], "x": None},
    ]


def test_fields_under_one_name_are_merged_for_each_type_by_itself() -> None:
    text = """{ named { friend { name } ... on Cat { friend { number } } ... on Keeper { friend { ... on Cat { lives } } }
        ... on Fish { friend { __typename } } } }"""
    friend = CatRow("x", 5)
    data, errors = alike(text, [CatRow(friend=friend), DogRow(friend=friend), fish(friend=friend)])
    assert errors == []
    assert [list(one["friend"]) for one in data["named"]] == [
        ["name", "number", "lives"],
        ["name", "lives"],
        ["name", "__typename"],
    ]


def test_a_row_of_no_known_type_is_an_error_in_its_place() -> None:
    for strange in (object(), 3, {}, {"kind": "cloud"}, {"kind": []}, stone()):
        data, errors = alike("{ pets { ... on Named { name } } }", [CatRow("a"), strange, CatRow("b")])
        assert data["pets"] == [{"name": "a"}, None, {"name": "b"}]
        assert len(errors) == 1
        data, _ = alike("{ named { name } }", [CatRow("a"), strange])
        assert data is None


def test_what_all_types_of_a_list_wait_for_is_fetched_together(general: Counter[str]) -> None:
    text = "{ pets { ... on Cat { loaded { ... on Named { name } } must { name } friends { ... on Cat { must { name } } } } } }"
    rows = [CatRow("x", friends=[CatRow("y"), fish()]), DogRow("d"), ValueError("gone"), CatRow("z")]
    document, context = parse(text), Context(rows)
    kept = kept_for(document, {}, kinds_planner)
    result = asyncio.run(executed(document, context, kept, {}, kinds_planner))
    assert [error.message for error in result.errors or ()] == ["gone"]
    assert [error.path for error in result.errors or ()] == [["pets", 2]]
    assert sorted(chain.from_iterable(context.asked)) == ["x", "y", "z"]
    assert (len(context.asked), general["parts"]) == (1, 0)
    alike(text, rows)


def test_what_is_kept_holds_nothing_of_a_request() -> None:
    document = parse(PETS)
    kept = kept_for(document, {}, kinds_planner)
    context = Context([CatRow(pet=fish()), DogRow(), fish()])
    asyncio.run(executed(document, context, kept, {}, kinds_planner))
    gone = weakref.ref(context)
    assert kept.plans
    del context
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (shows(CatRow), shows(CatRow)),
        (shows(CatRow, "n", 1), shows(CatRow, "n", 1)),
        (shows(CatRow, "n", 1), shows(CatRow, "m", 2)),
    ],
)
def test_no_two_types_of_a_union_show_the_same_rows(first: Any, second: Any) -> None:
    @first
    @strawberry.type
    class One:
        name: str

    @second
    @strawberry.type
    class Other:
        name: str

    @strawberry.type
    class Query:
        @strawberry.field
        def one(self) -> One | Other | None:
            return None

    with pytest.raises(TypeError, match="shows rows of"):
        tell_types(strawberry.Schema(Query)._schema)
