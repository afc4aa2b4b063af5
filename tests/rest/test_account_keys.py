"""API keys over HTTP: made, bound to a project, used, refused and revoked."""

from datetime import timedelta
from typing import Any

import pytest
from httpx import AsyncClient
from sqlalchemy import update
from sqlmodel import col

from coreplex.account.table import User
from coreplex.platform.clock import now
from coreplex.platform.database import Database
from coreplex.platform.permissions import Scope, UserRole
from tests.factories.account import bearer, browser, make_key, make_user, sign_in

SOON = (now() + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("change", "place", "told"),
    [
        ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at", "must lie in the next 3650 days"),
        ({"expires_at": "2099-01-01T00:00:00Z", "expires_in_days": 3}, "expires_at", "must lie in the next 3650 days"),
        ({"expires_at": SOON, "expires_in_days": 3}, "expires_in_days", "give this or expires_at, not both"),
    ],
)
async def test_a_wrong_end_of_a_key_names_its_place(
    client: AsyncClient, database: Database, change: dict[str, Any], place: str, told: str
) -> None:
    csrf = await sign_in(client, (await make_user(database)).email)
    answer = await client.post("/api/auth/api-keys", json={"name": "k", "scopes": ["read"], **change}, headers=csrf)
    assert [(entry["loc"], entry["msg"]) for entry in answer.json()["detail"]] == [(["body", place], told)]
    assert answer.json()["message"] == f"{place}: {told}"


