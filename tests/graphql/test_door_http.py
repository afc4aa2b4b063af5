"""POST /graphql: what is let in, what status it gets, what the body says."""

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from httpx import ASGITransport, AsyncClient, Response

from asgi import create_app
from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope
from coreplex.platform.settings import Settings
from schema.cost import STATEMENT
from schema.door.message import MAX_BODY
from tests.counting import counted
from tests.factories.account import make_key, make_user, sign_in

ID = "00000000-0000-7000-8000-000000000000"
JSON = {"content-type": "application/json"}
CREATE = "mutation($input: CreateProjectInput!) { createProject(input: $input) { project { id name } } }"


async def key_header(database: Database, *scopes: Scope) -> dict[str, str]:
    _, token = await make_key(database, await make_user(database), scopes or tuple(Scope))
    return {"authorization": f"Bearer {token}"}


def code(response: Response) -> str:
    found = response.json()["errors"][0]["extensions"]["code"]
    assert isinstance(found, str)
    return found


async def ask(client: AsyncClient, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Response:
    return await client.post("/graphql", json={"query": query, "variables": variables}, headers=headers or {})


async def test_a_query_with_a_key(client: AsyncClient, database: Database) -> None:
    headers = await key_header(database)
    made = await ask(client, CREATE, headers, input={"name": "Fleet"})
    assert made.status_code == 200, made.text
    listed = await ask(client, "{ projects(first: 3) { totalCount nodes { name role } } }", headers)
    assert listed.json()["data"] == {"projects": {"totalCount": 1, "nodes": [{"name": "Fleet", "role": "OWNER"}]}}
    assert listed.json()["extensions"] == {"cost": {"requested": 4 + 3 * STATEMENT, "limit": 5000}}
    assert listed.headers["content-type"] == "application/json"
    assert {"x-request-id", "x-ratelimit-remaining", "x-content-type-options"} <= set(listed.headers)


async def test_the_graphql_media_type_is_spoken_when_asked_for(client: AsyncClient) -> None:
    accept = {"accept": "application/graphql-response+json, application/json;q=0.9"}
    right = await ask(client, "{ __typename }", accept)
    wrong = await ask(client, "{ nothing }", accept)
    assert (right.status_code, right.headers["content-type"]) == (200, "application/graphql-response+json")
    assert (wrong.status_code, wrong.headers["content-type"]) == (400, "application/graphql-response+json")


@pytest.mark.parametrize(
    ("accept", "status", "kind"),
    [
        ("application/json", 200, "application/json"),
        ("application/json, application/graphql-response+json;q=0.5", 200, "application/json"),
        ("application/graphql-response+json;q=0, application/json", 200, "application/json"),
        ("application/graphql-response+json;q=nonsense", 400, "application/json"),
        ("application/json;q=0.9, application/graphql-response+json", 400, "application/graphql-response+json"),
        ("*/*", 400, "application/json"),
        ("text/plain", 400, "application/json"),
    ],
)
async def test_a_wrong_document_for_clients_old_and_new(client: AsyncClient, accept: str, status: int, kind: str) -> None:
    """A client that knows JSON only takes a 4xx for no GraphQL answer at all."""
    for body in (
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "query($id: ID!) { __typename }", "variables": {"id": None}},
    ):
        answer = await client.post("/graphql", json=body, headers={"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (status, kind), body
        assert "data" not in answer.json()
    for unread in (b"{", b'{"qeury": "{ __typename }"}'):
        answer = await client.post("/graphql", content=unread, headers={"accept": accept, **JSON})
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "text/plain, application/json",
        "application/json; charset=latin-1",
        "application/graphql",
        "",
    ],
)
async def test_only_json_is_read(client: AsyncClient, kind: str) -> None:
    response = await client.post("/graphql", content=b'{"query": "{ __typename }"}', headers={"content-type": kind})
    assert (response.status_code, code(response)) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_charset_utf_8_may_be_said(client: AsyncClient) -> None:
    headers = {"content-type": "Application/JSON; charset=UTF-8"}
    assert (await client.post("/graphql", content=b'{"query":"{__typename}"}', headers=headers)).status_code == 200


async def test_a_large_body_is_refused(client: AsyncClient) -> None:
    response = await client.post("/graphql", content=b" " * MAX_BODY + b"{}", headers=JSON)
    assert (response.status_code, code(response)) == (413, "TOO_LARGE")


