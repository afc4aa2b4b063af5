"""Every connection of the schema, found by walking it: pages both ways, search, sort, filters, and what is refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from graphql import GraphQLField, GraphQLObjectType, get_named_type
from httpx import AsyncClient

from schema.execution import PUBLIC
from tests.factories.asking import Asker
from tests.factories.lists import fill_lists
from tests.factories.world import World

NOWHERE = "no text holds this: 7f3a"
TEXTS = {
    "AlertEvent": "reason { message }",
    "Member": "user { name email }",
    "RetrainRun": "reason { message }",
    "Rollout": "candidate { name }",
}
"""Where the texts of what has none itself are."""
PARENTS = {"Experiment": "experiment", "DatasetVersion": "version"}
"""Things of the world that stand for a type; else the thing of the type's own name."""


@dataclass(frozen=True)
class Listed:
    """A connection: the field, and the type it is a field of."""

    parent: str
    name: str
    field: GraphQLField

    @property
    def node(self) -> Any:
        connection: Any = get_named_type(self.field.type)
        return get_named_type(connection.fields["nodes"].type)

    def document(self, arguments: str, selection: str) -> str:
        given = f"({arguments})" if arguments else ""
        inner = f"{self.name}{given} {{ {selection} }}"
        if self.parent == "Query":
            return f"{{ {inner} }}"
        return f"query($id: ID!) {{ parent: {self.root}(id: $id) {{ {inner} }} }}"

    @property
    def root(self) -> str:
        """The query that gives one thing of the parent's type by its id."""
        fields = PUBLIC.schema.query_type.fields.items()  # type: ignore[union-attr]
        found = (name for name, one in fields if get_named_type(one.type).name == self.parent and set(one.args) == {"id"})
        return next(found)


RANKED = {"search"}
"""Lists of what was found, the best matches first: tests/graphql/test_search.py."""


def connections() -> Iterator[Listed]:
    for name, kind in PUBLIC.schema.type_map.items():
        if isinstance(kind, GraphQLObjectType):
            for field, definition in kind.fields.items():
                if get_named_type(definition.type).name.endswith("Connection") and field not in RANKED:
                    yield Listed(name, field, definition)


CONNECTIONS = list(connections())


class Lists:
    """Asks connections as the owner, in a session: the keys are listed there alone."""

    def __init__(self, made: World, client: AsyncClient) -> None:
        self.world, self.client = made, client

    def id_of(self, one: Listed) -> str:
        """The thing whose list is asked for."""
        return self.world.ids[PARENTS.get(one.parent, one.root)]

    async def send(self, one: Listed, arguments: str, selection: str) -> dict[str, Any]:
        variables = {} if one.parent == "Query" else {"id": self.id_of(one)}
        body = {"query": one.document(arguments, selection), "variables": variables}
        answer = await self.client.post("/graphql", json=body, headers=self.world.headers("session"))
        found: dict[str, Any] = answer.json()
        return found

    async def ask(self, one: Listed, arguments: str = "", selection: str = "totalCount") -> Any:
        body = await self.send(one, arguments, selection)
        assert "errors" not in body, (one, arguments, body)
        return (body["data"] if one.parent == "Query" else body["data"]["parent"])[one.name]

    async def refusal(self, one: Listed, arguments: str) -> dict[str, Any]:
        error = (await self.send(one, arguments, "totalCount"))["errors"][0]
        return {**error["extensions"], "message": error["message"]}


@pytest.fixture
async def lists(asker: Asker) -> Lists:
    await fill_lists(asker.world)
    return Lists(asker.world, asker.client)


def test_no_list_is_missed() -> None:
    names = {f"{one.parent}.{one.name}" for one in CONNECTIONS}
    assert {"Query.projects", "Project.timeline", "Deployment.logs", "Job.logs", "Model.evaluations"} <= names
    usual = {"first", "after", "last", "before", "offset", "search", "sort", "filter"}
    for one in CONNECTIONS:
        assert usual <= one.field.args.keys(), one
        about = one.field.args["search"].description or ""
        assert about.startswith("Case-insensitive text to find in "), one


async def test_search_finds_what_it_says_and_nothing_else(lists: Lists) -> None:
    for one in CONNECTIONS:
        whole = (await lists.ask(one))["totalCount"]
        assert whole > 1, f"{one} is too short to be searched: see tests/factories/lists.py"
        assert await number_found(lists, one, NOWHERE) == 0
        assert await number_found(lists, one, "") == whole
        found = {text: await number_found(lists, one, text) for text in await texts(lists, one)}
        assert any(0 < number < whole for number in found.values()), (one, found)
        for text, number in found.items():
            assert await number_found(lists, one, text.swapcase()) == number, (one, text)


async def number_found(lists: Lists, one: Listed, text: str) -> int:
    return int((await lists.ask(one, f"search: {json.dumps(text)}"))["totalCount"])


