"""GET /graphql: queries in a URL, for whom, how long, and what a cache may keep of the answer."""

from typing import Any

import orjson
import pytest
from httpx import AsyncClient, Response

from coreplex.platform.database import Database
from schema.door.message import MAX_QUERY_STRING
from tests.factories.account import make_key, make_user, sign_in
from tests.graphql.test_door_http import ask, code

PROJECTS = "query Mine($first: Int) { projects(first: $first) { totalCount nodes { name } } }"
CREATE = 'mutation { createProject(input: {name: "By GET"}) { project { id } } }'


async def get(client: AsyncClient, query: str | None, headers: dict[str, str] | None = None, **more: str) -> Response:
    return await client.get("/graphql", params={**({"query": query} if query else {}), **more}, headers=headers or {})


@pytest.fixture
async def key(client: AsyncClient, database: Database) -> dict[str, str]:
    _, token = await make_key(database, await make_user(database))
    header = {"authorization": f"Bearer {token}"}
    await ask(client, 'mutation { createProject(input: {name: "Fleet"}) { project { id } } }', header)
    return header


async def test_a_query_in_a_url(client: AsyncClient, key: dict[str, str]) -> None:
    answer = await get(client, PROJECTS, key, variables='{"first": 1}', operationName="Mine", extensions="{}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == {"projects": {"totalCount": 1, "nodes": [{"name": "Fleet"}]}}
    assert answer.json() == (await ask(client, PROJECTS, key, first=1)).json()
    empty = await get(client, PROJECTS, key, variables="", operationName="", extensions="")
    assert empty.json()["data"]["projects"]["totalCount"] == 1
    assert (await get(client, PROJECTS)).status_code == 401


async def test_nothing_is_changed_by_get(client: AsyncClient, key: dict[str, str]) -> None:
    two = "query Mine { projects { totalCount } } " + CREATE.replace("mutation", "mutation Make")
    for query, more in ((CREATE, {}), (two, {"operationName": "Make"})):
        answer = await get(client, query, {**key, "idempotency-key": "k"}, **more)
        assert (answer.status_code, answer.headers["allow"], code(answer)) == (405, "POST", "METHOD_NOT_ALLOWED")
    assert (await get(client, two, key, operationName="Mine")).json()["data"] == {"projects": {"totalCount": 1}}
    assert (await get(client, 'subscription { jobEvents(jobId: "x") { seq } }', key)).status_code == 400
    for query, more in ((CREATE, {}), ('subscription { jobEvents(jobId: "x") { seq } }', {"accept": "text/event-stream"})):
        head = await client.head("/graphql", params={"query": query}, headers={**key, **more})
        assert (head.status_code, head.content) == (405, b"")


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"query": ""},
        {"query": "{ __typename }", "variables": "[1]"},
        {"query": "{ __typename }", "variables": "{"},
        {"query": "{ __typename }", "extensions": "3"},
        [("query", "{ __typename }"), ("query", "{ __typename }")],
        {"query": "{ __typename }", "variables": "[" * 100},
    ],
)
async def test_what_makes_no_sense_is_a_400(client: AsyncClient, params: Any) -> None:
    answer = await client.get("/graphql", params=params, headers={"accept": "application/graphql-response+json"})
    assert (answer.status_code, code(answer)) == (400, "BAD_REQUEST")


async def test_a_long_url_is_refused(client: AsyncClient, key: dict[str, str]) -> None:
    answer = await get(client, PROJECTS, key, variables=orjson.dumps({"first": 1, "x": "x" * MAX_QUERY_STRING}).decode())
    assert (answer.status_code, code(answer)) == (414, "URI_TOO_LONG")
    assert (await get(client, PROJECTS, key, variables='{"first": 1}')).status_code == 200


async def test_a_page_of_another_site_is_not_answered(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    await sign_in(client, user.email)
    assert (await get(client, PROJECTS)).status_code == 200
    for foreign in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        answer = await get(client, PROJECTS, foreign)
        assert (answer.status_code, code(answer)) == (403, "FORBIDDEN")
        assert "totalCount" not in answer.text


async def test_only_what_is_the_same_for_all_is_kept_by_caches(client: AsyncClient, key: dict[str, str]) -> None:
    schema = await get(client, "{ __schema { queryType { name } } }", key)
    assert schema.headers["cache-control"] == "public, max-age=60"
    again = await get(client, "{ __schema { queryType { name } } }", {"if-none-match": f'"x", {schema.headers["etag"]}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", schema.headers["etag"])
    assert "Accept" in schema.headers["vary"]
    for own in (PROJECTS, "{ __typename projects { totalCount } }", "{ __typename me { id } }", "{ nothing }"):
        answer = await get(client, own, key)
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers
    posted = await ask(client, "{ __schema { queryType { name } } }", key)
    assert posted.headers["cache-control"] == "no-store"
