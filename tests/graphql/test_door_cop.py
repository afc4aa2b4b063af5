"""The thirteen checks of GraphQL Cop, against the production profile: no finding."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from asgi import create_app
from coreplex.platform.settings import Settings


@pytest.fixture
async def production(settings: Settings) -> AsyncIterator[AsyncClient]:
    app = create_app(settings.model_copy(update={"mode": "production"}))
    async with app.router.lifespan_context(app), AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
        yield client


REFUSED: dict[str, Any] = {
    "alias overload": {"query": "{ " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }"},
    "array batching": [{"query": "{ __typename }"}] * 10,
    "field duplication": {"query": "{ " + "__typename " * 500 + "}"},
    "directive overload": {"query": "{ __typename" + " @aa" * 10 + " }"},
    "circular introspection": {"query": "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"},
    "introspection": {"query": "query cop { __schema { types { name fields { name } } } }"},
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(production: AsyncClient, name: str) -> None:
    response = await production.post("/graphql", json=REFUSED[name])
    assert response.status_code == 400
    assert "data" not in response.json()


async def test_field_suggestions(production: AsyncClient) -> None:
    for query in ("{ projecs { id } }", "{ __shema { types { name } } }", "{ projects(frist: 1) { totalCount } }"):
        assert "Did you mean" not in (await production.post("/graphql", json={"query": query})).text
    login = "mutation M($input: LoginInput!) { login(input: $input) { csrfToken } }"
    variables = {"input": {"email": "a@b.de", "pasword": "x"}}
    refused = await production.post("/graphql", json={"query": login, "variables": variables})
    assert "unknown field 'pasword'" in refused.text
    assert "Did you mean" not in refused.text


async def test_no_console_and_no_mutation_by_get(production: AsyncClient) -> None:
    """Queries by GET are wanted; that no page of another site sends one is held by test_door_get.py."""
    for path in ("/graphql", "/graphiql", "/playground", "/console"):
        for accept in ("text/html", "*/*"):
            response = await production.get(path, headers={"accept": accept})
            assert response.status_code in {400, 404}
            assert "graphiql" not in response.text.lower()
    mutation = await production.get("/graphql", params={"query": "mutation { logout { __typename } }"})
    assert mutation.status_code == 405


async def test_no_urlencoded_post(production: AsyncClient) -> None:
    response = await production.post("/graphql", data={"query": "{ __typename }"})
    assert response.status_code == 415


async def test_no_tracing_and_no_traces(production: AsyncClient) -> None:
    traced = await production.post("/graphql", json={"query": "{ __typename }"}, headers={"X-Apollo-Tracing": "1"})
    assert set(traced.json()["extensions"]) == {"cost"}
    broken = await production.post("/graphql", json={"query": "qwerty cop { abc }"})
    assert set(broken.json()["errors"][0]["extensions"]) == {"code", "status", "requestId", "reason", "parameters"}