async def texts(lists: Lists, one: Listed) -> list[str]:
    """Words of the first item's text fields, and of its documents."""
    names = [
        name
        for name, field in one.node.fields.items()
        if get_named_type(field.type).name in {"String", "JSON"} and not field.args
    ]
    (item,) = (await lists.ask(one, "first: 1", f"nodes {{ {' '.join(names) or TEXTS[one.node.name]} }}"))["nodes"]
    return [word for value in item.values() for word in leaves(value)][:12]


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    elif isinstance(value, str) and value.isascii() and 2 < len(value) < 60:
        yield value


async def test_every_order_goes_both_ways(lists: Lists) -> None:
    for one in CONNECTIONS:
        fields: Any = get_named_type(get_named_type(one.field.args["sort"].type).fields["field"].type)
        whole = {*await cursors_of(lists, one, "first: 500")}
        for field in fields.values:
            up, down = [
                await ids_of(lists, one, f"first: 500, sort: {{field: {field}, direction: {way}}}") for way in ("ASC", "DESC")
            ]
            # What has no value is last both ways.
            assert any(down == up[:n][::-1] + up[n:][::-1] for n in range(len(up) + 1)), (one, field)
            assert len(up) == len(whole)
        plain = await ids_of(lists, one, "first: 500")
        assert sorted(plain) == sorted(up)


async def ids_of(lists: Lists, one: Listed, arguments: str) -> list[str]:
    identity = "id" if "id" in one.node.fields else "seq"
    return [str(node[identity]) for node in (await lists.ask(one, arguments, f"nodes {{ {identity} }}"))["nodes"]]


async def cursors_of(lists: Lists, one: Listed, arguments: str) -> list[str]:
    return [edge["cursor"] for edge in (await lists.ask(one, arguments, "edges { cursor }"))["edges"]]


PAGE = "totalCount edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


async def test_pages_lead_through_each_list_both_ways(lists: Lists) -> None:
    for one in CONNECTIONS:
        whole = await cursors_of(lists, one, "first: 500")
        for step in (1, 2):
            forwards, backwards = await walked(lists, one, step), await walked(lists, one, -step)
            assert forwards == backwards == whole, one
        assert await cursors_of(lists, one, "first: 1, offset: 1") == whole[1:2]
        between = f'after: "{whole[0]}", before: "{whole[-1]}"'
        assert await cursors_of(lists, one, between) == await cursors_of(lists, one, f"last: 500, {between}") == whole[1:-1]


async def walked(lists: Lists, one: Listed, step: int) -> list[str]:
    """The cursors of a list, page by page: from its beginning, or from its end."""
    found: list[str] = []
    size, cursor, near, far, more = ("first", "after", "startCursor", "endCursor", "hasNextPage")
    if step < 0:
        size, cursor, near, far, more = ("last", "before", "endCursor", "startCursor", "hasPreviousPage")
    place = ""
    while True:
        page = await lists.ask(one, f"{size}: {abs(step)}{place}", PAGE)
        cursors = [edge["cursor"] for edge in page["edges"]]
        info = page["pageInfo"]
        assert (info["startCursor"], info["endCursor"]) == (cursors[0], cursors[-1])
        assert info["hasPreviousPage" if step > 0 else "hasNextPage"] == bool(place)
        found = [*found, *cursors] if step > 0 else [*cursors, *found]
        assert info[more] == (len(found) < page["totalCount"])
        if not info[more]:
            return found
        place = f', {cursor}: "{info[far]}"'
        assert info[near]


async def test_a_page_of_nothing_counts(lists: Lists) -> None:
    for one in CONNECTIONS:
        whole = (await lists.ask(one))["totalCount"]
        empty = {"totalCount": whole, "edges": []}
        nowhere = {"startCursor": None, "endCursor": None}
        first = await lists.ask(one, "first: 0", PAGE)
        assert first == {**empty, "pageInfo": {"hasNextPage": True, "hasPreviousPage": False, **nowhere}}
        last = await lists.ask(one, "last: 0", PAGE)
        assert last == {**empty, "pageInfo": {"hasNextPage": False, "hasPreviousPage": True, **nowhere}}


WRONG = {
    "first: 501": "first: must be from 0 to 500",
    "last: 501": "last: must be from 0 to 500",
    "last: -1": "last: must be from 0 to 500",
    "first: 1, last: 1": "last: goes with no `first`; give one of the two",
    "last: 1, offset: 1": "offset: goes with no cursor and no `last`; give one of them",
    'before: "bm8"': "before: is not a cursor of this list in this order; begin again without it",
    'after: "bm8"': "after: is not a cursor of this list in this order; begin again without it",
}


async def test_what_is_wrong_with_a_page_is_said_in_graphqls_words(lists: Lists) -> None:
    for one in CONNECTIONS:
        for arguments, said in WRONG.items():
            refusal = await lists.refusal(one, arguments)
            assert (refusal["code"], refusal["message"]) == ("INVALID", said), (one, arguments)
            assert "limit" not in refusal["message"]
