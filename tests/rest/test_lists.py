"""Every list of the table of REST, found by what it answers: search, sort, pages, and the refusals, as contract A.4 has them."""

from collections.abc import Iterator
from typing import Any

import pytest
from httpx import AsyncClient, Response

from rest_compat.endpoint import Endpoint
from rest_compat.openapi.document import inlined
from rest_compat.table import TABLE
from tests.factories.asking import Asker
from tests.factories.lists import fill_lists
from tests.factories.world import World

NOWHERE = "no text holds this: 7f3a"
ENVELOPE = {"items", "total", "limit", "offset"}
PARAMETERS = {"limit", "offset", "search", "sort_field", "sort_direction"}
PAGES = inlined()["paths"]


def described(endpoint: Endpoint) -> dict[str, Any]:
    found: dict[str, Any] = PAGES[endpoint.path][endpoint.method.lower()]
    return found


def answers_a_list(endpoint: Endpoint) -> bool:
    content = described(endpoint)["responses"][str(endpoint.status)].get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return schema.get("properties", {}).keys() >= ENVELOPE


def lists() -> Iterator[Endpoint]:
    return (endpoint for endpoint in TABLE if endpoint.method == "GET" and answers_a_list(endpoint))


LISTS = list(lists())


class Client:
    """Asks as the owner, in a session: the keys are listed there alone."""

    def __init__(self, made: World, client: AsyncClient) -> None:
        self.world, self.client = made, client

    async def get(self, endpoint: Endpoint, **query: Any) -> Response:
        ids = {f"{kind}_id": value for kind, value in self.world.ids.items()}
        path = endpoint.path.format(**ids)
        return await self.client.get(path, params=query, headers=self.world.headers("session"))

    async def page(self, endpoint: Endpoint, **query: Any) -> dict[str, Any]:
        answer = await self.get(endpoint, **query)
        assert answer.status_code == 200, (endpoint.path, query, answer.text)
        body: dict[str, Any] = answer.json()
        assert "warnings" not in body, (endpoint.path, query, body["warnings"])
        return body

    async def refusal(self, endpoint: Endpoint, **query: Any) -> list[tuple[str, str]]:
        answer = await self.get(endpoint, **query)
        assert answer.status_code == 422, (endpoint.path, query, answer.text)
        assert all(f"{error['loc'][1]}: {error['msg']}" in answer.json()["message"] for error in answer.json()["detail"])
        return [(error["loc"][0] + "." + error["loc"][1], error["msg"]) for error in answer.json()["detail"]]


@pytest.fixture
async def client(asker: Asker) -> Client:
    await fill_lists(asker.world)
    return Client(asker.world, asker.client)


def test_no_list_is_missed() -> None:
    paths = {endpoint.path for endpoint in LISTS}
    assert {"/api/projects", "/api/datasets/{dataset_id}/columns", "/api/experiments/{experiment_id}/engine-runs"} <= paths
    assert {endpoint.path for endpoint in TABLE if endpoint.paged or endpoint.whole} <= paths
    for endpoint in LISTS:
        taken = {one["name"]: one for one in described(endpoint)["parameters"]}
        assert taken.keys() >= PARAMETERS, endpoint.path
        assert taken["search"]["description"].startswith("Case-insensitive text to find in "), endpoint.path
        assert taken["limit"]["description"].startswith("Items wanted, 1 to 500"), endpoint.path
        assert len(fields_of(endpoint)) >= 1


def fields_of(endpoint: Endpoint) -> list[str]:
    (found,) = (one["schema"]["enum"] for one in described(endpoint)["parameters"] if one["name"] == "sort_field")
    return [name for name in found if name is not None]