async def test_the_explorer_is_self_contained_and_for_development(client: AsyncClient, settings: Settings) -> None:
    page = await client.get("/graphql", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "sha256-" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "http://" not in page.text
    assert "https://" not in page.text
    app = create_app(settings.model_copy(update={"mode": "production"}))
    async with app.router.lifespan_context(app), AsyncClient(transport=ASGITransport(app), base_url="http://x") as other:
        assert (await other.get("/graphql", headers={"accept": "text/html"})).status_code == 400


async def test_production_hides_the_schema_from_strangers(database: Database, settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"mode": "production"}))
    async with app.router.lifespan_context(app), AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
        refused = await ask(client, "{ __schema { queryType { name } } }")
        assert refused.status_code == 400
        assert "data" not in refused.json()
        assert "Did you mean" not in (await ask(client, "{ projetcs { totalCount } }")).text


@pytest.mark.parametrize(
    ("mode", "introspection", "stranger", "known"),
    [
        ("development", "auto", 200, 200),
        ("development", "on", 200, 200),
        ("development", "off", 400, 400),
        ("production", "auto", 400, 400),
        ("production", "on", 400, 200),
        ("production", "off", 400, 400),
    ],
)
async def test_who_may_introspect(
    database: Database, settings: Settings, mode: str, introspection: str, stranger: int, known: int
) -> None:
    chosen = Settings.model_validate({**settings.model_dump(), "mode": mode, "introspection": introspection})
    app = create_app(chosen)
    key = await key_header(database)
    async with app.router.lifespan_context(app), AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as client:
        for headers, status in (({}, stranger), (key, known)):
            answer = await ask(client, "{ __schema { queryType { name } } }", headers)
            assert answer.status_code == status
            assert (answer.json().get("data") == {"__schema": {"queryType": {"name": "Query"}}}) is (status == 200)
        assert ("INTROSPECTION=on" in answer.text) is (known == 400)


async def test_development_suggests(client: AsyncClient) -> None:
    assert "Did you mean" in (await ask(client, "{ projetcs { totalCount } }")).text


async def test_development_suggests_fields_of_variables(client: AsyncClient, database: Database) -> None:
    writer = await key_header(database, Scope.write, Scope.read)
    refused = await ask(client, CREATE, writer, input={"name": "Secret", "descripton": "Secret"})
    assert refused.status_code == 400
    assert "unknown field 'descripton'. Did you mean 'description'?" in refused.json()["errors"][0]["message"]
    literal = await ask(client, 'mutation { createProject(input: {name: "Secret", nme: "x"}) { project { id } } }', writer)
    assert "Did you mean 'name'?" in literal.json()["errors"][0]["message"]
    assert "Secret" not in refused.text + literal.text, "a value may be a password in the wrong place"
    nothing = await ask(client, "{ projects { totalCount } }", writer)
    assert nothing.json()["data"]["projects"]["totalCount"] == 0


async def test_statuses_of_refusals(client: AsyncClient, database: Database) -> None:
    reader = await key_header(database, Scope.read)
    projects = "{ projects { totalCount } }"
    assert (await ask(client, projects)).status_code == 401
    assert (await ask(client, projects, {"authorization": "Bearer cpx_live.no.no"})).status_code == 401
    assert (await ask(client, projects, {"authorization": "Basic Zm9v"})).status_code == 401
    assert (await ask(client, CREATE, reader, input={"name": "x"})).status_code == 403
    missing = await ask(client, '{ project(id: "nonsense") { id } }', reader)
    assert (missing.status_code, missing.json()["data"], code(missing)) == (200, {"project": None}, "NOT_FOUND")
    mixed = await ask(client, "{ __typename projects { totalCount } }")
    assert (mixed.status_code, code(mixed)) == (200, "UNAUTHENTICATED")


async def test_wrong_variables_are_a_request_error(client: AsyncClient, database: Database) -> None:
    headers = await key_header(database)
    response = await ask(client, CREATE, headers, input={"name": 3, "owner": "me"})
    assert response.status_code == 400
    assert "data" not in response.json()
    assert code(response) == "BAD_REQUEST"


async def test_syntax_errors_say_where(client: AsyncClient) -> None:
    response = await ask(client, "{ projects(")
    assert response.status_code == 400
    assert response.json()["errors"][0]["locations"] == [{"line": 1, "column": 12}]


