"""Whatever a row holds, a compiled operation gives what graphql-core's own executor gives: results, nulls and errors."""

import asyncio
import gc
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from itertools import chain
from typing import Annotated, Any, Optional
from uuid import UUID

import orjson
import pytest
import strawberry
from graphql import DocumentNode, ExecutionResult, build_schema, execute, parse
from hypothesis import given
from hypothesis import strategies as st
from strawberry.dataloader import DataLoader

from schema.compiler.executor import CompilingExecutor, Kept
from schema.compiler.operation import kept_for
from schema.compiler.plan import Planner
from schema.compiler.reading import Contextual, Loaded
from schema.compiler.reading import Item as Entry
from schema.readings import READING, readings_of


@strawberry.enum
class Colour(Enum):
    red = "red"


class Failing:
    """An attribute that cannot be read."""

    @property
    def text(self) -> str:
        raise RuntimeError("broken")


@dataclass
class Context:
    """The rows, and a loader that knows a text for every key but `nothing` and fails for `broken`."""

    rows: Any
    asked: list[list[Any]] = field(default_factory=list)
    called: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.loader: DataLoader[Any, Any] = DataLoader(load_fn=self._load)

    async def _load(self, keys: list[Any]) -> list[Any]:
        self.asked.append(keys)
        return [KeyError("broken") if key == "broken" else None if key == "nothing" else f"<{key}>" for key in keys]


def _hash(value: Any) -> Any:
    return value if isinstance(value, str) else None


def _kept(root: strawberry.Parent[Any]) -> Any:
    return root.get("text")


def _named(root: strawberry.Parent[Any]) -> Any:
    return root.text


def _many(root: Any, context: Any) -> Any:
    return [root.text, str(len(context.rows))]