async def test_search_finds_what_it_says_and_nothing_else(client: Client) -> None:
    for endpoint in LISTS:
        whole = await client.page(endpoint)
        assert whole["total"] > 1, f"{endpoint.path} is too short to be searched: see tests/factories/lists.py"
        empty = await client.page(endpoint, search=NOWHERE)
        assert (empty["items"], empty["total"]) == ([], 0), endpoint.path
        found = [(await client.page(endpoint, search=text))["total"] for text in texts(whole["items"][0])]
        assert any(0 < number < whole["total"] for number in found), (endpoint.path, found)


def texts(item: Any) -> list[str]:
    if isinstance(item, dict | list):
        return [text for inner in (item.values() if isinstance(item, dict) else item) for text in texts(inner)][:15]
    return [item] if isinstance(item, str) and 2 < len(item) < 60 else []


async def test_every_order_goes_both_ways(client: Client) -> None:
    for endpoint in LISTS:
        for field in fields_of(endpoint):
            up, down, short, unsaid = [
                (await client.page(endpoint, limit=500, sort_field=field, **way))["items"]
                for way in ({"sort_direction": "asc"}, {"sort_direction": "desc"}, {"sort_dir": "asc"}, {})
            ]
            assert (short, unsaid) == (up, down), (endpoint.path, field)
            key = [item.get(field) for item in up]
            if None not in key and field in up[0] and len({str(one) for one in key}) == len(key):
                assert down == up[::-1], (endpoint.path, field)
            assert sorted(map(str, up)) == sorted(map(str, down))


async def test_pages_are_cut_as_they_are_asked_for(client: Client) -> None:
    for endpoint in LISTS:
        order = {"sort_field": fields_of(endpoint)[0], "sort_direction": "asc"}
        whole = await client.page(endpoint, limit=500, **order)
        assert (whole["limit"], whole["offset"], whole["total"]) == (500, 0, len(whole["items"]))
        page = await client.page(endpoint, limit=1, offset=1, **order)
        assert (page["limit"], page["offset"], page["total"]) == (1, 1, whole["total"])
        assert page["items"] == whole["items"][1:2], endpoint.path
        named = [name for name, value in whole.items() if isinstance(value, list) and name not in {"items", "warnings"}]
        assert all(page[name] == page["items"] for name in named), endpoint.path
        plain = await client.page(endpoint)
        assert plain["limit"] == (whole["total"] if endpoint.whole else 50), endpoint.path


WRONG = {
    ("limit", "0"): "must be from 1 to 500",
    ("limit", "501"): "must be from 1 to 500",
    ("limit", "-1"): "must be from 1 to 500",
    ("limit", "99999999999999999999"): "must be from 1 to 500",
    ("limit", "ten"): "must be a whole number",
    ("offset", "-1"): "must be from 0 to 10000000",
    ("search", "x" * 201): "has more than 200 characters",
    ("sort_direction", "up"): "must be one of asc, desc",
}


async def test_what_is_wrong_with_a_page_is_said_in_rests_words(client: Client) -> None:
    for endpoint in LISTS:
        for (name, value), said in WRONG.items():
            assert await client.refusal(endpoint, **{name: value}) == [(f"query.{name}", said)], endpoint.path
        both = await client.refusal(endpoint, limit=501, sort_direction="up")
        assert dict(both).keys() == {"query.limit", "query.sort_direction"}, endpoint.path


async def test_an_unknown_column_to_sort_by_names_the_nearest(client: Client) -> None:
    for endpoint in LISTS:
        for known in fields_of(endpoint):
            ((place, said),) = await client.refusal(endpoint, sort_field=f"{known}x")
            assert place == "query.sort_field"
            assert said.startswith("must be one of ")
            assert known in said
            assert "did you mean '" in said, (endpoint.path, said)


async def test_a_page_of_graphql_is_none_of_rest(client: Client) -> None:
    """GraphQL's own arguments are parameters nobody knows here."""
    for endpoint in LISTS:
        body = (await client.get(endpoint, first=1, last=1, after="x", before="y")).json()
        assert body["total"] == len(body["items"]) > 1, endpoint.path
        assert len(body["warnings"]) == 4, endpoint.path