async def test_cost_is_refused_before_anything_runs(client: AsyncClient, database: Database) -> None:
    headers = await key_header(database)
    nested = "{ projects(first: 500) { nodes { members(first: 500) { nodes { id } } } } }"
    app: Any = client._transport
    await ask(client, "{ __typename }", headers)  # the key is known from here on
    with counted(app.app.state.services.database, everything=True) as statements:
        response = await ask(client, nested, headers)
    assert (response.status_code, code(response)) == (400, "TOO_EXPENSIVE")
    assert not [one for one in statements if "projects" in one or "memberships" in one], "housekeeping may be at work"
    plain = await ask(client, "{ projects(first: 500) { nodes { id name createdAt } } }", headers)
    assert plain.status_code == 200


async def test_a_cookie_needs_its_csrf_token_and_its_own_origin(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    token = await sign_in(client, user.email)
    assert (await ask(client, CREATE, input={"name": "x"})).status_code == 403
    assert (await ask(client, CREATE, {"x-csrf-token": "wrong"}, input={"name": "x"})).status_code == 403
    for foreign in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert (await ask(client, CREATE, {**token, **foreign}, input={"name": "x"})).status_code == 403
    own = {**token, "origin": "http://localhost:8888", "sec-fetch-site": "same-origin"}
    assert (await ask(client, CREATE, own, input={"name": "x"})).status_code == 200
    assert (await ask(client, "{ projects { totalCount } }")).json()["data"] == {"projects": {"totalCount": 1}}


async def test_the_budget_is_charged_for_what_is_refused_too(database: Database, settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_general": "5/day", "rate_limit_authentication": "3/day"}))
    async with app.router.lifespan_context(app), AsyncClient(transport=ASGITransport(app), base_url="http://x") as client:
        answers = [await client.post("/graphql", content=b"[", headers=JSON) for _ in range(3)]
        answers += [await ask(client, "{ nothing }") for _ in range(3)]
        assert [a.status_code for a in answers] == [400] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) > 0
        assert answers[-1].headers["x-ratelimit-remaining"] == "0"
        assert (answers[-1].json()["errors"][0]["extensions"]["retryAfter"]) > 0
        login = 'mutation { login(input: {email: "a@b.example", password: "wrong-password"}) { __typename } }'
        assert [(await ask(client, login)).status_code for _ in range(4)] == [200, 200, 200, 429]


async def test_credentials_are_tried_once_per_request(client: AsyncClient) -> None:
    one = 'login(input: {email: "a@b.example", password: "wrong-password"}) { __typename }'
    several = [
        f"mutation {{ a: {one} b: {one} }}",
        f"mutation {{ {one} {one} }}",
        f"mutation {{ {one} ...f }} fragment f on Mutation {{ b: {one} }}",
        f"mutation {{ ...f ...g }} fragment f on Mutation {{ {one} }} fragment g on Mutation {{ b: {one} }}",
        f"mutation {{ ... on Mutation {{ {one} }} ... {{ b: {one} }} }}",
    ]
    for document in several:
        response = await ask(client, document)
        assert response.status_code == 400, document
        assert "once" in response.text or "CONFLICT" in response.text


async def test_no_trace_of_the_machine_in_a_masked_error(client: AsyncClient, database: Database, tmp_path: Path) -> None:
    headers = await key_header(database)
    app: Any = client._transport
    await app.app.state.services.database.close()
    app.app.state.services.database.url = "postgresql://nobody@/gone?host=/nowhere"

    async def broken(*_args: Any) -> None:
        raise RuntimeError(f"secret {tmp_path}")

    app.app.state.services.database.read = broken
    response = await ask(client, '{ project(id: "00000000-0000-7000-8000-000000000000") { id } }', headers)
    assert "secret" not in response.text
    assert code(response) == "INTERNAL"


@pytest.mark.parametrize(
    "cursor", [["v", "abc", ID], ["v", 5, ID], ["t", "2026-01-01T00:00:00", 3], ["v", 1.5, 3], ["v", 10**18, 1]]
)
async def test_a_forged_cursor_is_a_wrong_value(client: AsyncClient, database: Database, cursor: list[Any]) -> None:
    headers = await key_header(database)
    text = base64.urlsafe_b64encode(orjson.dumps(cursor)).decode()
    for sort in ("CREATED_AT", "NAME", "DATASET_COUNT"):
        query = f'{{ projects(after: "{text}", sort: {{field: {sort}}}) {{ nodes {{ id }} }} }}'
        response = await ask(client, query, headers)
        assert response.json()["data"] is not None or code(response) == "INVALID", response.text
