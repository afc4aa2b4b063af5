"""Bodies that cost more than their bytes are refused before they are read (docs/security.md#bodies)."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from httpx import AsyncClient
from hypothesis import given
from hypothesis import strategies as st

from coreplex.platform.database import Database
from coreplex.platform.document import MAX_JSON_CONTAINERS, containers
from coreplex.platform.settings import Settings
from coreplex.serving.inputs import MAX_ROWS
from tests.factories.account import bearer, browser, make_key, make_user, serving

ID = "01890000-0000-7000-8000-000000000000"
PREDICT = f"/api/models/{ID}/predict"


@pytest.fixture
async def client(settings: Settings, database: Database) -> AsyncIterator[AsyncClient]:
    _, key = await make_key(database, await make_user(database))
    async with serving(settings) as app, browser(app) as client:
        client.headers.update({**bearer(key), "Content-Type": "application/json"})
        yield client


JSON = st.recursive(st.none() | st.integers(-5, 5) | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def count(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, dict | list) + sum(map(count, inner))


@given(JSON)
def test_no_list_or_object_is_missed(value: object) -> None:
    raw = orjson.dumps(value)
    assert containers(raw) >= count(value)
    assert containers(raw) == containers(raw.decode())


async def test_a_body_of_empty_lists_is_refused(client: AsyncClient) -> None:
    many = b"[" + b",".join([b"[]"] * (MAX_JSON_CONTAINERS + 1)) + b"]"
    answer = await client.post(PREDICT, content=b'{"inputs": ' + many + b"}")
    assert (answer.status_code, "lists and objects" in answer.text) == (422, True)
    answer = await client.post("/graphql", content=b'{"query": "{ me { id } }", "variables": {"a": ' + many + b"}}")
    assert (answer.status_code, "lists and objects" in answer.text) == (400, True)


async def test_only_predictions_take_large_bodies(client: AsyncClient) -> None:
    large = orjson.dumps({"name": "x" * (2 << 20), "email": "a", "password": "b", "inputs": {}})
    assert (await client.post(PREDICT, content=large)).status_code == 404
    for path in ("/api/projects", "/api/auth/login", "/api/auth/register"):
        assert (await client.post(path, content=large)).status_code == 413, path
    assert (await client.post("/graphql", content=large + b" " * (2 << 20))).status_code == 413
    assert (await client.post("/graphql", content=large)).status_code == 400, "no document, but read"
    del client.headers["Authorization"]
    assert (await client.post("/graphql", content=large)).status_code == 413, "of whom nobody knows"


async def test_the_most_rows_of_many_numbers_fit_into_a_call_and_more_are_refused_with_advice(client: AsyncClient) -> None:
    row = orjson.dumps({f"feature_{number}": -0.12345678901234567 for number in range(64)})
    whole = b'{"inputs": [' + b",".join([row] * MAX_ROWS) + b"]}"
    assert [answer.status_code for answer in await asyncio.gather(*(client.post(PREDICT, content=whole) for _ in range(3)))] == [
        404
    ] * 3
    refused = await client.post(PREDICT, content=whole + whole)
    assert (refused.status_code, refused.json()["code"]) == (413, "too_large")
    assert "several calls" in refused.json()["detail"]
