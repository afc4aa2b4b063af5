"""Filters of every connection, held against Python: of the same rows the same ones are found, whatever is combined."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, GraphQLList, get_named_type, get_nullable_type

from tests.factories.asking import Asker
from tests.factories.lists import fill_lists
from tests.graphql.test_lists import CONNECTIONS, Listed, Lists

COMBINED = ("and", "or", "not")
ELSEWHERE = {
    "ids": "id",
    "actorId": "actor { id }",
    "Member.email": "user { email }",
    "Member.name": "user { name }",
    "failed": "error { message }",
    "isRevoked": "revokedAt",
}
"""Conditions that are not on a field of the same name."""
THERE = {"failed", "isRevoked"}
"""Conditions on whether there is anything."""
MOVING = {"lastSeenAt"}
"""What changes while it is looked at."""
Row = dict[str, Any]


@pytest.fixture
async def lists(asker: Asker) -> Lists:
    await fill_lists(asker.world)
    return Lists(asker.world, asker.client)


class Filtered:
    """A connection with the rows it has, and filters of it."""

    def __init__(self, one: Listed, chance: random.Random) -> None:
        self.one, self.chance = one, chance
        self.kind: GraphQLInputObjectType = get_named_type(one.field.args["filter"].type)  # type: ignore[assignment]
        self.names = [name for name in self.kind.fields if name not in {*COMBINED, *MOVING}]
        self.rows: list[Row] = []

    def place(self, name: str) -> str:
        """The selection a condition is about."""
        return ELSEWHERE.get(f"{self.one.node.name}.{name}") or ELSEWHERE.get(name, name)

    async def read(self, lists: Lists) -> None:
        selection = " ".join(f"a{number}: {self.place(name)}" for number, name in enumerate(self.names))
        answer = await lists.ask(self.one, "first: 500", f"edges {{ cursor node {{ {selection} }} }}")
        self.rows = [self._row(edge) for edge in answer["edges"]]

    def _row(self, edge: Any) -> Row:
        found = {"cursor": edge["cursor"]}
        for number, name in enumerate(self.names):
            value = edge["node"][f"a{number}"]
            found[name] = next(iter(value.values())) if isinstance(value, dict) else value
        return found

    def wanted(self, depth: int = 0) -> Row:
        """A filter, as a variable."""
        chosen = self.chance.sample(self.names, self.chance.choice((0, 1, 1, 2)))
        found = {name: self.condition(name) for name in chosen}
        if depth < 3:
            if self.chance.random() < 0.3:
                found["not"] = self.wanted(depth + 1)
            for name in ("and", "or"):
                if self.chance.random() < 0.3:
                    found[name] = [self.wanted(depth + 1) for _ in range(self.chance.choice((1, 2, 3)))]
        return found

    def condition(self, name: str) -> Any:
        kind, values = self.kind.fields[name].type, [row[name] for row in self.rows if row[name] is not None]
        inner = get_named_type(kind)
        several = isinstance(get_nullable_type(kind), GraphQLList)
        if inner.name == "Boolean":
            return self.chance.choice((True, False))
        if isinstance(inner, GraphQLEnumType):
            return self.chance.sample(list(inner.values), 2)
        if inner.name == "ID":
            given = self.chance.choice([str(uuid4()), *values])
            return [given, str(uuid4())] if several else given
        if inner.name == "String":
            return [self.chance.choice([str.upper, str.lower])(self.chance.choice(["nothing", *values]))]
        if inner.name == "TextFilter":
            return self.text(values)
        return self.range(inner.name, values)

    def text(self, values: list[str]) -> Row:
        value = self.chance.choice(["", "%", "_", "\\", "nothing", *values])
        part = value[self.chance.randrange(len(value) + 1) :][:3]
        return self.chance.choice([{"eq": value}, {"in": [value, "other"]}, {"contains": part.swapcase()}, {}])

    def range(self, kind: str, values: list[Any]) -> Row:
        """Times are shown to the second and kept to the microsecond: ends lie where that makes no difference."""
        if kind != "DateTimeRange":
            return {end: self.chance.choice([0, *values]) for end in self.chance.sample(["gt", "gte", "lt", "lte"], 2)}
        moment = datetime.fromisoformat(self.chance.choice(["2020-01-01T00:00:00Z", *values]))
        below = (moment - timedelta(microseconds=1)).isoformat()
        return self.chance.choice([{"gte": moment.isoformat()}, {"gt": below}, {"lt": moment.isoformat()}, {"lte": below}])

    def holds(self, wanted: Row, row: Row) -> bool:
        """The same in Python."""
        conditions = (self.meets(name, value, row[name]) for name, value in wanted.items() if name not in COMBINED)
        return (
            all(conditions)
            and all(self.holds(inner, row) for inner in wanted.get("and", ()))
            and ("or" not in wanted or any(self.holds(inner, row) for inner in wanted["or"]))
            and ("not" not in wanted or not self.holds(wanted["not"], row))
        )

    def meets(self, name: str, wanted: Any, value: Any) -> bool:
        if name in THERE:
            return (value is not None) is wanted
        kind = get_named_type(self.kind.fields[name].type).name
        if value is None:
            return wanted == {}
        if kind == "String":
            return value.lower() in [one.lower() for one in wanted]
        if isinstance(wanted, list):
            return value in wanted
        if not isinstance(wanted, dict):
            return bool(value == wanted)
        if kind == "DateTimeRange":
            value, wanted = datetime.fromisoformat(value), {end: datetime.fromisoformat(one) for end, one in wanted.items()}
        return all(MEETS[end](value, limit) for end, limit in wanted.items())


MEETS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, limit: value > limit,
    "gte": lambda value, limit: value >= limit,
    "lt": lambda value, limit: value < limit,
    "lte": lambda value, limit: value <= limit,
    "eq": lambda value, text: value == text,
    "in": lambda value, texts: value in texts,
    "contains": lambda value, part: part.lower() in value.lower(),
}


async def found(lists: Lists, one: Listed, wanted: Row) -> list[str]:
    """Cursors of what a filter finds, whose number is the count."""
    kind = get_named_type(one.field.args["filter"].type).name
    body = one.document("first: 500, filter: $filter", "totalCount edges { cursor }")
    declared = (
        f"query($filter: {kind}, " + body.removeprefix("query(") if one.parent != "Query" else f"query($filter: {kind}) {body}"
    )
    variables = {"filter": wanted} | ({} if one.parent == "Query" else {"id": lists.id_of(one)})
    headers = lists.world.headers("session")
    answer = (await lists.client.post("/graphql", json={"query": declared, "variables": variables}, headers=headers)).json()
    assert "errors" not in answer, (one, wanted, answer)
    page = (answer["data"] if one.parent == "Query" else answer["data"]["parent"])[one.name]
    assert page["totalCount"] == len(page["edges"])
    return [edge["cursor"] for edge in page["edges"]]


async def test_every_filter_finds_what_python_finds(lists: Lists) -> None:
    chance = random.Random(11)
    for one in CONNECTIONS:
        filtered = Filtered(one, chance)
        await filtered.read(lists)
        wanted = [{name: filtered.condition(name)} for name in filtered.names]
        wanted += [{"not": one} for one in wanted[:6]] + [filtered.wanted() for _ in range(8)]
        for one_wanted in wanted:
            # A project or an experiment that a filter names must be there.
            if any(name in one_wanted for name in ("projectId", "experimentId")) and one.parent == "Query":
                continue
            expected = [row["cursor"] for row in filtered.rows if filtered.holds(one_wanted, row)]
            assert await found(lists, one, one_wanted) == expected, (one, one_wanted)


async def test_a_filter_in_a_document_is_the_same(asker: Asker) -> None:
    await fill_lists(asker.world)
    query = """{ experiments(filter: {or: [{name: {contains: "FINI"}}, {status: QUEUED}], not: {problemType: REGRESSION},
        createdAt: {gte: "2020-01-01T00:00:00Z"}}) { nodes { name } } }"""
    assert {node["name"] for node in (await asker.data(query))["experiments"]["nodes"]} == {"finished", "waiting"}


LIST = "query($f: ExperimentFilter) { experiments(filter: $f) { totalCount } }"


def deep(levels: int) -> Row:
    wanted: Row = {"name": {"eq": "x"}}
    for _ in range(levels):
        wanted = {"not": wanted}
    return wanted


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (deep(5), "filter: is nested deeper than 5 levels"),
        (deep(20), "filter: is nested deeper than 5 levels"),
        ({"or": [{"name": {"eq": "x"}}] * 60, "and": [{}] * 60}, "filter: has more than 100 conditions"),
        ({"and": [{"or": [{}] * 90}] * 90}, "filter: has more than 100 conditions"),
        ({"or": []}, "or: "),
        ({"name": {"in": []}}, "name.in: "),
        ({"name": {"in": ["x"] * 101}}, "name.in: "),
        ({"name": {"eq": "x" * 501}}, "name.eq: "),
        ({"name": {"eq": "\0"}}, "name.eq: must not contain the NUL character"),
        ({"createdAt": {"gt": "0001-01-01T00:00:00+23:00"}}, "createdAt.gt: lies outside the years 1 to 9999"),
        ({"createdAt": {"gt": "yesterday"}}, "ISO 8601"),
        ({"status": ["NOWHERE"]}, "NOWHERE"),
    ],
)
async def test_what_is_wrong_with_a_filter_is_said(asker: Asker, wanted: Row, said: str) -> None:
    refusal = await asker.refused(LIST, f=wanted)
    assert said in refusal["message"] or said in str(refusal), refusal
    assert refusal["status"] in {400, 422}


async def test_a_literal_as_deep_as_a_document_may_be_is_refused(asker: Asker) -> None:
    for levels in (6, 60, 600, 2000):
        text = "{not: " * levels + "{}" + "}" * levels
        refusal = await asker.refused(f"{{ experiments(filter: {text}) {{ totalCount }} }}")
        assert refusal["status"] in {400, 422}, (levels, refusal)


async def test_an_id_that_is_none_is_not_found_wherever_it_stands(asker: Asker) -> None:
    for wanted in ({"projectId": "x"}, {"ids": ["x"]}, {"or": [{"projectId": "x"}]}, {"not": {"ids": ["x"]}}):
        assert (await asker.refused(LIST, f=wanted))["status"] == 404
    foreign = asker.world.foreign["project"]
    assert (await asker.refused(LIST, f={"projectId": foreign}))["status"] == 404
    found = await asker.data(LIST, f={"or": [{"projectId": foreign}]})
    assert found["experiments"]["totalCount"] == 0