async def test_the_life_of_an_api_key(client: AsyncClient, app: Any, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    answer = await client.post("/api/auth/api-keys", json={"name": "ci", "scopes": ["read", "predict"]}, headers=headers)
    assert answer.status_code == 201
    made = answer.json()
    assert made["scopes"] == ["read", "predict"], "as they were given"
    assert made["key"].startswith(made["prefix"])
    assert made["key"].startswith("cpx_live.")
    assert {"id", "name", "scopes", "key", "prefix", "created_at", "api_key"} <= set(made)
    assert made["api_key"]["key"] == made["key"]

    async with browser(app) as program:
        mine = bearer(made["key"])
        assert (await program.get("/api/auth/me", headers=mine)).json()["user"]["email"] == user.email
        assert (await program.post("/api/projects", json={"name": "p"}, headers=mine)).status_code == 403, "no write scope"
        for method, path in (("GET", ""), ("POST", ""), ("DELETE", f"/{made['id']}"), ("POST", f"/{made['id']}/revoke")):
            refused = await program.request(method, f"/api/auth/api-keys{path}", json={}, headers=mine)
            assert refused.status_code == 403, (method, path)

        listed = (await client.get("/api/auth/api-keys")).json()
        assert (listed["total"], listed["limit"], listed["offset"]) == (1, 50, 0)
        (item,) = listed["items"]
        assert {"id", "name", "prefix", "scopes", "created_at", "last_used_at", "expires_at", "revoked_at"} <= set(item)
        assert "key" not in item
        assert item["last_used_at"] is not None

        assert (await client.delete(f"/api/auth/api-keys/{made['id']}", headers=headers)).json() == {"ok": True}
        assert (await program.get("/api/auth/me", headers=mine)).status_code == 401, "at once"
    assert (await client.post(f"/api/auth/api-keys/{made['id']}/revoke", headers=headers)).json() == {"ok": True}
    assert (await client.get("/api/auth/api-keys")).json()["items"][0]["revoked_at"] is not None


async def test_bad_keys_are_not_made(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    good = {"name": "ci", "scopes": ["read"]}
    for change in (
        {"scopes": ["root"]},
        {"scopes": []},
        {"scopes": "read"},
        {"scopes": None},
        {"name": " "},
        {"expires_in_days": 0},
        {"expires_in_days": "soon"},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-14:00"},
        {"expires_at": "tomorrow"},
        {"expires_in_days": 1, "expires_at": "2100-01-01T00:00:00Z"},
    ):
        answer = await client.post("/api/auth/api-keys", json=good | change, headers=headers)
        assert answer.status_code == 422, (change, answer.text)
    for project in ("nonsense", "01890000-0000-7000-8000-000000000000"):
        answer = await client.post("/api/auth/api-keys", json=good | {"project_id": project}, headers=headers)
        assert answer.status_code == 404, answer.text


async def test_only_an_administrator_makes_a_key_that_administers(client: AsyncClient, database: Database) -> None:
    wanted = {"name": "k", "scopes": ["read", "admin"]}
    mutation = "mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { apiKey { id } } }"
    calls: list[dict[str, Any]] = [
        {"url": "/api/auth/api-keys", "json": wanted},
        {"url": "/graphql", "json": {"query": mutation, "variables": {"input": {**wanted, "scopes": ["READ", "ADMIN"]}}}},
    ]
    headers = await sign_in(client, (await make_user(database)).email)
    for call in calls:
        answer = await client.post(**call, headers=headers)
        assert "Only an administrator of this server can make a key" in answer.text
        assert answer.status_code == 403 or answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await client.get("/api/auth/api-keys")).json()["total"] == 0
    headers = await sign_in(client, (await make_user(database, role=UserRole.admin)).email)
    for call in calls:
        assert "administrator" not in (await client.post(**call, headers=headers)).text
    assert [key["scopes"] for key in (await client.get("/api/auth/api-keys")).json()["items"]] == [["read", "admin"]] * 2


async def test_a_key_administers_no_longer_than_its_owner(app: Any, database: Database) -> None:
    admin = await make_user(database, role=UserRole.admin)
    _, key = await make_key(database, admin, [Scope.admin])
    async with database.transaction() as session:
        await session.execute(update(User).where(col(User.id) == admin.id).values(role=UserRole.user))
    async with browser(app) as program:
        answer = await program.post("/api/projects", json={"name": "p"}, headers=bearer(key))
        assert (answer.status_code, answer.json()["detail"]) == (403, "This API key lacks the scope 'write'.")
        assert (await program.get("/api/auth/me", headers=bearer(key))).status_code == 403


async def test_keys_of_others_do_not_exist(client: AsyncClient, database: Database) -> None:
    other, _ = await make_key(database, await make_user(database))
    headers = await sign_in(client, (await make_user(database)).email)
    bodies = set()
    for key_id in (str(other.id), "01890000-0000-7000-8000-000000000000", "nonsense"):
        answer = await client.delete(f"/api/auth/api-keys/{key_id}", headers=headers)
        assert answer.status_code == 404
        bodies.add(answer.json()["detail"])
    assert bodies == {"API key not found"}
    assert (await client.get("/api/auth/api-keys")).json()["total"] == 0


async def test_a_key_bound_to_a_project_sees_only_that(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    headers = await sign_in(client, user.email)
    ids = [(await client.post("/api/projects", json={"name": n}, headers=headers)).json()["project_id"] for n in "ab"]
    wanted = {"name": "ci", "scopes": ["read"], "project_id": ids[0], "expires_in_days": 30}
    key = (await client.post("/api/auth/api-keys", json=wanted, headers=headers)).json()
    assert key["project_id"] == ids[0]
    assert key["expires_at"] is not None
    client.cookies.clear()
    seen = (await client.get("/api/projects", headers=bearer(key["key"]))).json()["items"]
    assert [p["id"] for p in seen] == ids[:1]
    assert (await client.get(f"/api/projects/{ids[1]}", headers=bearer(key["key"]))).status_code == 404


async def test_a_bearer_key_outranks_a_cookie(client: AsyncClient, database: Database) -> None:
    user = await make_user(database)
    await sign_in(client, user.email)
    assert (await client.get("/api/projects", headers=bearer("cpx_live.wrong"))).status_code == 401
    assert (await client.get("/api/projects", headers={"Authorization": "Basic YTpi"})).status_code == 401
    _, key = await make_key(database, user, [Scope.read])
    assert (await client.get("/api/auth/api-keys", headers=bearer(key))).status_code == 403
