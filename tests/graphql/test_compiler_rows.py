"""Whatever a row holds, a compiled operation gives what graphql-core's own executor gives: results, nulls and errors."""

import asyncio
import gc
import warnings
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

import pytest
from graphql import ExecutionResult, build_schema, execute, parse
from hypothesis import given
from hypothesis import strategies as st

from schema.compiler.executor import CompilingExecutor
from schema.compiler.kept import Kept
from tests.graphql.compiled_rows import Colour, Context, Row, answered_alike, core, planner


class Failing:
    """An attribute that cannot be read."""

    @property
    def text(self) -> str:
        raise RuntimeError("broken")


LEAVES = "__typename id again: text text maybe number ratio flag colour moment words named many"
INNER = (
    f"small {{ entry }} smalls {{ other: entry __typename }} child {{ {LEAVES} loaded }} "
    "children { id smalls { entry } must }"
)
OTHERS = "loaded slow loose { entry } waits"
STRICT = "must strict insists"

VALUES = [
    None,
    "a",
    "b",
    "nothing",
    "broken",
    1,
    2**31,
    0.5,
    float("nan"),
    float("inf"),
    True,
    Colour.red,
    "red",
    b"x",
    [],
    {},
    object,
]

ODD = st.one_of(
    st.text(max_size=3),
    st.integers(),
    st.floats(),
    st.sampled_from([*VALUES, ValueError("as a value"), datetime(2026, 1, 1, tzinfo=UTC)]),
)

SMALLS = st.one_of(st.lists(st.sampled_from([{"text": "s"}, {}, None, 3, ValueError("an item")]), max_size=3), ODD)

CHILD = st.one_of(st.none(), st.builds(Row, text=ODD), ODD)

CHILDREN = st.one_of(st.none(), st.lists(CHILD, max_size=3), ODD)

SMALL = st.one_of(st.just({"text": "s"}), ODD)

ROW = st.builds(Row, *[ODD] * 8, small=SMALL, smalls=SMALLS, child=CHILD, children=CHILDREN, loose=SMALLS, id=ODD)

ROWS = st.lists(ROW, max_size=3)

SELECTIONS = st.lists(
    st.sampled_from([LEAVES, INNER, OTHERS, STRICT, "text", "must", "waits", "child { must }"]), min_size=1, max_size=3
)


@given(ROWS, SELECTIONS, st.sampled_from(["items", "all", "first"]))
def test_whatever_a_row_holds_both_ways_say_the_same(rows: list[Row], selections: list[str], root: str) -> None:
    answered_alike(f"{{ {root} {{ {' '.join(selections)} }} }}", rows)


def test_usual_rows_are_built_whole() -> None:
    nested = Row(children=[Row("c"), Row("d")], child=Row("e"))
    data, errors = answered_alike(f"{{ items {{ {LEAVES} {INNER} {OTHERS} {STRICT} }} }}", [Row(), nested, Row("nothing-else")])
    assert errors == []
    first, second, _ = data["items"]
    assert list(first)[:4] == ["__typename", "id", "again", "text"]
    assert first["id"] == str(UUID(int=7))
    assert [child["must"] for child in second["children"]] == ["<c>", "<d>"]
    assert second["child"]["loaded"] == "<e>"


def test_an_attribute_that_fails_or_is_missing_is_told_the_same_way() -> None:
    for row in (Failing(), object(), {}):
        _, errors = answered_alike(f"{{ items {{ {LEAVES} }} }}", [Row(), row])
        assert errors


def test_a_failure_of_one_row_leaves_the_others() -> None:
    data, errors = answered_alike("{ items { text must } }", [Row("x"), Row("broken"), Row("nothing"), Row("y")])
    assert data["items"] == [{"text": "x", "must": "<x>"}, None, None, {"text": "y", "must": "<y>"}]
    assert len(errors) == 2


def test_an_error_of_a_field_that_may_be_null_is_told_once() -> None:
    data, errors = answered_alike("{ all { text slow(fails: true) waits loaded } }", [Row("a"), Row("b")])
    assert [item["text"] for item in data["all"]] == ["a", "b"]
    assert errors == ["a fails", "as told", "as told"]


