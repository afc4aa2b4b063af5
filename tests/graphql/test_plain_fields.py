"""The short way for plain fields gives what graphql-core's own executor gives: results, nulls and errors."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import strawberry
from graphql import ExecutionResult, execute, parse
from hypothesis import given
from hypothesis import strategies as st

from schema.plain import READ, PlainExecutor, kept_for, plain_fields


@strawberry.enum
class Colour(Enum):
    red = "red"


async def _later() -> str:
    return "later"


class Failing:
    """An attribute that cannot be read."""

    @property
    def text(self) -> str:
        raise RuntimeError("broken")


def _named(root: strawberry.Parent[Any]) -> Any:
    return root.text


@strawberry.type
class Item:
    text: str
    maybe: str | None
    number: int
    ratio: float | None
    flag: bool
    colour: Colour | None
    moment: datetime | None
    words: list[str]
    named: str = strawberry.field(resolver=_named, graphql_type=str, metadata={READ: _named})


@strawberry.type
class Query:
    @strawberry.field
    def items(self, info: strawberry.Info) -> list[Item | None]:
        return info.context


core = strawberry.Schema(Query)._schema
document = parse("{ items { __typename again: text text maybe number ratio flag colour moment words named } }")


class Short(PlainExecutor):
    plain = plain_fields(core)


@dataclass
class Row:
    text: Any = "a"
    maybe: Any = None
    number: Any = 1
    ratio: Any = 0.5
    flag: Any = True
    colour: Any = Colour.red
    moment: Any = datetime(2026, 1, 1, tzinfo=UTC)
    words: Any = field(default_factory=lambda: ["a"])


def seen(result: ExecutionResult) -> Any:
    return result.data, [(e.message, e.path, e.locations, type(e.original_error)) for e in result.errors or ()]


def both(rows: list[Any]) -> tuple[Any, Any]:
    plain = execute(core, document, context_value=rows)
    short = execute(core, document, context_value=rows, executor_class=Short)
    assert isinstance(plain, ExecutionResult)
    assert isinstance(short, ExecutionResult)
    return seen(plain), seen(short)


ODD = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.sampled_from([Colour.red, "red", ValueError("as a value"), [], {}, object, 2**31, b"x", datetime(2026, 1, 1, tzinfo=UTC)]),
)


@given(st.lists(st.builds(Row, *[ODD] * 8), max_size=3))
def test_whatever_a_row_holds_both_ways_say_the_same(rows: list[Row]) -> None:
    plain, short = both(rows)
    assert repr(plain) == repr(short)


def test_an_attribute_that_fails_or_is_missing_is_told_the_same_way() -> None:
    for row in (Failing(), object(), {}):
        plain, short = both([Row(), row])
        assert plain == short
        assert plain[1]


async def test_an_attribute_that_must_be_awaited_is_awaited() -> None:
    class Slow(Row):
        @property
        def text(self) -> Any:
            return _Promise()

        @text.setter
        def text(self, _value: Any) -> None:
            pass

    found = execute(core, document, context_value=[Slow()], executor_class=Short)
    assert not isinstance(found, ExecutionResult)
    result = await found
    assert result.data is not None
    assert (result.errors, result.data["items"][0]["text"]) == (None, "later")


class _Promise:
    def __await__(self) -> Any:
        return _later().__await__()


def test_what_is_kept_of_an_operation_never_outlives_a_directive() -> None:
    switched = parse("query($on: Boolean!) { items { text maybe @include(if: $on) } }")
    assert kept_for(switched) is None
    kept = kept_for(document)
    assert kept == {}
    for rows in ([Row("a")], [Row("b"), Row("c")]):
        found = execute(core, document, context_value=rows, executor_class=Short, kept=kept)
        assert isinstance(found, ExecutionResult)
        assert [item["text"] for item in (found.data or {})["items"]] == [row.text for row in rows]
    assert kept
    for on in (True, False):
        values = {"on": on}
        found = execute(
            core, switched, context_value=[Row()], executor_class=Short, variable_values=values, kept=kept_for(switched)
        )
        assert isinstance(found, ExecutionResult)
        assert ("maybe" in (found.data or {})["items"][0]) is on


def test_most_fields_of_the_contract_are_plain() -> None:
    from schema.execution import core_schema

    found = plain_fields(core_schema)
    assert {"id", "name", "stage", "createdAt", "config"} <= found["Deployment"].keys()
    assert not {"modelName", "model", "logs", "endpointUrl"} & found["Deployment"].keys()
    assert "prediction" in found["Prediction"]
    assert not found["Query"]
    assert not found["Mutation"]