def _in_context(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    return _many(root, info.context)


async def _loaded(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    key = _hash(root.text)
    return None if key is None else await info.context.loader.load(key)


def _slow(root: strawberry.Parent[Any], info: strawberry.Info, fails: bool = False) -> Any:
    if fails:
        raise ValueError("as told")
    return root.text


def _deeper(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
    info.context.called.append("deeper")
    return root


def _counted(root: strawberry.Parent[Any], info: strawberry.Info) -> str:
    info.context.called.append("counted")
    return "counted"


async def _waits(root: strawberry.Parent[Any]) -> str:
    await asyncio.sleep(0)
    if root.text == "a":
        raise ValueError("a fails")
    return "waited"


Lazy = Annotated["Item", strawberry.lazy("tests.graphql.test_compiler_rows")]
LOADED = Loaded(lambda context: context.loader, lambda row: _hash(row.text), lambda found, _: found)


@strawberry.type
class Small:
    kept: str = strawberry.field(resolver=_kept, graphql_type=str, metadata={READING: Entry("text")})


@strawberry.type
class Item:
    id: strawberry.ID | None
    text: str
    maybe: str | None
    number: int
    ratio: float | None
    flag: bool
    colour: Colour | None
    moment: datetime | None
    words: list[str]
    small: Small | None
    smalls: list[Small]
    child: Optional["Item"]
    children: list["Item"] | None
    loose: list[Small | None] | None
    named: str = strawberry.field(resolver=_named, graphql_type=str)
    many: list[str] | None = strawberry.field(
        resolver=_in_context, graphql_type=list[str] | None, metadata={READING: Contextual(_many)}
    )
    loaded: str | None = strawberry.field(resolver=_loaded, graphql_type=str | None, metadata={READING: LOADED})
    must: str = strawberry.field(resolver=_loaded, graphql_type=str, metadata={READING: LOADED})
    slow: str | None = strawberry.field(resolver=_slow, graphql_type=str | None)
    strict: str = strawberry.field(resolver=_slow, graphql_type=str)
    waits: str | None = strawberry.field(resolver=_waits, graphql_type=str | None)
    deeper: "Item" = strawberry.field(resolver=_deeper, graphql_type=Lazy)
    counted: str = strawberry.field(resolver=_counted)
    insists: str = strawberry.field(resolver=_waits, graphql_type=str)


@strawberry.type
class Query:
    @strawberry.field
    def items(self, info: strawberry.Info) -> list[Item | None]:
        return info.context.rows

    @strawberry.field
    def all(self, info: strawberry.Info) -> list[Item]:
        return info.context.rows

    @strawberry.field
    async def first(self, info: strawberry.Info) -> Item | None:
        return info.context.rows[0] if info.context.rows else None


core = strawberry.Schema(Query)._schema
planner = Planner(core, readings_of(core))


@dataclass
class Row:
    text: Any = "b"
    maybe: Any = None
    number: Any = 1
    ratio: Any = 0.5
    flag: Any = True
    colour: Any = Colour.red
    moment: Any = datetime(2026, 1, 1, tzinfo=UTC)
    words: Any = field(default_factory=lambda: ["a"])
    small: Any = field(default_factory=lambda: {"text": "s"})
    smalls: Any = field(default_factory=lambda: [{"text": "s"}, {"text": "t"}])
    child: Any = None
    children: Any = None
    loose: Any = None
    id: Any = field(default_factory=lambda: UUID(int=7))


async def said(document: DocumentNode, rows: Any, kept: Kept | None = None) -> ExecutionResult:
    more: dict[str, Any] = {} if kept is None else {"executor_class": CompilingExecutor, "planner": planner, "kept": kept}
    found = execute(core, document, context_value=Context(rows), **more)
    return found if isinstance(found, ExecutionResult) else await found


def nulled(data: Any, path: list[str | int]) -> str:
    """The place that is null because of an error at `path`."""
    for depth, key in enumerate(path):
        if data is None:
            return repr(path[:depth])
        data = data[key]
    return repr(path)


def causes(result: ExecutionResult) -> dict[str, set[str]]:
    """Why each place is null. Of several errors beneath one null the specification leaves open which are told."""
    found: dict[str, set[str]] = {}
    for error in result.errors or ():
        place = nulled(result.data, error.path or [])
        own = place == repr(error.path)
        found.setdefault(place, set()).add(
            f"{error.message} {error.locations} {type(error.original_error)}" if own else "beneath"
        )
    return found


def agree(one: ExecutionResult, other: ExecutionResult) -> None:
    assert orjson.dumps(one.data) == orjson.dumps(other.data)
    assert causes(one) == causes(other)


def same(text: str, rows: Any) -> tuple[Any, list[str]]:
    """Both ways say the same; gives data and messages. The plan is used twice: what it keeps must not be of one answer."""
    document = parse(text)
    kept = kept_for(document)
    assert kept is not None

    async def ways() -> tuple[ExecutionResult, ...]:
        return await said(document, rows), await said(document, rows, kept), await said(document, rows, kept)

    general, compiled, again = asyncio.run(ways())
    agree(compiled, general)
    agree(again, general)
    assert kept.plans or not rows
    return compiled.data, sorted(error.message for error in compiled.errors or ())


LEAVES = "__typename id again: text text maybe number ratio flag colour moment words named many"
INNER = (
    f"small {{ kept }} smalls {{ other: kept __typename }} child {{ {LEAVES} loaded }} children {{ id smalls {{ kept }} must }}"
)
OTHERS = "loaded slow loose { kept } waits"
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
    same(f"{{ {root} {{ {' '.join(selections)} }} }}", rows)


def test_usual_rows_are_built_whole() -> None:
    nested = Row(children=[Row("c"), Row("d")], child=Row("e"))
    data, errors = same(f"{{ items {{ {LEAVES} {INNER} {OTHERS} {STRICT} }} }}", [Row(), nested, Row("nothing-else")])
    assert errors == []
    first, second, _ = data["items"]
    assert list(first)[:4] == ["__typename", "id", "again", "text"]
    assert first["id"] == str(UUID(int=7))
    assert [child["must"] for child in second["children"]] == ["<c>", "<d>"]
    assert second["child"]["loaded"] == "<e>"


def test_an_attribute_that_fails_or_is_missing_is_told_the_same_way() -> None:
    for row in (Failing(), object(), {}):
        _, errors = same(f"{{ items {{ {LEAVES} }} }}", [Row(), row])
        assert errors


def test_a_failure_of_one_row_leaves_the_others() -> None:
    data, errors = same("{ items { text must } }", [Row("x"), Row("broken"), Row("nothing"), Row("y")])
    assert data["items"] == [{"text": "x", "must": "<x>"}, None, None, {"text": "y", "must": "<y>"}]
    assert len(errors) == 2


def test_an_error_of_a_field_that_may_be_null_is_told_once() -> None:
    data, errors = same("{ all { text slow(fails: true) waits loaded } }", [Row("a"), Row("b")])
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
    document = parse(f"{{ all {{ {fields} }} }} fragment F on Item {{ text smalls {{ kept }} }}")
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
    data, errors = same("{ items { text number } }", [Row(), Row(text=_Promise())])
    assert (data["items"][1]["text"], errors) == ("later", [])
    same("{ all { child { text } children { text } } }", [Row(child=_Promise(), children=_Promise())])


async def test_what_is_kept_of_an_operation_never_outlives_a_directive() -> None:
    switched = parse("query($on: Boolean!) { items { text maybe @include(if: $on) } }")
    assert kept_for(switched) is None
    for on in (True, False):
        found = execute(
            core, switched, context_value=Context([Row()]), executor_class=CompilingExecutor, variable_values={"on": on},
            planner=planner, kept=kept_for(switched),
        )  # fmt: skip
        assert isinstance(found, ExecutionResult)
        assert ("maybe" in (found.data or {})["items"][0]) is on


def test_fragments_that_meet_in_a_field_are_merged() -> None:
    text = """query { all { ...A ...B small { kept } } }
        fragment A on Item { child { text } }
        fragment B on Item { child { number } small { a: kept } }"""
    data, _ = same(text, [Row(child=Row())])
    assert data["all"] == [{"child": {"text": "b", "number": 1}, "small": {"a": "s", "kept": "s"}}]


def test_names_of_a_document_never_become_code() -> None:
    data, errors = same("{ all { row: text context: number found: flag add: named None: maybe v: words } }", [Row()])
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