async def test_a_key_is_loaded_once_for_the_whole_answer() -> None:
    document = parse("{ all { loaded must children { loaded } } }")
    rows = [Row("x", children=[Row("x"), Row("y")]), Row("x"), Row("y"), Row(3)]
    context = Context(rows[:3])
    found = execute(core, document, context_value=context, executor_class=CompilingExecutor, planner=planner, kept=Kept())
    assert not isinstance(found, ExecutionResult)
    result = await found
    assert result.errors is None
    assert sorted(chain.from_iterable(context.asked)) == ["x", "y"]


def _calls(depth: int, kept: Kept | None) -> list[str]:
    """What was called for `depth` children around a field that fails where nothing may be null."""
    selection = "insists counted"
    for _ in range(depth):
        selection = f"deeper {{ {selection} }} counted"
    context = Context([Row("a")])
    more: dict[str, Any] = {} if kept is None else {"executor_class": CompilingExecutor, "planner": planner, "kept": kept}

    async def run() -> None:
        found = execute(core, parse(f"{{ all {{ {selection} }} }}"), context_value=context, **more)
        result = found if isinstance(found, ExecutionResult) else await found
        assert [error.message for error in result.errors or ()] == ["a fails"]

    asyncio.run(run())
    return context.called


def test_what_fails_deep_inside_is_executed_twice_at_most() -> None:
    for depth in (1, 4, 8):
        general, compiled = _calls(depth, None), _calls(depth, Kept())
        assert len(general) == 2 * depth + 1
        assert len(compiled) <= 2 * len(general)


def test_a_fragment_used_in_many_places_has_one_plan() -> None:
    fields = " ".join(f"a{number}: child {{ ...F }}" for number in range(20))
    document = parse(f"{{ all {{ {fields} }} }} fragment F on Item {{ text smalls {{ entry }} }}")
    kept = Kept()
    execute(
        core, document, context_value=Context([Row(child=Row())]), executor_class=CompilingExecutor, planner=planner, kept=kept
    )
    inner = [plan for (name, *_), plan in kept.plans.items() if name == "Small"]
    assert len(inner) == 1


class _Promise:
    def __await__(self) -> Any:
        return asyncio.sleep(0, "later").__await__()


def test_an_attribute_that_must_be_awaited_is_awaited() -> None:
    data, errors = answered_alike("{ items { text number } }", [Row(), Row(text=_Promise())])
    assert (data["items"][1]["text"], errors) == ("later", [])
    answered_alike("{ all { child { text } children { text } } }", [Row(child=_Promise(), children=_Promise())])


def test_fragments_that_meet_in_a_field_are_merged() -> None:
    text = """query { all { ...A ...B small { entry } } }
        fragment A on Item { child { text } }
        fragment B on Item { child { number } small { a: entry } }"""
    data, _ = answered_alike(text, [Row(child=Row())])
    assert data["all"] == [{"child": {"text": "b", "number": 1}, "small": {"a": "s", "entry": "s"}}]


def test_names_of_a_document_never_become_code() -> None:
    data, errors = answered_alike("{ all { row: text context: number found: flag add: named None: maybe v: words } }", [Row()])
    assert errors == []
    assert list(data["all"][0]) == ["row", "context", "found", "add", "None", "v"]


ITEMS = build_schema("type Query { items: [Item!]! bad: Int! } type Item { inner: [Item!]! name: String! }")


class Item:
    def inner(self, _info: Any) -> Any:
        return later([Item(), Item()], 1)

    def name(self, _info: Any) -> Any:
        return later("a", 0)


async def later(value: Any, turns: int) -> Any:
    """The value after so many turns of the loop; an error for None."""
    for _ in range(turns):
        await asyncio.sleep(0)
    if value is None:
        raise ValueError("no value")
    return value


@pytest.mark.parametrize("turns", range(12))
async def test_no_coroutine_is_forgotten_when_a_sibling_fails(turns: int) -> None:
    class Root:
        def items(self, _info: Any) -> Any:
            return later([Item(), Item()], 1)

        def bad(self, _info: Any) -> Any:
            return later(None, turns)

    gc.collect()  # what earlier tests left is theirs
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        answer: Any = execute(ITEMS, parse("{ bad items { name inner { name inner { name } } } }"), Root())
        assert [error.path for error in (await answer).errors] == [["bad"]]
        gc.collect()
    assert [str(one.message) for one in warned] == []
