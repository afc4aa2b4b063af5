"""The hostile corpus against the real application: an answer of 4xx or a cheap 200, always JSON, never long, never a trace."""

import time
from typing import Any

import orjson
import pytest
from httpx import AsyncClient, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from coreplex.platform.database import Database
from tests.factories.account import make_key, make_user
from tests.graphql.hostile import BODIES, DOCUMENTS

JSON = {"content-type": "application/json"}
MAX_SECONDS = 2.0
MAX_ANSWER = 64 << 10


async def post(client: AsyncClient, body: bytes, headers: dict[str, str]) -> Response:
    """Send it; check what holds for every answer. Time is the process's own, and generous: a machine may be busy."""
    with capture_logs() as logs:
        started = time.process_time()
        response = await client.post("/graphql", content=body, headers={**JSON, **headers})
        spent = time.process_time() - started
    assert response.status_code < 500, response.text[:500]
    assert spent < MAX_SECONDS
    assert len(response.content) <= MAX_ANSWER
    shown = orjson.loads(response.content)
    assert isinstance(shown, dict)
    assert "Traceback" not in response.text
    assert not [line for line in logs if line["log_level"] == "error"]
    for error in shown.get("errors", ()):
        assert error["message"]
        assert {"code", "status", "requestId"} <= set(error["extensions"])
    return response


@pytest.fixture
async def key(database: Database) -> dict[str, str]:
    _, token = await make_key(database, await make_user(database))
    return {"authorization": f"Bearer {token}"}


HARMLESS = {"chain 40", "long string", "huge page"}


async def test_documents(client: AsyncClient, key: dict[str, str]) -> None:
    assert len(DOCUMENTS) >= 60
    for name, document in DOCUMENTS.items():
        for headers in ({}, key):
            response = await post(client, orjson.dumps({"query": document}), headers)
            executed = response.status_code == 200
            assert not executed or name in HARMLESS, f"{name}: {response.text[:300]}"


async def test_bodies(client: AsyncClient, key: dict[str, str]) -> None:
    for name, body in BODIES.items():
        for headers in ({}, key):
            response = await post(client, body, headers)
            assert response.status_code in {400, 401, 404, 413}, f"{name}: {response.text[:300]}"


LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
VALUES: Any = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
WORDS = st.sampled_from(
    r"""{ } ( ) : ... @skip(if:true) $v [ ] ! = " \ query mutation on Query fragment f projects nodes id __schema types
    first 1 -1.5e999 null true #""".split()  # noqa: SIM905
)
RELAXED: Any = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@RELAXED
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(["query", "variables", "operationName", "extensions"], VALUES)))
async def test_any_json_is_answered(client: AsyncClient, body: dict[str, Any]) -> None:
    await post(client, orjson.dumps(body), {})


@RELAXED
@given(st.lists(WORDS, max_size=40).map(" ".join))
async def test_any_words_are_answered(client: AsyncClient, document: str) -> None:
    await post(client, orjson.dumps({"query": document}), {})


@RELAXED
@given(st.binary(max_size=300))
async def test_any_bytes_are_answered(client: AsyncClient, body: bytes) -> None:
    await post(client, body, {})
